"""Parses and vets what an archive holds of a program: its JSON, sizes, pickles.

torch.export.load unpickles freely where an archive says so, and for the rest falls back to
unpickling freely when the restricted way fails (2.13). Here each pickle is read as text first,
and `restricted_unpickling` keeps torch from any other way.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from trtdbg.archive import container as archives
from trtdbg.archive import trees, vetting
from trtdbg.archive.container import Archive
from trtdbg.archive.entries import Entries
from trtdbg.errors import ModelError

_FORCE: Final = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_FORCE_NOT: Final = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""Environment variables that torch.load obeys (2.13)."""

LEGACY_PROGRAM: Final = "serialized_exported_program.json"


@dataclass(frozen=True)
class Vetted:
    """What torch is handed of a program: parsed by trtdbg, vetted, written anew."""

    name: str
    program: dict[str, Any]
    weights: dict[str, Any] | None
    """The configuration of the weights; None where one file of torch.save holds them all."""
    constants: dict[str, Any] | None


def vetted(entries: Entries, name: str, *, trust: bool, pickles: bool = True) -> Vetted:
    """Reads the JSON of a program and the pickles that it names, and runs nothing.

    Args:
        entries: the file, whose structure is sound.
        name: the program's name in the archive; not looked at in an archive of torch 2.7.
        trust: let code pass; sizes that cannot be are refused all the same.
        pickles: look at the pickles too, for which torch is imported.

    Raises:
        ModelError: something in it would run code, or cannot be what an export wrote.
    """
    program = f"models/{name}.json" if entries.archive.programs else LEGACY_PROGRAM
    parsed = _json(entries, program)
    _check_program(entries.archive, program, parsed, trust=trust)
    configs = [
        _config(entries, kind, name, trust=trust, pickles=pickles)
        for kind in ("weights", "constants")
    ]
    return Vetted(name, parsed, *configs)


def check_pickles(entries: Entries) -> None:
    """Looks at the files of torch.save that an archive holds besides single tensors.

    Raises:
        ModelError: one names more than tensors are made of, or is damaged.
    """
    for name in sorted(filter(_PICKLE.fullmatch, entries.archive.entries)):
        _check_pickle(entries.archive, name, entries.read(name))


def _config(
    entries: Entries, kind: str, name: str, *, trust: bool, pickles: bool
) -> dict[str, Any] | None:
    entry = f"data/{kind}/{name}_{kind}_config.json"
    if f"data/{kind}/{name}.pt" in entries or not entries.archive.programs:
        return None
    parsed = _json(entries, entry)
    _check_payloads(entries, entry, parsed, trust=trust, pickles=pickles)
    return parsed


_PICKLE: Final = re.compile(
    r"data/(weights|constants|sample_inputs)/\w+\.pt|serialized_\w+\.pt", re.ASCII
)


@contextlib.contextmanager
def restricted_unpickling() -> Iterator[None]:
    """Makes every torch.load inside as with weights_only=True, whatever it is called with."""
    before = {name: os.environ.get(name) for name in (_FORCE, _FORCE_NOT)}
    os.environ.pop(_FORCE_NOT, None)
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _json(entries: Entries, name: str) -> dict[str, Any]:
    archive = entries.archive
    if name not in entries:
        raise _refused(archive, f"{name} is missing")
    try:
        value = trees.loads(entries.read(name).decode("utf-8"))
    except ValueError as cause:
        raise _refused(archive, f"{name} is not what torch writes: {cause}"[:200]) from cause
    if not isinstance(value, dict):
        raise _refused(archive, f"{name} holds no object")
    if _depth(value) > vetting.MOST_NESTED:
        raise _refused(
            archive, f"{name} is nested more than {vetting.MOST_NESTED} levels deep"
        )
    return value


def _depth(value: object) -> int:
    """Returns how deep lists and objects are nested, up to one more than is allowed."""
    level: list[Any] = [value]
    depth = 0
    while level and depth <= vetting.MOST_NESTED:
        level = [
            item
            for found in level
            for item in (found.values() if isinstance(found, dict) else found)
            if isinstance(item, (dict, list))
        ]
        depth += 1
    return depth


def _check_program(archive: Archive, name: str, program: Any, *, trust: bool) -> None:
    impossible = vetting.first_impossible_value(program)
    if impossible is not None:
        raise _refused(archive, f"{name}: {impossible}")
    if trust:
        return
    try:
        vetting.clean(program)
    except vetting.CodeError as cause:
        raise _refused(archive, f"{name}: {cause}", archives.TRUST) from cause


def _check_payloads(
    entries: Entries, name: str, config: Any, *, trust: bool, pickles: bool
) -> None:
    archive = entries.archive
    payloads = config.get("config") if isinstance(config, dict) else None
    if not isinstance(payloads, dict):
        raise _refused(archive, f"{name} lists no payloads")
    impossible = vetting.first_impossible_value(config)
    if impossible is not None:
        raise _refused(archive, f"{name}: {impossible}")
    folder = name.rpartition("/")[0]
    pickled: set[str] = set()
    for owner, payload in payloads.items():
        file = payload.get("path_name") if isinstance(payload, dict) else None
        entry = f"{folder}/{file}"
        if not isinstance(file, str) or "/" in file or entry not in archive.entries:
            raise _refused(archive, f"{name}: {owner!r} is in {file!r}, which is no entry")
        if trust:
            continue
        if file.startswith(archives.OBJECT_PREFIXES):
            raise _refused(
                archive,
                f"the constant {owner!r} ({entry}) is an object that unpickles itself",
                archives.TRUST,
            )
        if payload.get("use_pickle"):
            pickled.add(entry)
    for entry in sorted(pickled) if pickles else ():
        _check_pickle(archive, entry, entries.read(entry))


def _check_pickle(archive: Archive, name: str, data: bytes) -> None:
    """Refuses a torch.save file that names anything but what tensors are made of."""
    if not data:
        return
    try:
        inner = archives.entries_of(io.BytesIO(data))
    except ValueError as cause:
        found = _globals_named(data)
        calls = f", a pickle that names {found[0]}" if found else ""
        raise _refused(
            archive, f"{name} is not what torch.save writes{calls}", archives.TRUST
        ) from cause
    problem = archives.structural_problem(inner) or archives.bomb_in(inner)
    if problem is not None:
        raise _refused(archive, f"{name} is a malformed archive: {problem}")
    # Only this needs torch: a wrong file is known for one before torch is imported.
    import torch

    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
    except Exception as cause:  # torch raises what its reader and its scanner come upon.
        found = _globals_named(_pickle_in(data))
        calls = f" and names {found[0]}" if found else ""
        raise _refused(
            archive, f"the pickle in {name} cannot be checked{calls}", archives.TRUST
        ) from cause
    if unsafe:
        raise _refused(archive, f"the pickle in {name} names {min(unsafe)}", archives.TRUST)


def _pickle_in(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            name = next((n for n in opened.namelist() if n.endswith("/data.pkl")), None)
            return opened.read(name) if name is not None else b""
    except archives.ZIP_ERRORS:
        return b""


def _globals_named(pickled: bytes) -> list[str]:
    """Returns the globals of a pickle that torch's scanner cannot read, for the message."""
    found: list[str] = []
    texts: list[str] = []
    with contextlib.suppress(ValueError, IndexError, UnicodeDecodeError):
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL":
                found.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL" and len(texts) >= 2:
                found.append(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    return found


def _refused(archive: Archive, why: str, remedy: str | None = None) -> ModelError:
    return ModelError(f"{archive.path} is refused: {why}", remedy=remedy or archives.DAMAGED)
