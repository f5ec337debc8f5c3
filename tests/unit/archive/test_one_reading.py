"""What was vetted is what torch gets: decoys, other names, other readers, and the backstop."""

import contextlib
import importlib
import io
import json
import os
import random
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from tests import planting
from tests.two_readings import parts, same_values
from trtdbg.archive import load as loading
from trtdbg.archive.load import load
from trtdbg.compat.backstop import refused_events
from trtdbg.errors import ModelError

ROOT = Path(__file__).parents[3]
HOSTILE = ROOT.parent / "shared" / "hostile"
SAMPLES = sorted((ROOT / "samples").glob("*.pt2"))
PROGRAM = "models/model.json"


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(32, 32)
        self.register_buffer("b", torch.rand(32, dtype=torch.float64))
        self.c = torch.tensor([1, 2, 3])

    def forward(self, x, d):
        scaled = torch.relu(self.linear(x)).double() * self.b
        return {"o": scaled + self.c.sum() + d["k"]}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "base.pt2"
    n = torch.export.Dim("n", min=2, max=64)
    arguments = (torch.rand(4, 32), {"k": torch.rand(4, 32)})
    shapes = {"x": {0: n}, "d": {"k": {0: n}}}
    torch.export.save(torch.export.export(Model(), arguments, dynamic_shapes=shapes), path)
    return path


def evil_program(archive, marker):
    program = json.loads(archive.entries[PROGRAM])
    code = f"__import__('os').mkdir('{marker}')"
    planting.first_tensor(program)["sizes"][0] = {"as_expr": {"expr_str": code, "hint": None}}
    return json.dumps(program).encode()


def beside(archive, name):
    """Copies what a program of another name needs, so that torch would read it."""
    for kind in ("weights", "constants"):
        file = f"data/{kind}/{{}}_{kind}_config.json"
        archive.entries[file.format(name)] = archive.entries[file.format("model")]
    archive.entries[f"data/sample_inputs/{name}.pt"] = archive.entries[planting.SAMPLES]


def with_suffix(suffix, name="evil"):
    def plant(archive, marker):
        archive.entries[f"models/{name}{suffix}"] = evil_program(archive, marker)
        beside(archive, name)

    plant.__name__ = f"program_{name}{suffix}"
    return plant


def legacy_decoy(suffix):
    def plant(archive, marker):
        good = archive.entries.pop(PROGRAM)
        archive.entries[PROGRAM] = good
        archive.entries[f"models/model{suffix}"] = evil_program(archive, marker)
        archive.entries["serialized_exported_program.json"] = good
        if suffix != ".json":
            del archive.entries[PROGRAM]

    plant.__name__ = f"legacy_decoy{suffix}"
    return plant


def enum_in(key, write):
    def plant(archive, marker):
        def edit(program):
            signature = program["graph_module"]["module_call_graph"][0]["signature"]
            spec = json.loads(signature[key])
            enum = {"__enum__": True, "fqn": "ctypes:cdll", "name": "/nowhere/evil.so"}
            spec[1]["context"] = write(json.dumps([enum]))
            signature[key] = json.dumps(spec)

        archive.change(PROGRAM, edit)

    plant.__name__ = f"enum_in_{key}_{write.__name__}"
    return plant


def plain(text):
    return text


def one_escape(text):
    return text.replace("__enum__", "\\u005f_enum__")


def all_escaped(text):
    return text.replace("__enum__", "".join(f"\\u{ord(each):04x}" for each in "__enum__"))


def nested_twice(text):
    return json.dumps([text])


def member(*path, value):
    """Plants a value at a place of the program's JSON."""

    def plant(archive, marker):
        def edit(program):
            place = program
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value

        archive.change(PROGRAM, edit)

    plant.__name__ = "_".join(map(str, path))[-40:]
    return plant


def raw(edit, name):
    """Changes the program's JSON as bytes."""

    def plant(archive, marker):
        archive.entries[PROGRAM] = edit(archive.entries[PROGRAM])

    plant.__name__ = name
    return plant


SIGNATURE = ("graph_module", "module_call_graph", 0, "signature")

HOSTILE_ONES = [
    *(with_suffix(suffix) for suffix in (".JSON", ".jsox", ".json.bak", "", ".jsn", ".Json")),
    with_suffix(".json"),
    with_suffix(".json", "a/b"),
    with_suffix(".json", "a b"),
    with_suffix(".json", "0x"),
    *(legacy_decoy(suffix) for suffix in (".JSON", ".json", ".x")),
    *(
        enum_in(key, write)
        for key in ("in_spec", "out_spec")
        for write in (plain, one_escape, all_escaped, nested_twice)
    ),
    raw(lambda text: text[:-1] + b',"guards_code":["__import__(\'os\')"]}', "key_twice"),
    raw(lambda text: b"\xef\xbb\xbf" + text, "byte_order_mark"),
    raw(lambda text: text.replace(b'"hint": null', b'"hint": NaN', 1) + b" //x", "a_comment"),
    raw(lambda text: text.decode().encode("utf-16"), "utf_16"),
    member("range_constraints", value={"u99999999999": {"min_val": 0, "max_val": 9}}),
    member("range_constraints", value={"__import__('os')": {"min_val": 0, "max_val": 9}}),
    member("guards_code", value=["__import__('os').mkdir('x')"]),
    member(*SIGNATURE, "forward_arg_names", value=["x): import os #"]),
    planting.code_in_a_symbolic_size,
    planting.os_system_in_a_weight,
    planting.an_object_that_unpickles_itself,
    planting.a_reduce_in_the_sample_inputs,
]


