"""Checks what an archive holds before torch.export reads it: programs, sizes, pickles.

torch.export.load unpickles freely where an archive says so, and for the rest falls back to
unpickling freely when the restricted way fails (2.13). Here each pickle is read as text first,
and `restricted_unpickling` keeps torch from any other way.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch

from trtdbg.archive import container as archives
from trtdbg.archive import vetting
from trtdbg.archive.container import Archive
from trtdbg.errors import ModelError

_FORCE: Final = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_FORCE_NOT: Final = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""Environment variables that torch.load obeys (2.13)."""

_CONFIG: Final = re.compile(r"data/(weights|constants)/.+_config\.json")
_PROGRAM: Final = re.compile(r"models/.+\.json|serialized_exported_program\.json")
_PICKLE: Final = re.compile(
    r"data/(weights|constants|sample_inputs)/.+\.pt|serialized_\w+\.pt"
)

_OBJECT_PREFIXES: Final = ("custom_obj_", "opaque_obj_")
"""Constants that are not tensors; torch unpickles them freely (2.13)."""

Read = Callable[[str], bytes]


def check(archive: Archive, *, trust: bool) -> None:
    """Reads what torch is about to read, and runs nothing.

    Args:
        archive: the file, whose structure is sound.
        trust: let code pass; sizes that cannot be are refused all the same.

    Raises:
        ModelError: something in it would run code, or cannot be what an export wrote.
    """
    read = _reader(archive)
    for name in sorted(archive.entries):
        if _PROGRAM.fullmatch(name):
            _check_program(archive, name, _json(archive, name, read), trust=trust)
        elif _CONFIG.fullmatch(name):
            _check_payloads(archive, name, _json(archive, name, read), read, trust=trust)
        elif _PICKLE.fullmatch(name) and not trust:
            _check_pickle(archive, name, read(name))


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


def _reader(archive: Archive) -> Read:
    """Returns what reads an entry, with the reader that torch itself will read it with."""
    read: Read
    if archive.legacy:
        read = functools.partial(_read_with_zipfile, archive)
    else:
        read = _intact(archive, lambda: torch._C.PyTorchFileReader(archive.path)).get_record
    return lambda name: bytes(_intact(archive, lambda: read(name)))


def _read_with_zipfile(archive: Archive, name: str) -> bytes:
    with zipfile.ZipFile(archive.path) as opened:
        return opened.read(archive.root + name)


def _intact(archive: Archive, opened: Callable[[], Any]) -> Any:
    """Returns what a reader yields, or says that the archive is damaged."""
    try:
        return opened()
    except (MemoryError, RecursionError):
        raise
    except Exception as cause:  # Each reader raises what it likes on a damaged archive.
        raise ModelError(
            f"{archive.path} is a truncated or damaged archive ({_sentence(cause)})",
            remedy=archives.DAMAGED,
        ) from cause


def _sentence(cause: Exception) -> str:
    lines = str(cause).splitlines() or [type(cause).__name__]
    return lines[0].partition(". ")[0]


def _json(archive: Archive, name: str, read: Read) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"it holds the number {constant}")

    try:
        value = json.loads(read(name), parse_constant=refuse)
    except RecursionError as cause:
        raise _refused(archive, f"{name} is nested too deeply") from cause
    except ValueError as cause:
        raise _refused(archive, f"{name} is not what torch writes: {cause}") from cause
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
    code = None if trust else vetting.first_code(program)
    if code is not None:
        raise _refused(archive, f"{name}: {code}, which could run code", archives.TRUST)


def _check_payloads(
    archive: Archive, name: str, config: Any, read: Read, *, trust: bool
) -> None:
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
        if file.startswith(_OBJECT_PREFIXES):
            raise _refused(
                archive,
                f"the constant {owner!r} ({entry}) is an object that unpickles itself",
                archives.TRUST,
            )
        if payload.get("use_pickle"):
            pickled.add(entry)
    for entry in sorted(pickled):
        _check_pickle(archive, entry, read(entry))


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
