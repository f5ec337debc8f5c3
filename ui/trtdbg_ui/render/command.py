"""The command line that shows again what the screen shows."""

from __future__ import annotations

import shlex
from typing import Final

from trtdbg.policy import TruncationPolicy, VerdictSource, changed_settings
from trtdbg.worker.messages import Access, Job
from trtdbg_ui.text import BLANK, Line, Tone, line, wrap


def command(job: Job, policy: TruncationPolicy) -> str:
    """Returns the command that opens the same model with the same policy and settings."""
    return _command(["trtdbg", job.model], job, policy)


def repro_command(job: Job, policy: TruncationPolicy, node: str) -> str:
    """Returns the command that writes a reproducer of what validators say of one node."""
    words = ["trtdbg", "repro", job.model, "-o", "repro", "--node", node]
    return _command(words, job, policy)


def reduction_command(job: Job, policy: TruncationPolicy, code: str = "TD503") -> str:
    """Returns the command that cuts what fails down: engines, or of TD501 the program."""
    words = ["trtdbg", "repro", job.model, "-o", "repro", "--code", code]
    return _command(words, job, policy)


_ENGINES: Final = (
    "No operator of it is named, and each is accepted by validators. This command builds it "
    "again in parts, until no operator can be left out and TensorRT still says the same, and "
)
_PROGRAM: Final = (
    "This command lowers the program again in parts, until no operator can be left out and "
    "the pass still raises the same, and "
)
_WRITES: Final = (
    "writes those operators as a .pt2 and a script. It can take minutes; with "
    "--time-limit 600 it ends with the fewest so far, with --resume FILE it goes on."
)


def reduction_lines(
    sentence: str, command: str, size: int, *, lowering: bool = False
) -> list[Line]:
    """Returns what was refused, what the command makes of it, and the command.

    Args:
        sentence: What TensorRT, or the lowering pass, says.
        command: What cuts the engine, or the program, down.
        size: Cells available.
        lowering: Whether a lowering pass raised.
    """
    what = (_PROGRAM if lowering else _ENGINES) + _WRITES
    return [
        *wrap(line((sentence, Tone.BAD)), size),
        BLANK,
        *wrap(line(what), size),
        BLANK,
        *wrap(line((command, Tone.STRONG)), size, indent=2),
    ]


def _command(words: list[str], job: Job, policy: TruncationPolicy) -> str:
    settings = job.settings
    words += policy.flags().split()
    words += ["--min-block-size", str(settings.min_block_size)]
    words += ["--partitioner", settings.partitioner.value]
    if settings.torch_executed_ops:
        words += ["--torch-executed-ops", ",".join(settings.torch_executed_ops)]
    if job.target is not None:
        words += ["--target", job.target]
    if policy.verdicts is VerdictSource.TENSORRT:
        words += ["--probe-seconds", f"{job.probe_seconds:g}"]
    words += _access_words(job.access)
    in_file = [
        f"{name} = {_toml(value)}" for name, value in changed_settings(settings).items()
    ]
    # These have no flag: whoever pastes the command is told what to put into a file.
    note = f"  # with --settings FILE: {', '.join(in_file)}" if in_file else ""
    return shlex.join(words) + note


def _access_words(access: Access) -> list[str]:
    words = ["--program", access.program] if access.program is not None else []
    words += ["--trust"] if access.trust else []
    for module in access.imports:
        words += ["--import", module]
    if access.memory_limit is not None:
        words += ["--memory-limit", str(access.memory_limit)]
    if access.time_limit is not None:
        words += ["--time-limit", f"{access.time_limit:g}"]
    return words


def _toml(value: object) -> str:
    return str(value).lower()


def saved_command(path: str) -> str:
    """Returns the command that opens the same saved report."""
    return shlex.join(["trtdbg", path])
