"""Writes recordings by hand, whose programs are no programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trtdbg import beside
from trtdbg.recordings import folder
from trtdbg.records import Recorded

ENTRY = {"name": "1-Net", "call": "torch_tensorrt.compile", "file": "a.py", "line": 3}


def made(place: Path, *, entries: Any = None, settings: dict[str, Any] | None = None) -> Path:
    """Writes a recording whose programs are no programs."""
    place.mkdir(exist_ok=True)
    entries = [{**ENTRY, "nodes": 7}] if entries is None else entries
    text = folder.index_text("a.py", "by itself", {"torch": "2.13"}, entries, [])
    (place / beside.INDEX).write_text(text, encoding="utf-8")
    for entry in entries:
        said = Recorded(
            name=entry["name"],
            call=entry["call"],
            file=entry["file"],
            line=entry["line"],
            nodes=entry["nodes"],
            noted=(("engine_cache_dir", 'a "quoted"\npath \x7f'),),
            weights=("w",),
            graph_break="a print",
        )
        values = {"min_block_size": 4} if settings is None else settings
        (place / f"{entry['name']}.settings.toml").write_text(
            folder.settings_text(said, values, ["0: float32 (2,)"]), encoding="utf-8"
        )
        (place / f"{entry['name']}.pt2").write_bytes(b"PK")
    return place
