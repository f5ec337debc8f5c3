from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")

from tests.staging import export, module  # noqa: E402
from trtdbg.errors import UsageError  # noqa: E402
from trtdbg.graphs.replay import ProgramInputs  # noqa: E402
from trtdbg.stages.inputs import program_inputs  # noqa: E402

X = torch.arange(6, dtype=torch.float64).reshape(2, 3)
IDS = torch.tensor([0, 1])


@pytest.fixture(scope="module")
def program() -> Any:
    return export(module(lambda self, x, ids: (x[ids] * 2.0, ids)), X, IDS)


@pytest.fixture(scope="module")
def nested() -> Any:
    def forward(self: Any, x: Any, pair: Any, *, scale: Any, times: int = 3) -> Any:
        return x * scale + pair["y"] * times

    example = (torch.ones(2), {"y": torch.ones(2)})
    keywords = {"scale": torch.ones(2), "times": 5}
    return torch.export.export(module(forward), example, keywords)


@pytest.fixture(scope="module")
def dynamic() -> Any:
    rows = torch.export.Dim("rows", min=3, max=8)

    def forward(self: Any, x: Any, y: Any) -> Any:
        return x + y, x.reshape(-1)

    pair = (torch.zeros(4, 2), torch.zeros(4, 2))
    shapes = {"x": {0: rows}, "y": {0: rows}}
    return export(module(forward), *pair, dynamic_shapes=shapes)


def save(folder: Path, content: Any, name: str = "inputs.pt") -> str:
    path = folder / name
    if name.endswith(".npz"):
        numpy.savez(path, **{k: v.numpy() for k, v in content.items()})
    else:
        torch.save(content, path)
    return str(path)


def given(program: Any, path: str | None, **more: Any) -> ProgramInputs:
    return program_inputs(program, program.example_inputs, path, **more)


def test_example_inputs_are_taken_unless_a_file_or_a_seed_is_given(program: Any) -> None:
    found = given(program, None)
    assert found.origin == "example inputs"
    assert torch.equal(found.values[0], X)
    assert torch.equal(found.values[1], IDS)


@pytest.mark.parametrize(
    "content", [(X, IDS), [X, IDS], {"ids": IDS, "x": X}, ((X, IDS), {})], ids=type
)
def test_a_pt_file_holds_a_call_or_a_dict_by_name(
    program: Any, content: Any, tmp_path: Path
) -> None:
    path = save(tmp_path, content)
    found = given(program, path)
    assert found.origin == path
    assert torch.equal(found.values[0], X)
    assert torch.equal(found.values[1], IDS)


@pytest.mark.parametrize("names", [("x", "ids"), ("arr_0", "arr_1")])
def test_an_npz_file_holds_arrays_by_name_or_in_order(
    program: Any, names: tuple[str, str], tmp_path: Path
) -> None:
    content = dict(zip(names, (X, IDS), strict=True))
    found = given(program, save(tmp_path, content, "inputs.npz"))
    assert torch.equal(found.values[0], X)
    assert torch.equal(found.values[1], IDS)


def test_one_tensor_is_the_only_input(tmp_path: Path) -> None:
    program = export(module(lambda self, x: x * 2.0), X)
    assert torch.equal(given(program, save(tmp_path, X)).values[0], X)


