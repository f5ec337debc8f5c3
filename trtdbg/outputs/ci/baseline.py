"""Baselines: the findings that a project knows of, as a JSON file that is read in diffs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from trtdbg.analysis.checked import Fingerprint
from trtdbg.errors import UsageError
from trtdbg.files import read_bounded
from trtdbg.policy import Timing
from trtdbg.records import Record

BASELINE_SCHEMA = "trtdbg.baseline/1"
_MOST_MIB: Final = 64


class Baseline(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings that are known, and the timing under which they were found."""

    schema: str
    timing: Timing = Timing.LATE
    """What older versions took where nobody named one; they did not write it down."""
    findings: tuple[Fingerprint, ...]


class _BaselineHeader(msgspec.Struct):
    schema: str | None = None


def encode(fingerprints: Iterable[Fingerprint], timing: Timing) -> bytes:
    """Returns a baseline with one finding a line, sorted, so that a diff is telling."""
    found = sorted(set(fingerprints), key=_sorting)
    lines = [f"    {msgspec.json.encode(each).decode()}" for each in found]
    body = "\n{}\n  ".format(",\n".join(lines)) if lines else ""
    head = f'"schema": "{BASELINE_SCHEMA}",\n  "timing": "{timing.value}"'
    return f'{{\n  {head},\n  "findings": [{body}]\n}}\n'.encode()


def _sorting(fingerprint: Fingerprint) -> tuple[str | int, ...]:
    # None does not compare with names.
    return tuple(
        value if isinstance(value, int) else value or ""
        for value in msgspec.structs.astuple(fingerprint)
    )


def read(path: str) -> Baseline:
    """Reads a baseline that `--write-baseline` wrote.

    Raises:
        UsageError: it cannot be read, is no baseline, or is one of another version.
    """
    try:
        data = read_bounded(path, _MOST_MIB)
    except OSError as error:
        raise UsageError(
            f"cannot read the baseline {path}: {error.strerror or error}",
            remedy="--write-baseline FILE writes one",
        ) from error
    try:
        schema = msgspec.json.decode(data, type=_BaselineHeader).schema
        if schema == BASELINE_SCHEMA:
            return msgspec.json.decode(data, type=Baseline)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UsageError(f"{path} is not a baseline: {error}") from error
    if schema is None:
        raise UsageError(f"{path} is not a baseline: it names no schema")
    raise UsageError(
        f"{path} has the schema {schema!r}, this trtdbg reads {BASELINE_SCHEMA!r}",
        remedy="write it again with --write-baseline",
    )
