"""Writes docs/records.md anew: every record of a report, field by field, from the source."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "records.md"

MODULES = (
    *("report", "graph", "verdicts", "engines", "causes", "places", "changes", "numerics"),
    "boundary_graph",
)

HEAD = """# Records, field by field

Made by `docs/make_records.py` from `trtdbg/records`. A report is a tree of these frozen
records; its JSON has the same names. Keys may be added, never renamed. They are imported from
`trtdbg.records`.
"""


def page() -> str:
    """Returns the page as Markdown."""
    parts = [HEAD]
    for name in MODULES:
        tree = ast.parse((ROOT / "trtdbg" / "records" / f"{name}.py").read_text("utf-8"))
        parts.append(f"## {_first(ast.get_docstring(tree) or name)}\n")
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                parts.append(_record(node))
    return "\n".join(parts)


def _first(text: str) -> str:
    return text.split("\n\n")[0].replace("\n", " ").rstrip(".")


def _record(node: ast.ClassDef) -> str:
    lines = [f"### {node.name}\n"]
    bases = [ast.unparse(base) for base in node.bases if ast.unparse(base) != "Record"]
    doc = (ast.get_docstring(node) or "").replace("\n\n", "\n").replace("\n", " ")
    also = (
        f" Has the fields of {', '.join(bases)} too." if bases and bases[0] == "Sums" else ""
    )
    text = textwrap.fill(f"{doc}{also}", 120, break_long_words=False, break_on_hyphens=False)
    lines.append(f"{text}\n")
    rows = list(_fields(node))
    if rows:
        lines += ["| field | type | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _fields(node: ast.ClassDef) -> Iterator[str]:
    for place, item in enumerate(node.body):
        after = node.body[place + 1] if place + 1 < len(node.body) else None
        told = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            told = " ".join(str(after.value.value).split())
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            kind = ast.unparse(item.annotation)
            yield _row(item.target.id, kind, told)
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            yield _row(ast.unparse(item.value).strip("'"), "value", told)


def _row(*cells: str) -> str:
    name, kind, told = (cell.replace("|", "\\|") for cell in cells)
    return f"| `{name}` | {f'`{kind}`' if kind != 'value' else kind} | {told} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
