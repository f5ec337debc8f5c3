"""Copies archives entry by entry, as if they came from another device."""

import json

import torch


def rewrite(source, target, edit):
    """Copies an archive of torch, each entry through `edit(name, data)`."""
    reader = torch._C.PyTorchFileReader(str(source))
    own = {".data/version", ".data/serialization_id", "byteorder", "version"}
    writer = torch._C.PyTorchFileWriter(str(target))
    for name in reader.get_all_records():
        if name not in own:
            data = edit(name, reader.get_record(name))
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    return target


def on_device(source, target, kind, index):
    """Copies an archive as if it had been exported on another device."""
    location = f"{kind}:{index}".encode()

    def in_json(value):
        if isinstance(value, list):
            return [in_json(item) for item in value]
        if not isinstance(value, dict):
            # The device type of an autocast region is a plain string.
            return kind if value == "cpu" else value
        if value == {"type": "cpu", "index": None}:
            return {"type": kind, "index": index}
        return {key: in_json(item) for key, item in value.items()}

    def in_pickle(name, data):
        cpu = b"X\x03\x00\x00\x00cpu"
        there = b"X" + len(location).to_bytes(4, "little") + location
        return data.replace(cpu, there) if name == "data.pkl" else data

    def edit(name, data):
        if name.endswith(".json"):
            return json.dumps(in_json(json.loads(data))).encode()
        if name.startswith("data/sample_inputs/"):
            plain, moved = target.with_suffix(".in"), target.with_suffix(".out")
            plain.write_bytes(data)
            return rewrite(plain, moved, in_pickle).read_bytes()
        return data

    return rewrite(source, target, edit)
