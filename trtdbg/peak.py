"""Peak memory of this process over a piece of work. Linux; elsewhere it is not known.

This is ground for the stage that builds, not a stage.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_PROCESS: Final = Path("/proc/self")
_PEAK: Final = re.compile(rb"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def forget_peak() -> bool:
    """Lets the peak begin anew; returns whether the operating system could.

    Source: proc_pid_clear_refs(5), value 5 (Linux 4.0).
    """
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int | None:
    """Returns the largest resident memory since `forget_peak`, in bytes; None if unknown."""
    try:
        found = _PEAK.search((_PROCESS / "status").read_bytes())
    except OSError:
        return None
    return int(found[1]) * 1024 if found is not None else None