def planted(base, folder, what):
    archive, marker = planting.Archive(base), folder / "ran"
    what(archive, marker)
    return archive.write(folder / "planted.pt2"), marker


@pytest.fixture
def heard():
    """Collects what happens that no reading should do."""
    found = []

    def hook(event, arguments):
        if listening and event in (
            "os.system",
            "os.mkdir",
            "ctypes.dlopen",
            "subprocess.Popen",
        ):
            found.append((event, arguments))

    listening = [True]
    sys.addaudithook(hook)
    yield found
    listening.clear()


@pytest.mark.parametrize("what", HOSTILE_ONES, ids=lambda each: each.__name__)
def test_a_hostile_archive_is_refused_and_nothing_runs(
    base, tmp_path, what, heard, monkeypatch
):
    """With the backstop taken away: the vetting is enough."""

    class Nothing:
        refused = None

    monkeypatch.setattr(loading, "refused_events", lambda _: contextlib.nullcontext(Nothing()))
    path, marker = planted(base, tmp_path, what)
    heard.clear()
    with pytest.raises(ModelError) as caught:
        load(path)
    assert not heard
    assert not marker.exists()
    assert len(str(caught.value)) - len(str(path)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "what",
    [with_suffix(".JSON"), legacy_decoy(".JSON"), enum_in("out_spec", one_escape)],
    ids=lambda each: each.__name__,
)
def test_the_backstop_stops_what_torch_would_read_unvetted(base, tmp_path, what, heard):
    path, marker = planted(base, tmp_path, what)
    pytree_cache = torch.utils._pytree.treespec_loads
    pytree_cache.cache_clear()
    with warnings.catch_warnings(), refused_events() as watch:
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):
            torch.export.load(path)
    assert watch.refused is not None
    assert not marker.exists()


def test_the_backstop_is_told_though_the_exception_is_swallowed():
    with refused_events() as watch, contextlib.suppress(BaseException):
        compile("1", "x", "eval")
    assert watch.refused is not None
    assert "run code" in watch.refused
    assert compile("1", "x", "eval")


@pytest.mark.parametrize("how", ["statement", "importlib"])
def test_the_backstop_stops_an_import_of_any_other_module(how, tmp_path, monkeypatch):
    (tmp_path / "planted_module.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with refused_events() as watch:
        if how == "statement":
            import planted_module  # noqa: F401
        else:
            importlib.import_module("planted_module")
    assert watch.refused == "import 'planted_module'"


def test_torch_may_import_its_own_late_modules_and_what_those_import(base):
    program = (
        "import sys, torch\nfrom trtdbg.archive.load import load\n"
        "assert 'torch._inductor.ops_handler' not in sys.modules\n"
        f"load({str(base)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["antigravity", "this", "cgitb"])
def test_a_module_that_is_imported_by_name_is_refused(name):
    sys.modules.pop(name, None)
    with refused_events() as watch, contextlib.suppress(BaseException):
        importlib.import_module(name)
    assert watch.refused == f"import {name!r}"
    assert name not in sys.modules


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("expr_str", "ceiling(exp(Integer(99999999999)))"),
        ("expr_str", "floor(exp(exp(Integer(64))))"),
        ("expr_str", "Pow(Integer(2), Symbol('s'))"),
        ("expr_str", "Float('1e999')"),
        ("guard", "((9**64)**64)**64 == 1"),
        ("guard", "PowByNatural(9, PowByNatural(9, 9)) == 1"),
        ("guard", "exit == 1"),
    ],
)
def test_what_never_ends_is_refused_in_no_time(base, tmp_path, key, text):
    def plant(archive, _marker):
        def edit(program):
            if key == "guard":
                program["guards_code"] = [text]
            else:
                size = {"as_expr": {"expr_str": text, "hint": None}}
                planting.first_tensor(program)["sizes"][0] = size

        archive.change(PROGRAM, edit)

    path, _ = planted(base, tmp_path, plant)
    with pytest.raises(ModelError, match="is refused"):
        load(path)


def test_a_name_with_a_dot_would_be_an_assignment_and_is_refused(base, tmp_path):
    def plant(archive, _marker):
        def edit(program):
            text = json.dumps(program).replace('"relu"', '"torch.load"')
            program.update(json.loads(text))

        archive.change(PROGRAM, edit)

    path, _ = planted(base, tmp_path, plant)
    with pytest.raises(ModelError, match=r"torch\.load"):
        load(path)


