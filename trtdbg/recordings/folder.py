"""The folder of a recording, written and read without torch.

It may come from a stranger. What it says is read strictly: a key, a name or a number that a
recording of this version cannot have refuses it, and no name leads out of the folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from trtdbg import toml_file
from trtdbg.beside import INDEX, MODEL_SUFFIX, SETTINGS_SUFFIX
from trtdbg.errors import ModelError, UsageError
from trtdbg.plain import readable_path
from trtdbg.policy import Settings
from trtdbg.recordings import toml_text
from trtdbg.records import Front, Recorded
from trtdbg.settings import with_settings

SCHEMA: Final = "trtdbg.recording/1"

MOST_PROGRAMS: Final = 1000
_MOST_INDEX_BYTES: Final = 4 << 20
_MOST_SETTINGS_BYTES: Final = 1 << 20
_LONGEST: Final = 4000
"""Characters of a text; longer ones are cut as they are written, refused as they are read."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_MOST: Final = 2**53


class RecordedProgram(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded program: what there is to know without opening it."""

    path: str
    """Of its .pt2 file."""
    recorded: Recorded
    settings: Settings
    """What torch_tensorrt was called with."""


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was seen and could not be recorded."""

    call: str
    file: str
    line: int
    reason: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording as its folder says it."""

    folder: str
    script: str
    """What was run, as on a command line; "" if it was recorded from Python."""
    ended: str
    """How the script ended, in words."""
    versions: dict[str, str]
    programs: tuple[RecordedProgram, ...]
    skipped: tuple[Skipped, ...] = ()


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    script: str
    ended: str
    versions: dict[str, str] = {}
    program: tuple[_ProgramEntry, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class _ProgramEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    call: str
    file: str
    line: int
    nodes: int


class _SettingsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    front: Front
    settings: dict[str, Any]
    noted: dict[str, str] = {}
    inputs: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    graph_break: str | None = None


# --- writing ---


def cut(text: str) -> str:
    """Returns a text that is not too long for a recording."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def index_text(
    script: str,
    ended: str,
    versions: dict[str, str],
    entries: Sequence[dict[str, Any]],
    skipped: Sequence[dict[str, Any]],
) -> str:
    """Returns the text of `recording.toml`.

    Args:
        script: what was run.
        ended: how that ended.
        versions: of what ran, by package.
        entries: `name`, `call`, `file`, `line` and `nodes` of each program.
        skipped: `call`, `file`, `line` and `reason` of each call that is not recorded.
    """
    head = toml_text.comment(
        "Programs that reached torch_tensorrt, recorded by trtdbg. NAME.pt2 is the program,\n"
        "NAME.settings.toml what it was to be compiled with."
    )
    parts = [head, toml_text.table({"schema": SCHEMA, "script": cut(script), "ended": ended})]
    parts += ["\n[versions]\n", toml_text.table(versions)]
    parts += [f"\n[[program]]\n{_cut_table(entry)}" for entry in entries]
    parts += [f"\n[[skipped]]\n{_cut_table(entry)}" for entry in skipped]
    return "".join(parts)


def settings_text(
    recorded: Recorded, settings: dict[str, Any], inputs: Sequence[str] = ()
) -> str:
    """Returns the text of a program's settings file.

    Args:
        recorded: where and how torch_tensorrt was called.
        settings: values by the names of the fields of `Settings`.
        inputs: what the call said about inputs, in words.
    """
    noted = {name: cut(value) for name, value in recorded.noted}
    parts = [
        toml_text.comment(f"{recorded.call} at {recorded.file}:{recorded.line}"),
        toml_text.table(
            {
                "front": recorded.front.value,
                "graph_break": recorded.graph_break and cut(recorded.graph_break),
                "inputs": [cut(each) for each in inputs],
                "weights": [cut(each) for each in recorded.weights],
            }
        ),
        "\n[settings]\n",
        toml_text.table(settings),
    ]
    if noted:
        parts += ["\n# Not in force here.\n[noted]\n", toml_text.table(noted)]
    return "".join(parts)


def _cut_table(entry: dict[str, Any]) -> str:
    return toml_text.table({n: cut(v) if isinstance(v, str) else v for n, v in entry.items()})


# --- reading ---


def folder_of(path: str | Path) -> Path | None:
    """Returns the folder if `path` names a recording: it, or its `recording.toml`."""
    place = Path(path)
    if place.name == INDEX and place.is_file():
        return place.parent
    return place if (place / INDEX).is_file() else None


