"""Damages archives and reports as files are damaged, by accident or by intent."""

import io
import json
import zipfile

NASTY = (
    *(
        None,
        True,
        -1,
        0,
        3,
        1 << 31,
        1 << 63,
        1 << 80,
        0.5,
        float("nan"),
        float("inf"),
        "",
        "x",
    ),
    *("torch.ops.aten.add.Tensor", "torch.os.system", "../../x", "a\0b", "s0 + 1", "é" * 300),
    *([], {}, [[]], {"as_int": -1}, {"as_expr": {"expr_str": "9**9**9", "hint": None}}),
)


def mutated_archive(data, random):
    """Returns an archive with one to three mutations."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        kinds = (flipped, cut, overwritten, swapped, edited, edited, edited, edited, repeated)
        data = random.choice(kinds)(data, random)
    return data


def mutated_report(data, random):
    """Returns a saved report with one to three mutations."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        kinds = (flipped, cut, overwritten, edited_json, edited_json, edited_json, edited_json)
        data = random.choice(kinds)(data, random)
    return data


def flipped(data, random):
    changed = bytearray(data)
    for _ in range(random.choice((1, 2, 8))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(data, random):
    return data[: random.randrange(len(data) + 1)]


def overwritten(data, random):
    start = random.randrange(len(data) + 1)
    return data[:start] + random.randbytes(random.choice((1, 16, 300))) + data[start + 16 :]


def swapped(data, random):
    def swap(entries):
        one, other = random.choice(entries), random.choice(entries)
        one[1], other[1] = other[1], one[1]

    return _rewritten(data, swap)


def repeated(data, random):
    def repeat(entries):
        entries.insert(random.randrange(len(entries)), list(random.choice(entries)))

    return _rewritten(data, repeat)


def edited(data, random):
    def edit(entries):
        entry = random.choice([entry for entry in entries if entry[0].endswith(".json")])
        entry[1] = edited_json(entry[1], random)

    return _rewritten(data, edit)


def edited_json(data, random):
    """Returns JSON with one value replaced, removed or put in the place of another."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places = list(_places(value))
    if not places:
        return data
    parent, key = random.choice(places)
    kind = random.randrange(4)
    if kind == 0:
        del parent[key]
    elif kind == 1:
        other, its = random.choice(places)
        parent[key] = json.loads(json.dumps(other[its]))
    else:
        parent[key] = random.choice(NASTY)
    return json.dumps(value).encode()


def _places(value):
    rest = [value]
    while rest:
        found = rest.pop()
        if isinstance(found, dict | list):
            keys = found.keys() if isinstance(found, dict) else range(len(found))
            for key in keys:
                yield found, key
                rest.append(found[key])


def _rewritten(data, change):
    """Returns an archive with changed entries; what is damaged already stays as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            entries = [[name, opened.read(name)] for name in opened.namelist()]
        change(entries)
    except (zipfile.BadZipFile, OSError, ValueError, IndexError, NotImplementedError):
        return data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, content in entries:
            out.writestr(name, content)
    return buffer.getvalue()
