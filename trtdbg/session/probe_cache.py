"""Keeps TensorRT's answers about nodes on disk, and what it was asked when it died.

One file per TensorRT, target and torch_tensorrt; a journal per asking process beside it. A
journal whose process is gone says which questions ended it: a single one is a verdict
(`crashed`), several become suspects and are asked one by one.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import msgspec
import platformdirs

from trtdbg import files
from trtdbg.records import Dtype, Environment, Verdict
from trtdbg.stages.probe import Answer, Memory

CRASH_SENTENCE = "TensorRT ended the process when it was asked about this node"
MOST_ANSWERS = 20_000
"""Oldest answers beyond this number are dropped, which bounds the file to some megabytes."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    verdict: Verdict
    reason: str | None
    dtype: Dtype


class ProbeCache:
    """The answers of one TensorRT for one target, shared by every model."""

    def __init__(self, environment: Environment, target: str | None) -> None:
        """Reads the answers and the journals of processes that are gone."""
        gpu = environment.gpu.compute_capability if environment.gpu is not None else "none"
        words = (
            environment.flavour,
            environment.tensorrt,
            environment.torch_tensorrt,
            target or f"gpu{gpu}",
        )
        name = re.sub(r"[^\w.]+", "_", "-".join(str(word) for word in words))
        self._folder = Path(platformdirs.user_cache_dir("trtdbg")) / "probe"
        self._path = self._folder / f"{name}.msgpack"
        # Machines may share the folder, and tell nothing of each other's processes.
        self._stem = f"{name}.{platform.node()}"
        self._journal = self._folder / f"{self._stem}.{os.getpid()}.asking"
        self.memory = Memory(self._read(), self._announce)
        self._learn_from_crashes()

    def save(self) -> None:
        """Writes the answers; a cache that cannot be written is no reason to stop."""
        entries = {
            key: _Entry(answer.verdict, answer.reason, answer.dtype)
            for key, answer in list({**self._read(), **self.memory.answers}.items())[
                -MOST_ANSWERS:
            ]
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            files.replace(self._path, msgspec.msgpack.encode(entries))
            self._journal.unlink(missing_ok=True)
        except OSError:
            return

    def _read(self) -> dict[str, Answer]:
        try:
            entries = msgspec.msgpack.decode(self._path.read_bytes(), type=dict[str, _Entry])
        except (OSError, msgspec.MsgspecError):
            # No cache, or one of another version: it is made anew.
            return {}
        return {key: Answer(e.verdict, e.reason, e.dtype) for key, e in entries.items()}

    def _announce(self, signatures: list[str]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._journal.write_text("\n".join(signatures))
        except OSError:
            return

    def _learn_from_crashes(self) -> None:
        for journal in self._folder.glob(f"{self._stem}.*.asking"):
            pid = journal.name.split(".")[-2]
            if not pid.isdigit() or _is_alive(int(pid)):
                continue
            try:
                signatures = journal.read_text().split()
                journal.unlink()
            except OSError:
                continue
            if len(signatures) == 1:
                crash = Answer(Verdict.CRASHED, CRASH_SENTENCE)
                self.memory.answers[signatures[0]] = crash
            else:
                self.memory.suspects.update(signatures)
        if self.memory.answers:
            self.save()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
