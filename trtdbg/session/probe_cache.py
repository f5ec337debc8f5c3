"""Keeps TensorRT's answers about nodes on disk, one file per TensorRT, target and GPU.

What ended a worker is not decided here: only its parent knows how it ended, and says so with
the next request (`trtdbg.worker.history`).
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from pathlib import Path

import msgspec
import platformdirs

from trtdbg import sealed
from trtdbg.records import Dtype, Environment, Verdict
from trtdbg.stages.probe import Memory, TensorrtAnswer
from trtdbg.worker.messages import Lessons

CRASH_SENTENCE = "TensorRT ended the process each time it was asked about this node"
MOST_ANSWERS = 20_000
"""Oldest answers beyond this number are dropped, which bounds the file to some megabytes."""


class _AnswerEntry(msgspec.Struct, frozen=True, array_like=True):
    verdict: Verdict
    reason: str | None
    dtype: Dtype


class ProbeCache:
    """The answers of one TensorRT for one target, shared by every model."""

    def __init__(
        self, environment: Environment, target: str | None, lessons: Lessons | None = None
    ) -> None:
        """Reads the answers.

        Args:
            environment: says which TensorRT answers.
            target: compute capability that is built for; None is the GPU of this machine.
            lessons: what earlier workers ended on, as their parent tells it.
        """
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
        self.memory = Memory(self._read())
        self.memory.suspects |= _old_suspects(self._folder, f"{name}.{platform.node()}")
        if lessons is not None:
            self._learn(lessons)

    def save(self) -> None:
        """Writes the answers; a cache that cannot be written is no reason to stop."""
        answers = {**self._read(say=False), **self.memory.answers}
        entries = {
            key: _AnswerEntry(answer.verdict, answer.reason, answer.dtype)
            for key, answer in list(answers.items())[-MOST_ANSWERS:]
        }
        with contextlib.suppress(OSError):
            sealed.write(self._path, msgspec.msgpack.encode(entries))

    def _read(self, *, say: bool = True) -> dict[str, TensorrtAnswer]:
        payload = sealed.read(self._path, say=say)
        if payload is None:
            return {}
        try:
            entries = msgspec.msgpack.decode(payload, type=dict[str, _AnswerEntry])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            if say:
                sealed.refuse(self._path, f"is unreadable ({type(error).__name__})")
            return {}
        return {
            key: TensorrtAnswer(e.verdict, e.reason, e.dtype) for key, e in entries.items()
        }

    def _learn(self, lessons: Lessons) -> None:
        self.memory.suspects.update(lessons.suspects)
        self.memory.left_out.update(dict.fromkeys(lessons.left_out, lessons.why_left_out))
        for signature in lessons.crashed:
            self.memory.answers[signature] = TensorrtAnswer(Verdict.CRASHED, CRASH_SENTENCE)
        if lessons.crashed:
            self.save()


def _old_suspects(folder: Path, stem: str) -> set[str]:
    """Returns what older versions left of questions that were open as a process ended.

    They do not say how it ended, so the questions are only asked one by one.
    """
    found: set[str] = set()
    for journal in folder.glob(f"{stem}.*.asking"):
        pid = journal.name.split(".")[-2]
        if not pid.isdigit() or _is_alive(int(pid)):
            continue
        with contextlib.suppress(OSError, ValueError):
            if journal.is_file():
                found.update(journal.read_text(encoding="ascii").split())
            journal.unlink()
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
