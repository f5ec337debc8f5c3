"""Lines that torch, TensorRT and the worker printed."""

from __future__ import annotations

from trtdbg.worker.messages import Log, LogLevel
from trtdbg_ui.text import Line, Tone, line

_LEVEL = {
    LogLevel.DEBUG: ("D", Tone.DIM),
    LogLevel.INFO: ("I", Tone.DIM),
    LogLevel.WARNING: ("W", Tone.WARN),
    LogLevel.ERROR: ("E", Tone.BAD),
}


def log_line(log: Log) -> Line:
    """Returns level, source and text."""
    sign, tone = _LEVEL[log.level]
    text = log.text.expandtabs(4).replace("\n", " ⏎ ").replace("\x1b", "␛")
    return line((f" {sign} ", tone), (f"{log.source:<14} ", Tone.DIM), text)