def read(folder: str | Path) -> Recording:
    """Returns what a recording's folder says.

    Raises:
        ModelError: it cannot be read, or is not as trtdbg writes it.
    """
    place = Path(folder)
    index = _read_index(place)
    return Recording(
        folder=str(place),
        script=index.script,
        ended=index.ended,
        versions=index.versions,
        programs=tuple(_program(place, entry) for entry in index.program),
        skipped=index.skipped,
    )


def recorded_program(model: str | Path) -> RecordedProgram | None:
    """Returns what was recorded with a .pt2 file; None if it is not one of a recording.

    Raises:
        ModelError: it is one of a recording that is not as trtdbg writes it.
    """
    file = Path(model)
    beside = file.with_name(INDEX)
    if file.suffix != MODEL_SUFFIX or not beside.is_file():
        return None
    for entry in _read_index(file.parent).program:
        if entry.name == file.name.removesuffix(MODEL_SUFFIX):
            return _program(file.parent, entry)
    return None


def _read_index(folder: Path) -> _Index:
    file = folder / INDEX
    values = _toml(file, _MOST_INDEX_BYTES)
    if values.get("schema") != SCHEMA:
        raise ModelError(
            f"{_shown(file)} is no recording that this version of trtdbg reads",
            remedy="record the script again",
        )
    index: _Index = _converted(values, _Index, file)
    if len(index.program) > MOST_PROGRAMS:
        raise _refused(file, f"it has more than {MOST_PROGRAMS} programs")
    names = [entry.name for entry in index.program]
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            raise _refused(file, f"{name[:80]!r} is no name of a program, or is there twice")
    return index


def _program(folder: Path, entry: _ProgramEntry) -> RecordedProgram:
    model = folder / f"{entry.name}{MODEL_SUFFIX}"
    file = folder / f"{entry.name}{SETTINGS_SUFFIX}"
    _check_stays_inside(model)
    said: _SettingsFile = _converted(_toml(file, _MOST_SETTINGS_BYTES), _SettingsFile, file)
    unknown = sorted(set(said.settings) - set(Settings.__struct_fields__))
    if unknown:
        raise _refused(
            file, f"there is no setting {unknown[0][:80]!r} in this version of trtdbg"
        )
    try:
        settings = with_settings(Settings(), said.settings, _shown(file))
    except UsageError as error:
        raise ModelError(error.message, remedy=error.remedy) from error
    return RecordedProgram(
        path=str(model),
        recorded=Recorded(
            name=entry.name,
            call=entry.call,
            file=entry.file,
            line=entry.line,
            nodes=entry.nodes,
            front=said.front,
            inputs=said.inputs,
            noted=tuple(said.noted.items()),
            weights=said.weights,
            graph_break=said.graph_break,
        ),
        settings=settings,
    )


def _check_stays_inside(file: Path) -> None:
    """Refuses a link: a folder that is handed on holds the files themselves."""
    try:
        mode = os.lstat(file).st_mode
    except OSError as error:
        raise ModelError(
            f"cannot read {_shown(file)}: {error.strerror or error}",
            remedy="record the script again",
        ) from error
    if not stat.S_ISREG(mode):
        raise _refused(file, "it is not a regular file")


def _toml(file: Path, most_bytes: int) -> dict[str, Any]:
    _check_stays_inside(file)
    try:
        with open(file, "rb") as opened:
            data = opened.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise _refused(file, f"it is larger than {most_bytes >> 20} MiB")
        values = toml_file.parse(data.decode("utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {_shown(file)}: {error.strerror or error}") from error
    except toml_file.TooDeepError as error:
        raise _refused(file, f"it has {error}") from error
    except ValueError as error:  # Endless numbers among them.
        raise ModelError(
            f"{_shown(file)} is not TOML: {str(error)[:160]}", remedy="record the script again"
        ) from error
    _check_bounds(values, file)
    return values


def _check_bounds(value: Any, file: Path) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            _check_bounds(name, file)
            _check_bounds(each, file)
    elif isinstance(value, list):
        for each in value:
            _check_bounds(each, file)
    elif isinstance(value, str) and len(value) > _LONGEST:
        raise _refused(file, f"a text in it is longer than {_LONGEST} characters")
    elif isinstance(value, int | float) and not -_MOST <= value <= _MOST:
        raise _refused(file, "a number in it is out of bounds")


def _converted(values: dict[str, Any], kind: type[Any], file: Path) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _refused(file, str(error)[:200]) from error


def _refused(file: Path, why: str) -> ModelError:
    return ModelError(f"{_shown(file)} is refused: {why}", remedy="record the script again")


def _shown(file: Path) -> str:
    return readable_path(str(file))
