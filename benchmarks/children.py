"""Fresh processes, for what a process does once: imports, a peak of memory, a first frame."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from benchmarks.measure import CLOCK
from benchmarks.models import ROOT

_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Ended:
    """What a child took from its start to its end."""

    seconds: float
    """From start to end, or of the processor with all the processes that it started."""
    peak_mib: float
    """Its largest resident set."""
    output: str


def call(module: str, function: str, *arguments: str) -> Ended:
    """Calls a function with texts in a fresh interpreter."""
    code = f"import sys; from {module} import {function}; {function}(*sys.argv[1:])"
    return run([sys.executable, "-c", code, *arguments])


def run(command: list[str]) -> Ended:
    """Runs a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    paths = os.pathsep.join([str(ROOT), str(ROOT / "ui")])
    environment = os.environ | {"PYTHONPATH": paths}
    # Installed packages are compiled: a checkout that is compiled at each start measures that.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # Popen.wait throws the usage of this one child away.
        _, status, usage = os.wait4(child.pid, 0)
        spent = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode != 0:
        raise RuntimeError(f"{command} ended with {child.returncode}:\n{text}")
    if CLOCK.processor:
        spent = usage.ru_utime + usage.ru_stime
    return Ended(spent, usage.ru_maxrss / _KIB_PER_MIB, text)
