"""Sizes that follow from others, which torch cannot trace anew once they were saved."""

import pytest

torch = pytest.importorskip("torch")

from torch.export import Dim  # noqa: E402

from trtdbg.archive.load import load  # noqa: E402


class Strided(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.down = torch.nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.up = torch.nn.ConvTranspose2d(2, 1, 2, stride=2)

    def forward(self, x):
        return self.up(torch.relu(self.down(x))) + x


class Joined(torch.nn.Module):
    def forward(self, x, y):
        return torch.cat([x, y]).relu()


class Plain(torch.nn.Module):
    def forward(self, x):
        return x.relu() * 2


def _small(name):
    return Dim(name, min=1, max=16)


CASES = {
    "even height and width": (
        Strided(),
        (torch.randn(1, 1, 8, 8),),
        {"x": {2: 2 * _small("h"), 3: 2 * _small("w")}},
    ),
    "one more than another input": (
        Joined(),
        (torch.randn(4, 3), torch.randn(5, 3)),
        {"x": {0: _small("n")}, "y": {0: _small("n") + 1}},
    ),
    "a multiple that stands nowhere by itself": (
        Plain(),
        (torch.randn(12, 3),),
        {"x": {0: 4 * _small("k")}},
    ),
    "no size at all": (Plain(), (torch.randn(12, 3),), None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_program_is_decomposed_with_the_same_values(name, tmp_path):
    module, args, shapes = CASES[name]
    program = torch.export.export(module.eval(), args, dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "model.pt2")

    loaded = load(tmp_path / "model.pt2").program
    lowered = loaded.run_decompositions()

    torch.testing.assert_close(lowered.module()(*args), module(*args))


def test_a_derived_size_stays_an_expression_of_its_symbol(tmp_path):
    module, args, shapes = CASES["a multiple that stands nowhere by itself"]
    program = torch.export.export(module, args, dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "model.pt2")

    lowered = load(tmp_path / "model.pt2").program.run_decompositions()

    (size,) = (n.meta["val"].shape[0] for n in lowered.graph.nodes if n.op == "placeholder")
    (symbol,) = size.node.expr.free_symbols
    assert size.node.expr == 4 * symbol
    assert list(lowered.range_constraints) == [symbol]


def test_torch_itself_still_refuses_what_is_repaired_here(tmp_path):
    module, args, shapes = CASES["even height and width"]
    program = torch.export.export(module, args, dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "model.pt2")

    with pytest.raises(AssertionError, match=r"sympy\.Symbol"):
        torch.export.load(tmp_path / "model.pt2").run_decompositions()
