"""What the flags about programs, trust, imports and limits mean."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from trtdbg.errors import UsageError
from trtdbg.plain import readable_path
from trtdbg.worker.messages import Access

PLAIN_ACCESS: Final = Access()
"""Nothing trusted, nothing imported, no limits."""

_SIZE: Final = re.compile(
    r"(?P<number>\d{1,15}(\.\d{1,3})?) ?(?P<unit>[kmgt])?(i?b)?",
    re.IGNORECASE | re.ASCII,
)


_MOST: Final = 1 << 60
_LEAST: Final = 1 << 20
"""A smaller limit lacks its unit: a worker needs hundreds of times as much to start."""


def make_access(raw: dict[str, Any]) -> Access:
    """Makes of the raw option values which program is meant, what is trusted, and limits."""
    limit, seconds = raw.get("memory_limit"), raw.get("time_limit")
    loading = raw.get("load_limit")
    return Access(
        program=raw.get("program"),
        trust=bool(raw.get("trust")),
        imports=tuple(raw.get("import") or ()),
        memory_limit=None if limit is None else _memory_limit(limit),
        time_limit=None if seconds is None else float(seconds),
        load_limit=PLAIN_ACCESS.load_limit if loading is None else float(loading) or None,
    )


def _memory_limit(text: str) -> int:
    size = parse_size(text)
    if size < _LEAST:
        raise UsageError(
            f"--memory-limit: {text.strip()} is {size} bytes, in which no worker starts",
            remedy="write it like 8G",
        )
    return size


def parse_size(text: str, flag: str = "--memory-limit") -> int:
    """Returns the bytes that 8G, 500M, 1.5GiB or 4096 mean; letters count in 1024.

    Raises:
        UsageError: it is no size, or none.
    """
    match = _SIZE.fullmatch(text.strip())
    power = "bkmgt".index((match["unit"] or "b").lower()) if match else 0
    number = float(match["number"]) * 1024**power if match else 0
    size = int(number) if number < _MOST else 0
    if not size:
        raise UsageError(f"{flag}: {text!r} is not a size", remedy="write it like 8G")
    return size


def utf8(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuses names that the worker cannot be told.

    Raises:
        UsageError: a name is not UTF-8.
    """
    for name in value if isinstance(value, tuple) else [value or ""]:
        shown = readable_path(name)
        if shown != name:
            raise UsageError(
                f"{parameter.opts[0]}: the name {shown} is not UTF-8", remedy="rename it"
            )
    return value
