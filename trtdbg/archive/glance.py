"""A first look at a file, before torch is imported: most wrong files are known by then."""

from __future__ import annotations

from typing import Final

from trtdbg.archive import container, payloads
from trtdbg.archive.entries import Entries, opened

_MOST_BYTES: Final = 1 << 20
"""A larger program is vetted once, when it is read; to do it twice would cost a second."""


def glance(path: str, *, trust: bool, program: str | None) -> None:
    """Looks at the structure of a file, and vets the JSON of a program that is not large.

    Whoever reads the file looks again, at all of it.

    Args:
        path: the file.
        trust: as for `load`.
        program: as for `load`.

    Raises:
        ModelError: `load` would refuse the file for the same.
    """
    archive = container.inspect(path, trust=trust, digest=False)
    name = container.choose_program(archive, program)
    with opened(archive) as entries:
        if _json_bytes(entries, name) <= _MOST_BYTES:
            payloads.vetted(entries, name, trust=trust, pickles=False)


def _json_bytes(entries: Entries, name: str) -> int:
    names = [payloads.LEGACY_PROGRAM, f"models/{name}.json"]
    names += [f"data/{kind}/{name}_{kind}_config.json" for kind in ("weights", "constants")]
    return sum(entries.size_of(each) for each in names)
