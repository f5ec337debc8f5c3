"""The stored history: one line of JSON a run, without names of machines or folders."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from benchmarks.measure import Spread
from benchmarks.models import ROOT

FILE = ROOT / "benchmarks" / "history.jsonl"

_PACKAGES = ("torch", "torch-tensorrt", "torch-tensorrt-rtx", "textual", "msgspec")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One ratio."""

    row: str
    subject: str
    goal: float
    median: float
    least: float
    most: float
    ours: float
    reference: float
    unit: str
    rounds: int

    @classmethod
    def of(cls, row: str, subject: str, goal: float, spread: Spread) -> Result:
        """Returns a spread, rounded to what it is worth."""
        return cls(
            row=row,
            subject=subject,
            goal=goal,
            median=_rounded(spread.median),
            least=_rounded(spread.least),
            most=_rounded(spread.most),
            ours=_rounded(spread.ours),
            reference=_rounded(spread.reference),
            unit=spread.unit,
            rounds=spread.rounds,
        )

    @property
    def reached(self) -> bool:
        """Whether the median is at or under the goal."""
        return self.median <= self.goal


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the command."""

    time: str
    """In UTC, to the second."""
    commit: str | None
    """None where git does not know; with `+` if files were changed since."""
    cores: int | None
    python: str
    versions: dict[str, str]
    results: tuple[Result, ...]


def describe(results: tuple[Result, ...]) -> Run:
    """Returns a run of now on this machine."""
    now = datetime.datetime.now(datetime.UTC)
    return Run(
        time=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=_commit(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        versions={name: found for name in _PACKAGES if (found := _version(name)) is not None},
        results=results,
    )


def append(run: Run, path: Path = FILE) -> None:
    """Adds a run in one write, so that no line is ever cut."""
    line = msgspec.json.encode(run) + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError(f"the disk is full: {path} ends with a cut line")
    finally:
        os.close(descriptor)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None if described.returncode == 0 else None