def test_nested_and_keyword_arguments_come_in_the_order_of_the_program(
    nested: Any, tmp_path: Path
) -> None:
    x, y, scale = torch.full((2,), 1.0), torch.full((2,), 2.0), torch.full((2,), 3.0)
    call = ((x, {"y": y}), {"times": 5, "scale": scale})
    by_name = {"x": x, "pair_y": y, "scale": scale}
    for content in (call, by_name, (x, y, scale, 5)):
        values = given(nested, save(tmp_path, content)).values
        assert [float(v[0]) for v in values[:3]] == [1.0, 2.0, 3.0]
        assert values[3] == 5, "a number of the export need not be given by name"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ((X,), "holds 1 of 2 inputs"),
        ((X, IDS, IDS), "holds 3 of 2 inputs"),
        ((X.float(), IDS), r"input x is float32 \[2, 3\]"),
        ((X[:1], IDS), r"input x is float64 \[1, 3\]"),
        ((X[0], IDS), r"input x is float64 \[3\]"),
        ((X, [0, 1]), r"input ids is \[0, 1\]"),
        ({"x": X}, "lacks ids"),
        ({"x": X, "ids": IDS, "z": X}, "names z"),
        ({"x": X, "ids": 3}, "input ids is 3"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_one_line_that_says_what_does(
    program: Any, content: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        given(program, save(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert "x: float64 [2, 3]" in str(caught.value) or "ids: int64 [2]" in str(caught.value)


@pytest.mark.parametrize(("rows", "fits"), [(3, True), (8, True), (2, False), (9, False)])
def test_a_symbolic_size_takes_what_its_range_allows(
    dynamic: Any, rows: int, fits: bool, tmp_path: Path
) -> None:
    path = save(tmp_path, (torch.zeros(rows, 2), torch.zeros(rows, 2)))
    if fits:
        assert given(dynamic, path).values[0].shape == (rows, 2)
    else:
        with pytest.raises(UsageError, match=rf"input x is float32 \[{rows}, 2\]"):
            given(dynamic, path)


def test_a_size_that_two_inputs_share_is_the_same_in_both(
    dynamic: Any, tmp_path: Path
) -> None:
    path = save(tmp_path, (torch.zeros(4, 2), torch.zeros(5, 2)))
    with pytest.raises(UsageError, match=r"input y is float32 \[5, 2\]"):
        given(dynamic, path)


def test_random_inputs_have_the_exported_dtypes_and_shapes_and_valid_ids(
    program: Any, dynamic: Any
) -> None:
    x, ids = given(program, None, seed=3).values
    assert (x.dtype, x.shape, ids.dtype, ids.shape) == (X.dtype, X.shape, IDS.dtype, (2,))
    assert ids.min() >= 0
    assert ids.max() <= 1
    found = given(dynamic, None, seed=3)
    assert [v.shape for v in found.values] == [(4, 2), (4, 2)]
    assert found.origin == "random inputs, seed 3"


def test_random_inputs_depend_on_the_seed_alone(program: Any) -> None:
    torch.manual_seed(1)
    once = given(program, None, seed=5).values
    torch.manual_seed(2)
    assert torch.equal(given(program, None, seed=5).values[0], once[0])
    assert not torch.equal(given(program, None, seed=6).values[0], once[0])


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.float16, torch.bfloat16, torch.complex64]
)
def test_random_inputs_know_every_kind_of_dtype(dtype: Any) -> None:
    program = export(module(lambda self, x: x.clone()), torch.zeros(64, dtype=dtype))
    (value,) = given(program, None, seed=0).values
    assert value.dtype == dtype
    assert len(set(value.tolist())) > 1


def test_a_program_without_example_inputs_is_given_random_ones(program: Any) -> None:
    found = program_inputs(program, None)
    assert found.origin == "random inputs, seed 0"


class _Surprise:
    def __reduce__(self) -> Any:
        return (print, ("this must not be called",))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("inputs.pt", pickle.dumps(_Surprise()), "holds"),
        ("inputs.pt", b"not a file of torch", "holds"),
        ("inputs.pt", b"", "holds no inputs"),
        ("inputs.npz", b"PK not a zip", "holds no inputs"),
        ("inputs.csv", b"1,2", "give a .pt or an .npz file"),
    ],
)
def test_a_file_that_holds_no_inputs_is_refused_in_one_line(
    program: Any,
    name: str,
    content: bytes,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        given(program, str(path))
    assert "\n" not in str(caught.value)
    assert "must not be called" not in capsys.readouterr().out


def test_a_saved_module_is_not_unpickled(program: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than tensors"):
        given(program, save(tmp_path, torch.nn.Linear(2, 2)))


def test_an_npz_file_with_objects_is_refused(program: Any, tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    numpy.savez(path, x=numpy.array([_Surprise()], dtype=object))
    with pytest.raises(UsageError, match="holds no inputs"):
        given(program, str(path))


def test_a_missing_file_is_named(program: Any) -> None:
    with pytest.raises(UsageError, match=r"cannot read nowhere\.pt: No such file"):
        given(program, "nowhere.pt")
