"""Renders the templates of HTML and Markdown pages; everything put into HTML is escaped."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING

from trtdbg.plain import visible

if TYPE_CHECKING:
    import jinja2


def _finished(value: object) -> object:
    """Returns a value without characters that steer a reader; HTML stays HTML."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return value if text == value else type(value)(text)


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    folder = resources.files("trtdbg.outputs").joinpath("templates")
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finished,
    )


def render(template: str, /, **values: object) -> str:
    """Returns a template of `trtdbg/outputs/templates` with its values filled in."""
    return _environment().get_template(template).render(**values)
