"""`trtdbg cache`: what is kept of earlier analyses and builds, how much, and the end of it."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from trtdbg.cache.folders import PLACES, Place, root, write_bound
from trtdbg.commands import models as shared
from trtdbg.commands.access import parse_size
from trtdbg.commands.options import (
    SectionedCommand,
    force_option,
    json_option,
    verbose_option,
)
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UsageError
from trtdbg.files import refuse_existing

SCHEMA = "trtdbg.cache/1"
_BOUNDED = tuple(place for place in PLACES if place.variable is not None)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What one cache holds."""

    name: str
    holds: str
    folder: str
    files: int
    bytes: int
    bound: int | None
    """Most bytes; 0 if nothing is kept, None if there is no bound of this kind."""


class Caches(msgspec.Struct, frozen=True, kw_only=True):
    """All caches."""

    schema: str = SCHEMA
    folder: str
    caches: tuple[Held, ...]


def _bounds(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[Place, int], ...]:
    return tuple(_bound(value) for value in values)


def _bound(text: str) -> tuple[Place, int]:
    name, equals, size = text.partition("=")
    if not equals:
        name, size = _BOUNDED[0].name, text
    place = next((each for each in _BOUNDED if each.name == name.strip()), None)
    if place is None:
        names = " or ".join(each.name for each in _BOUNDED)
        raise UsageError(f"--bound: there is no cache {name.strip()!r}", remedy=f"use {names}")
    return place, 0 if size.strip() == "0" else parse_size(size, "--bound")


@click.command(cls=SectionedCommand)
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="[NAME=]SIZE",
    callback=_bounds,
    help="Let a cache hold so much from now on, like 2G or engines=500M; 0 keeps nothing. "
    "Without a name it is the cache of analyses.",
)
@click.option("--clear", is_flag=True, help="Remove everything that the caches hold.")
@click.option(
    "--only",
    type=click.Choice([place.name for place in PLACES]),
    help="Show or clear this cache and leave the others.",
)
@json_option
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    bounds: tuple[tuple[Place, int], ...],
    clear: bool,
    only: str | None,
    json_to: str | None,
    force: bool,
) -> ExitCode:
    """Show what the caches hold, bound them, or clear them.

    An analysis is kept by content: file, modules of --import, policy, settings, target, GPU,
    and what is installed. It is read only if it is whole and yours, and never after one of
    these changed. Files opened with --trust are not kept.
    """
    return run(shell, bounds=bounds, clear=clear, only=only, json_to=json_to, force=force)


def run(
    shell: Shell,
    *,
    bounds: tuple[tuple[Place, int], ...] = (),
    clear: bool = False,
    only: str | None = None,
    json_to: str | None = None,
    force: bool = False,
) -> ExitCode:
    """Bounds and clears what is to be, and shows what the caches hold then."""
    if json_to not in (None, "-"):
        refuse_existing(json_to, force=force)
    chosen = [place for place in PLACES if only in (None, place.name)]
    for place, limit in bounds:
        write_bound(place, limit)
    if clear:
        removed = sum(place.clear() for place in chosen)
        shell.note(f"removed {removed} {'file' if removed == 1 else 'files'}")
    caches = Caches(folder=str(root()), caches=tuple(_held(place) for place in chosen))
    if json_to != "-":
        shell.show(_table(caches))
        shell.show(f"in {caches.folder}", wrap=False)
    if json_to is not None:
        shared.deliver(shell, [caches], json_to, force=force)
    return ExitCode.CLEAN


def _held(place: Place) -> Held:
    sizes = [status.st_size for _, status in place.files()]
    return Held(
        name=place.name,
        holds=place.holds,
        folder=str(place.folder),
        files=len(sizes),
        bytes=sum(sizes),
        bound=place.limit(),
    )


def _table(caches: Caches) -> Any:
    # rich is imported here so that --help stays fast.
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("cache", "holds", "files", "size", "at most"):
        table.add_column(title, justify="right" if title in ("files", "size") else "left")
    for held in caches.caches:
        row = held.name, held.holds, str(held.files), _size(held.bytes), _most(held.bound)
        table.add_row(*row)
    return table


def _most(bound: int | None) -> str:
    if bound is None:
        return "20,000 answers"
    return _size(bound) if bound else "nothing is kept"


def _size(count: int) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << power:
            return f"{count / (1 << power):.1f} {unit}"
    return f"{count} bytes"
