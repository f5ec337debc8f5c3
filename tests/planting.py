"""Plants what could run, hang or lie into copies of a good archive."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import torch

PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"


class Planted:
    """Calls `function(*arguments)` when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Archive:
    """The entries of an archive by their names without its folder, to change and to write."""

    def __init__(self, source):
        with zipfile.ZipFile(source) as opened:
            self.root = opened.namelist()[0].partition("/")[0]
            self.entries = {
                name.partition("/")[2]: opened.read(name) for name in opened.namelist()
            }
        self.compressed = set()
        self.more = []
        """Pairs of a full name (or ZipInfo) and data, written as they are."""

    def change(self, name, edit):
        value = json.loads(self.entries[name])
        edit(value)
        self.entries[name] = json.dumps(value).encode()

    def write(self, path):
        with zipfile.ZipFile(path, "w") as out:
            for name, data in self.entries.items():
                kind = zipfile.ZIP_DEFLATED if name in self.compressed else zipfile.ZIP_STORED
                out.writestr(f"{self.root}/{name}", data, kind)
            for name, data in self.more:
                out.writestr(name, data)
        return path


def saved_by_torch(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def pickled(archive, config, name, file, data):
    """Plants a payload that the archive says is a pickle."""

    def edit(value):
        payloads = value["config"]
        first = next(iter(payloads.values()), {"tensor_meta": None, "is_param": False})
        payloads[name] = first | {"path_name": file, "use_pickle": True}

    archive.change(config, edit)
    archive.entries[f"{config.rpartition('/')[0]}/{file}"] = data


def nodes(program):
    return program["graph_module"]["graph"]["nodes"]


def first_tensor(program):
    return next(iter(program["graph_module"]["graph"]["tensor_values"].values()))


# Each plants one thing; `ran` is a folder that exists if it was run.


def os_system_in_a_weight(archive, ran):
    data = saved_by_torch(Planted(os.system, f"mkdir {ran}"))
    pickled(archive, WEIGHTS, "linear.weight", "weight_9", data)


def eval_in_a_weight_that_is_no_zip(archive, ran):
    data = pickle.dumps(Planted(eval, f"__import__('os').mkdir({str(ran)!r})"))
    pickled(archive, WEIGHTS, "linear.weight", "weight_9", data)


def a_reduce_in_a_constant(archive, ran):
    data = saved_by_torch(Planted(os.mkdir, str(ran)))
    pickled(archive, CONSTANTS, "offset", "tensor_9", data)


def a_reduce_under_a_fifth_protocol(archive, ran):
    data = saved_by_torch(Planted(os.mkdir, str(ran)), pickle_protocol=5)
    pickled(archive, CONSTANTS, "offset", "tensor_9", data)


def an_object_that_unpickles_itself(archive, ran):
    data = pickle.dumps(Planted(os.mkdir, str(ran)))
    pickled(archive, CONSTANTS, "offset", "opaque_obj_0", data)


def a_reduce_in_the_sample_inputs(archive, ran):
    archive.entries[SAMPLES] = saved_by_torch(((Planted(os.mkdir, str(ran)),), {}))


def an_old_checkpoint_as_sample_inputs(archive, ran):
    archive.entries[SAMPLES] = saved_by_torch(
        Planted(os.mkdir, str(ran)), _use_new_zipfile_serialization=False
    )


def a_plain_pickle_as_sample_inputs(archive, ran):
    archive.entries[SAMPLES] = pickle.dumps(Planted(exec, f"import os; os.mkdir('{ran}')"))


def a_pickle_as_weights_of_an_older_torch(archive, ran):
    archive.entries["data/weights/model.pt"] = saved_by_torch(
        {"w": Planted(os.mkdir, str(ran))}
    )


def code_in_a_symbolic_size(archive, ran):
    def edit(program):
        code = f"__import__('os').mkdir('{ran}')"
        first_tensor(program)["sizes"][0] = {"as_expr": {"expr_str": code, "hint": None}}

    archive.change(PROGRAM, edit)


def code_in_a_text_of_a_symbolic_size(archive, ran):
    def edit(program):
        code = f"Max(\"__import__('os').mkdir('{ran}')\", 1)"
        first_tensor(program)["sizes"][0] = {"as_expr": {"expr_str": code, "hint": None}}

    archive.change(PROGRAM, edit)


def code_in_a_guard(archive, ran):
    guard = f"__import__('os').mkdir('{ran}') is None"
    archive.change(PROGRAM, lambda program: program.update(guards_code=[guard]))


def code_in_the_name_of_an_input(archive, ran):
    def edit(program):
        code = f"x=__import__('os').mkdir('{ran}')"
        text = json.dumps(program).replace('"x"', json.dumps(code))
        program.update(json.loads(text))

    archive.change(PROGRAM, edit)


def code_in_the_name_of_an_argument(archive, ran):
    def edit(program):
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        signature["forward_arg_names"] = [f"x=__import__('os').mkdir('{ran}')"]

    archive.change(PROGRAM, edit)


def code_in_the_name_of_a_parameter(archive, ran):
    def edit(program):
        code = f"a\") or __import__('os').mkdir('{ran}') or (\""
        text = json.dumps(program).replace('"linear.weight"', json.dumps(code))
        program.update(json.loads(text))

    archive.change(PROGRAM, edit)


def os_system_as_an_operator(archive, ran):
    def edit(program):
        text = {"arg": {"as_string": f"mkdir {ran}"}, "name": "", "kind": 1}
        nodes(program)[0].update(target="torch.os.system", inputs=[text])

    archive.change(PROGRAM, edit)


def a_library_loaded_as_an_operator(archive, ran):
    def edit(program):
        nodes(program)[0].update(target="torch.ops.load_library.__call__")

    archive.change(PROGRAM, edit)


def a_file_mapped_by_an_operator(archive, ran):
    archive.change(PROGRAM, lambda p: nodes(p)[0].update(target="torch.ops.aten.from_file"))


def an_operator_as_an_argument(archive, ran):
    def edit(program):
        nodes(program)[0]["inputs"][0]["arg"] = {"as_operator": "torch.os.system"}

    archive.change(PROGRAM, edit)


def a_module_imported_by_the_inputs(archive, ran):
    def edit(program):
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        context = {
            "default_factory_module": "antigravity",
            "default_factory_name": "fly",
            "dict_context": [],
        }
        tree = {"type": "collections.defaultdict", "context": context, "children_spec": []}
        signature["out_spec"] = json.dumps([1, tree])

    archive.change(PROGRAM, edit)


def a_class_looked_up_by_the_inputs(archive, ran):
    def edit(program):
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        context = json.dumps([{"__enum__": True, "fqn": "antigravity:fly", "name": "x"}])
        tree = {"type": "builtins.dict", "context": context, "children_spec": []}
        signature["in_spec"] = json.dumps([1, tree])

    archive.change(PROGRAM, edit)


def a_size_that_takes_ages_to_compute(archive, ran):
    def edit(program):
        code = "Pow(Pow(Pow(Integer(9), Integer(60)), Integer(60)), Integer(60))"
        first_tensor(program)["sizes"][0] = {"as_expr": {"expr_str": code, "hint": None}}

    archive.change(PROGRAM, edit)


def a_bomb_of_zeros(archive, ran):
    archive.entries["data/weights/weight_0"] = bytes(200 << 20)
    archive.compressed.add("data/weights/weight_0")


def a_bomb_inside_the_sample_inputs(archive, ran):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("archive/data.pkl", bytes(100 << 20))
    archive.entries[SAMPLES] = buffer.getvalue()


def zips_inside_zips(archive, ran):
    data = b"PK"
    for _ in range(5):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as inner:
            inner.writestr("archive/data.pkl", data)
        data = buffer.getvalue()
    archive.entries[SAMPLES] = data


def a_name_that_leads_out(archive, ran):
    archive.more.append((f"{archive.root}/../../{ran.name}", b"x"))


def an_absolute_name(archive, ran):
    archive.more.append((f"/{ran}", b"x"))


def a_payload_outside_of_its_folder(archive, ran):
    def edit(value):
        next(iter(value["config"].values()))["path_name"] = "../../models/model.json"

    archive.change(WEIGHTS, edit)


def a_symbolic_link(archive, ran):
    link = zipfile.ZipInfo(f"{archive.root}/data/weights/weight_7")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    archive.more.append((link, b"/etc/passwd"))


def two_entries_of_one_name(archive, ran):
    archive.more.append((f"{archive.root}/{PROGRAM}", b"{}"))


def two_entries_that_differ_in_case(archive, ran):
    archive.more.append((f"{archive.root}/models/MODEL.json", b"{}"))


def an_unknown_entry(archive, ran):
    archive.more.append((f"{archive.root}/setup.py", b"import os"))


def json_of_many_levels(archive, ran):
    archive.entries[PROGRAM] = b"[" * 200_000 + b"]" * 200_000


def json_of_some_levels(archive, ran):
    archive.entries[PROGRAM] = b'{"a":' * 300 + b"1" + b"}" * 300


def a_size_that_is_no_number(archive, ran):
    archive.change(PROGRAM, lambda p: first_tensor(p).update(sizes=[{"as_int": float("nan")}]))


def a_negative_shape(archive, ran):
    archive.change(PROGRAM, lambda p: first_tensor(p).update(sizes=[{"as_int": -4}]))


def a_shape_of_a_weight_beyond_memory(archive, ran):
    def edit(value):
        meta = next(iter(value["config"].values()))["tensor_meta"]
        meta["sizes"] = [{"as_int": 1 << 60}]

    archive.change(WEIGHTS, edit)


def a_stride_of_a_weight_that_is_negative(archive, ran):
    def edit(value):
        meta = next(iter(value["config"].values()))["tensor_meta"]
        meta["storage_offset"] = {"as_int": -8}

    archive.change(WEIGHTS, edit)


RUNNING = (
    os_system_in_a_weight,
    eval_in_a_weight_that_is_no_zip,
    a_reduce_in_a_constant,
    a_reduce_under_a_fifth_protocol,
    an_object_that_unpickles_itself,
    a_reduce_in_the_sample_inputs,
    an_old_checkpoint_as_sample_inputs,
    a_plain_pickle_as_sample_inputs,
    a_pickle_as_weights_of_an_older_torch,
    code_in_a_symbolic_size,
    code_in_a_text_of_a_symbolic_size,
    code_in_a_guard,
    code_in_the_name_of_an_input,
    code_in_the_name_of_an_argument,
    code_in_the_name_of_a_parameter,
    os_system_as_an_operator,
    a_library_loaded_as_an_operator,
    a_file_mapped_by_an_operator,
    an_operator_as_an_argument,
    a_module_imported_by_the_inputs,
    a_class_looked_up_by_the_inputs,
    a_size_that_takes_ages_to_compute,
    a_bomb_of_zeros,
    an_unknown_entry,
)
"""What --trust lets pass."""

IMPOSSIBLE = (
    a_bomb_inside_the_sample_inputs,
    zips_inside_zips,
    a_name_that_leads_out,
    an_absolute_name,
    a_payload_outside_of_its_folder,
    a_symbolic_link,
    two_entries_of_one_name,
    two_entries_that_differ_in_case,
    json_of_many_levels,
    json_of_some_levels,
    a_size_that_is_no_number,
    a_negative_shape,
    a_shape_of_a_weight_beyond_memory,
    a_stride_of_a_weight_that_is_negative,
)
"""What no export writes."""


def plant(source, folder, what):
    """Writes a copy with one thing planted; returns its path and where a trace would be."""
    archive, ran = Archive(source), Path(folder) / "ran"
    what(archive, ran)
    return archive.write(Path(folder) / f"{what.__name__}.pt2"), ran


def with_a_false_size(path, gigabytes):
    """Makes the directory of an archive promise a larger first weight."""
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\x01\x02", 0, data.rindex(b"data/weights/weight_0"))
    struct.pack_into("<I", data, start + 24, min(gigabytes << 30, 0xFFFF_FFFE))
    path.write_bytes(data)
    return path
