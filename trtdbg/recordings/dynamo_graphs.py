"""Saves what `torch.compile` hands to torch_tensorrt's backend: one program a dynamo graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trtdbg.recordings.recorder import Call


def save(path: Path, gm: Any, sample_inputs: Any, options: Any, call: Call) -> tuple[int, str]:
    """Writes a dynamo graph as a program; returns its nodes and its settings file's text."""
    raise NotImplementedError("torch.compile is not recorded yet")
