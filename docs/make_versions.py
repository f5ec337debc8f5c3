"""Writes docs/versions.md anew: what depends on the versions of torch and torch_tensorrt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from trtdbg.analysis.versions import READ
from trtdbg.compat import patches

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"

HEAD = """# Versions

Made by `docs/make_versions.py` from `trtdbg/compat`.

| what | versions |
| --- | --- |
| torch, torch_tensorrt | {read} (read and followed); CI runs {pinned} |
| TensorRT-RTX | {tensorrt} with torch_tensorrt {pinned} |
| standard TensorRT | not yet run by its authors |
| Python | 3.11 in CI; 3.12 and 3.13 are accepted |
| operating system | Linux for analysis and builds; saved reports open anywhere |

Another version gets one line on stderr and in `trtdbg doctor`: what trtdbg follows may have
changed. A `.pt2` that torch 2.13 saved opens in 2.14 (tried).

`.ci/run` runs the tests on {pinned}. One command runs the same files, as far as torch decides
about them, on another version, in an environment of its own (torch 2.14 with its CUDA packages
takes 5.8 GB and four minutes, the CPU build takes 1.2 GB); `.github/workflows/tests.yml` runs
both:

```sh
tests/versions.sh 2.14
```

What differs by version stands in one table, `tests/by_version.py`. Screens and pages are left
out: they ask torch nothing.

## Names that are replaced for a while

| name | where | why | if it is absent | read in |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Returns the page as Markdown."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    head = HEAD.format(
        read=" and ".join(READ),
        pinned=_pin(pins, "torch"),
        tensorrt=_pin(pins, "tensorrt_rtx"),
    )
    rows = [
        _row(f"`{p.module}.{p.name}`", f"`{p.where}`", p.reason, p.absent.value, p.version)
        for p in patches.PATCHES
    ]
    followed = "\n".join(_row(*each) for each in _followed())
    return (
        f"{head}{chr(10).join(rows)}\n\n## Sources that are followed\n\n"
        f"| file | function | source |\n| --- | --- | --- |\n{followed}\n"
    )


def _pin(pins: str, name: str) -> str:
    found = re.search(rf"^{name}==(\S+)$", pins, re.MULTILINE)
    assert found is not None
    return found[1]


def _followed() -> Iterator[tuple[str, str, str]]:
    for path in sorted((ROOT / "trtdbg" / "compat").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                continue
            text = ast.get_docstring(node) or ""
            if "Source:" not in text:
                continue
            source = " ".join(text.split("Source:", 1)[1].split("\n\n")[0].split())
            name = getattr(node, "name", "the whole file")
            yield (
                f"`{path.name}`",
                f"`{name}`" if name[0] != "t" or "_" in name else name,
                source,
            )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
