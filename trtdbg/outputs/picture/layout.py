"""Runs Graphviz on a diff, with a limit to its time and a coarser picture where it is met."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Final

import graphviz
import msgspec
from graphviz.backend import dot_command, execute

from trtdbg.errors import StageError, UnavailableError
from trtdbg.outputs.picture.dot import dot
from trtdbg.outputs.picture.page import page
from trtdbg.outputs.picture.pairs import DtypeDiff
from trtdbg.outputs.picture.picture import Picture, draw
from trtdbg.outputs.picture.regions import Detail

FORMATS: Final = ("dot", "svg", "png", "pdf", "html")
"""What a picture can be written as, by the ending of the file."""

INSTALL: Final = (
    "install it (`apt-get install graphviz`, `brew install graphviz`, or from graphviz.org), "
    "or write a .dot file, which needs none"
)


class Drawn(msgspec.Struct, frozen=True):
    """A picture and what a file of it holds."""

    picture: Picture
    data: bytes


def drawn(diff: DtypeDiff, picture: Picture, kind: str, seconds: float) -> Drawn:
    """Returns a picture of a diff as a file of one of `FORMATS`, coarser if it has to be.

    Args:
        diff: what the picture is of.
        picture: what to draw.
        kind: the format; only `dot` needs no Graphviz.
        seconds: time that Graphviz has for one layout.

    Raises:
        UnavailableError: there is no Graphviz.
        StageError: not even the coarsest picture could be laid out.
    """
    if kind == "dot":
        return Drawn(picture, dot(picture).encode())
    made = lay_out(diff, picture, kind, seconds)
    if kind != "html":
        return made
    return Drawn(made.picture, page(made.picture, made.data).encode())


def check_graphviz() -> None:
    """Checks before any work is done that Graphviz is there.

    Raises:
        UnavailableError: it is not.
    """
    if shutil.which(graphviz.DOT_BINARY) is None:
        raise UnavailableError("there is no Graphviz (`dot`) here", remedy=INSTALL)


def lay_out(diff: DtypeDiff, picture: Picture, kind: str, seconds: float) -> Drawn:
    """Returns the picture as `kind`, coarser if `seconds` are not enough.

    For html it is the SVG without heading and legend, which the page has itself.

    Raises:
        UnavailableError: there is no Graphviz.
        StageError: not even the coarsest picture could be laid out.
    """
    check_graphviz()
    for attempt in _coarser(diff, picture, seconds):
        if kind == "html":
            data = _run(dot(attempt, bare=True), "svg", seconds)
        else:
            data = _run(dot(attempt), kind, seconds)
        if data is not None:
            return Drawn(attempt, data)
    raise StageError(
        f"Graphviz did not lay out the picture in {seconds:g} s",
        remedy="draw less with --around NODE, or give it more with --layout-seconds",
    )


def _coarser(diff: DtypeDiff, picture: Picture, seconds: float) -> Iterator[Picture]:
    yield picture
    boxes = len(picture.boxes)
    for detail in list(Detail)[list(Detail).index(picture.detail) + 1 :]:
        note = f"coarser than asked for: the layout of {boxes} boxes took over {seconds:g} s"
        coarse = draw(diff, picture.title.split(": ", 1)[0], detail, (note,))
        if len(coarse.boxes) < boxes:
            yield coarse


def _run(text: str, kind: str, seconds: float) -> bytes | None:
    """Returns what `dot` makes of DOT text, None where it takes too long."""
    # Not `graphviz.pipe`, which sets no limit to the time.
    command = dot_command.command("dot", kind)
    started = time.monotonic()
    try:
        done: subprocess.CompletedProcess[bytes] = execute.run_check(
            command, input=text.encode(), capture_output=True, quiet=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return None
    except subprocess.CalledProcessError as error:
        if error.returncode < 0 and time.monotonic() - started > 1:
            # Killed while it worked, for its memory as a rule: less to draw may help.
            return None
        raise _failed(error.stderr) from None
    if not done.stdout:
        raise _failed(done.stderr)
    return done.stdout


def _failed(stderr: bytes) -> StageError:
    told = stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
    return StageError(f"Graphviz failed: {told[0]}")
