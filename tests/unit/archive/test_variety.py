"""Programs of every kind open, or say in one line why not."""

import warnings

import pytest
import torch

from tests.relabelled import rewrite
from trtdbg.archive.load import load
from trtdbg.errors import ModelError


class Model(torch.nn.Module):
    def __init__(self, compute, weight):
        super().__init__()
        self.compute = compute
        self.register_buffer("weight", weight)

    def forward(self, x, **options):
        return self.compute(x, self.weight, **options)


def saved(path, compute, weight, x=None, **options):
    """Exports a small model; returns its path and what it computes."""
    x = torch.linspace(-1, 1, 16).reshape(4, 4) if x is None else x
    model = Model(compute, weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model, (x,), options), path)
        return path, model(x, **options)


def product(x, weight):
    return x * weight.to(torch.float32)


def scanned(x, weight):
    from torch._higher_order_ops.scan import scan

    return scan(lambda carry, row: (carry + row, carry * row), weight, x, dim=0)[1]


def branched(x, weight):
    return torch.cond(x.sum() > 0, lambda t: t.sin() * weight, lambda t: t.cos(), (x,))


KINDS = {
    "channels last": (product, torch.randn(1, 4, 4, 4).to(memory_format=torch.channels_last)),
    "expanded": (product, torch.randn(4, 1).expand(4, 4)),
    "strided": (product, torch.randn(8, 8)[::2, 1::2]),
    "transposed": (product, torch.randn(4, 4).t()),
    "without elements": (lambda x, weight: torch.cat((x, weight)), torch.randn(0, 4)),
    "float8_e4m3fn": (product, torch.randn(4, 4).to(torch.float8_e4m3fn)),
    "float8_e8m0fnu": (product, torch.randn(4, 4).abs().to(torch.float8_e8m0fnu)),
    "int8": (product, torch.randint(-8, 8, (4, 4), dtype=torch.int8)),
    "uint16": (product, torch.ones(4, dtype=torch.uint16)),
    "complex": (lambda x, weight: (x * weight).abs(), torch.randn(4, dtype=torch.complex64)),
    "a condition": (branched, torch.randn(4)),
    "a scan": (scanned, torch.zeros(4)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_layouts_dtypes_and_regions_open_as_they_were(kind, tmp_path):
    path, expected = saved(tmp_path / "model.pt2", *KINDS[kind])
    loaded = load(path)
    args, kwargs = loaded.example_inputs
    torch.testing.assert_close(loaded.program.module()(*args, **kwargs), expected)


def test_keyword_arguments_open_as_they_were(tmp_path):
    def scaled(x, weight, *, options):
        return x * weight + options["offsets"][0]

    options = {"offsets": [torch.ones(4), torch.zeros(1)]}
    path, expected = saved(tmp_path / "model.pt2", scaled, torch.randn(4), options=options)
    loaded = load(path)
    args, kwargs = loaded.example_inputs
    torch.testing.assert_close(loaded.program.module()(*args, **kwargs), expected)


def test_a_program_without_values_is_read_as_zeros_on_the_cpu(tmp_path):
    path, _ = saved(
        tmp_path / "meta.pt2",
        product,
        torch.empty(300, 300, device="meta"),
        torch.empty(300, 300, device="meta"),
    )
    loaded = load(path)
    assert loaded.moved_from == ("meta",)
    assert loaded.example_inputs is None
    assert torch.equal(loaded.program.state_dict["weight"], torch.zeros(300, 300))


def test_a_large_weight_is_mapped_from_the_file_and_private(tmp_path):
    weight = torch.randn(300, 300)
    path, _ = saved(tmp_path / "large.pt2", product, weight, torch.ones(300, 300))
    before = path.read_bytes()
    opened = load(path).program.state_dict["weight"]
    assert torch.equal(opened, weight)
    assert any(
        start <= opened.data_ptr() < end and file == str(path)
        for start, end, file in mappings()
    )
    opened.zero_()
    assert path.read_bytes() == before


def mappings():
    """Yields the mapped files of this process with their addresses."""
    with open("/proc/self/maps") as lines:
        for line in lines:
            words = line.split(maxsplit=5)
            start, _, end = words[0].partition("-")
            if len(words) == 6:
                yield int(start, 16), int(end, 16), words[5].strip()


def test_shared_weights_stay_shared_when_they_are_mapped(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Linear(200, 200, bias=False, dtype=torch.float64)
            self.other = torch.nn.Linear(200, 200, bias=False)
            self.other.weight = self.one.weight

        def forward(self, x):
            return self.other(self.one(x))

    x = torch.randn(2, 200, dtype=torch.float64)
    torch.export.save(torch.export.export(Tied(), (x,)), tmp_path / "tied.pt2")
    weights = load(tmp_path / "tied.pt2").program.state_dict
    addresses = {weight.data_ptr() for weight in weights.values()}
    assert len(weights) == 2
    assert len(addresses) == 1
    assert all(weight.requires_grad for weight in weights.values())


def test_several_programs_open_if_one_is_called_model(tmp_path):
    from torch.export.pt2_archive._package import package_pt2

    x = torch.randn(2, 4)
    programs = {name: torch.export.export(torch.nn.Linear(4, 4), (x,)) for name in "ab"}
    package_pt2(tmp_path / "ab.pt2", exported_programs=programs)
    with pytest.raises(ModelError, match=r"several programs; name one of a, b with --program"):
        load(tmp_path / "ab.pt2")
    assert load(tmp_path / "ab.pt2", program="b").name == "b"
    with pytest.raises(ModelError, match=r"no program 'c'; name one of a, b"):
        load(tmp_path / "ab.pt2", program="c")
    package_pt2(
        tmp_path / "model.pt2", exported_programs={"model": programs["a"], "b": programs["b"]}
    )
    assert load(tmp_path / "model.pt2").example_inputs is not None


def test_what_torch_began_to_save_and_could_not_says_so(tmp_path):
    path, _ = saved(tmp_path / "whole.pt2", product, torch.randn(4))
    reader = torch._C.PyTorchFileReader(str(path))
    writer = torch._C.PyTorchFileWriter(str(tmp_path / "half.pt2"))
    for name in reader.get_all_records():
        if name.startswith("data/weights/"):
            data = reader.get_record(name)
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    with pytest.raises(ModelError, match="save did not finish it"):
        load(tmp_path / "half.pt2")


def test_a_program_of_schema_zero_is_tried(tmp_path):
    import json

    path, _ = saved(tmp_path / "new.pt2", product, torch.randn(4))

    def edit(name, data):
        if name != "models/model.json":
            return data
        program = json.loads(data)
        program["schema_version"] = {"major": 0, "minor": 0}
        return json.dumps(program).encode()

    assert load(rewrite(path, tmp_path / "zero.pt2", edit)).program.graph.nodes