@pytest.mark.parametrize(
    "program", [b"\x80\x02R.", b"\x80\x02h\x05.", b"\x80\x02K\x01Q.", b"\x80\x02}\x81.", b""]
)
def test_a_damaged_pickle_is_one_line(base, tmp_path, program):
    def plant(archive, _marker):
        data = planting.saved_by_torch(((torch.rand(2),), {}))
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
            for name in old.namelist():
                damaged = name.endswith("data.pkl")
                new.writestr(name, program if damaged else old.read(name))
        archive.entries[planting.SAMPLES] = out.getvalue()

    path, _ = planted(base, tmp_path, plant)
    with pytest.raises(ModelError, match=r"sample_inputs/model\.pt"):
        load(path)


def test_a_healthy_archive_makes_the_backstop_hear_nothing(base):
    assert load(base).program is not None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_healthy_archive_reads_as_torch_reads_it(path):
    here, there = load(path).program, torch.export.load(path)
    assert parts(here) == parts(there)
    same_values(here, there)


def test_dynamic_shapes_and_nested_inputs_read_as_torch_reads_them(base):
    here, there = load(base).program, torch.export.load(base)
    assert parts(here) == parts(there)
    same_values(here, there)
    args, kwargs = there.example_inputs
    assert torch.equal(here.module()(*args, **kwargs)["o"], there.module()(*args)["o"])


def mutated(archive, seed):
    """Changes some bytes of the program's JSON, or of its container."""
    chosen = random.Random(seed)
    name = chosen.choice([PROGRAM, PROGRAM, planting.WEIGHTS, planting.CONSTANTS])
    data = bytearray(archive.entries[name])
    for _ in range(chosen.randint(1, 4)):
        place = chosen.randrange(len(data))
        what = chosen.choice(("flip", "cut", "copy", "digit"))
        if what == "flip":
            data[place] ^= 1 << chosen.randrange(7)
        elif what == "cut":
            del data[place : place + chosen.randint(1, 20)]
        elif what == "copy":
            data[place:place] = data[place : place + chosen.randint(1, 30)]
        else:
            data[place : place + 1] = str(chosen.randint(0, 99)).encode()
    archive.entries[name] = bytes(data)


def outcome(path):
    try:
        return load(path), None
    except ModelError as error:
        return None, error


def read_by_torch(path):
    """Returns None where torch refuses what is opened here, as a device that is unknown."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path)
    except Exception:
        return None


def check_mutants(base, folder, seeds, heard):
    opened = 0
    for seed in seeds:
        archive = planting.Archive(base)
        mutated(archive, seed)
        path = archive.write(folder / f"{seed}.pt2")
        heard.clear()
        here, error = outcome(path)
        assert not heard, seed
        if here is None:
            assert len(str(error)) - len(str(path)) < 500, seed
            continue
        there = read_by_torch(path)
        if there is not None:
            opened += 1
            assert parts(here.program) == parts(there), seed
    return opened


def test_mutated_archives_are_refused_or_read_as_torch_reads_them(base, tmp_path, heard):
    check_mutants(base, tmp_path, range(20), heard)


@pytest.mark.deep
def test_three_hundred_mutated_archives(base, tmp_path, heard):
    assert check_mutants(base, tmp_path, range(300), heard) > 10


UNSAFE = (
    "torch.ops.inductor._reinterpret_tensor.default",
    "torch.ops.aten.set_.source_Tensor_storage_offset",
    "torch.ops.aten._sparse_coo_tensor_unsafe.default",
    "torch.ops.aten._sparse_csr_tensor_unsafe.default",
    "torch.ops.aten._nested_view_from_buffer.default",
    "torch.ops.aten._reshape_alias.default",
    "torch.ops.prims.inductor_force_stride_order.default",
    "torch.ops.quantized.linear.default",
    "torch.ops.mkldnn._linear_pointwise.default",
)


@pytest.mark.parametrize("target", UNSAFE)
def test_an_operator_that_trusts_its_sizes_is_refused(base, tmp_path, target):
    def plant(archive, _marker):
        archive.change(PROGRAM, lambda p: planting.nodes(p)[0].update(target=target))

    path, _ = planted(base, tmp_path, plant)
    with pytest.raises(ModelError, match=r"may read memory beyond its tensors") as caught:
        load(path)
    assert target in str(caught.value)


@pytest.mark.parametrize("name", ["_unsafe_view", "_unsafe_index.Tensor", "as_strided", "mul"])
def test_an_operator_that_torch_emits_itself_is_admitted(name):
    from trtdbg.archive.operators import is_unsafe

    assert not is_unsafe(f"aten.{name}")


@pytest.mark.parametrize("layout", ["sparse", "nested"])
def test_odd_example_inputs_are_an_error_of_one_line(base, tmp_path, layout):
    odd = (
        torch.eye(3).to_sparse()
        if layout == "sparse"
        else torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    )

    def plant(archive, _marker):
        archive.entries[planting.SAMPLES] = planting.saved_by_torch(((odd,), {}))

    path, _ = planted(base, tmp_path, plant)
    with pytest.raises(ModelError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
