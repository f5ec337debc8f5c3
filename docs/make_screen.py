"""Draws the pictures of README and docs: the UI on a bundled sample, analysed for real.

Run it from anywhere, with trtdbg installed: `python docs/make_screen.py`. Each picture is one
`trtdbg MODEL --screenshot FILE --press KEYS`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = "samples/attention_float64.pt2"
PICTURES: dict[str, tuple[str, ...]] = {
    "screen.svg": ("--timing", "upstream"),
    "tour-1-why.svg": ("--timing", "upstream", "--press", "A"),
    "tour-2-passes.svg": ("--timing", "upstream", "--press", "{ { u 3"),
    "tour-3-explain.svg": ("--timing", "upstream", "--press", "e"),
    "tour-4-late.svg": ("--timing", "upstream", "--press", "t"),
    "tour-5-built.svg": ("--timing", "late", "--press", "b"),
    "tour-6-matrix.svg": ("--timing", "upstream", "--press", "m"),
    "tour-7-changed.svg": ("--timing", "upstream", "--press", "t D"),
}
"""Files in docs/ with the flags that make them."""


def main() -> int:
    """Draws all pictures; returns the exit code of the first that fails."""
    # A built engine is to be shown as one that was built, whoever has one kept from before.
    environment = os.environ | {"TRTDBG_ENGINE_CACHE_MIB": "0"}
    for name, flags in PICTURES.items():
        file = str(ROOT / "docs" / name)
        command = [sys.executable, "-m", "trtdbg", MODEL, *flags]
        command += ["--theme", "dark", "--screenshot", file, "--force"]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
