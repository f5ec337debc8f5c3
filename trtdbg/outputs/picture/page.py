"""A diff as one self-contained HTML page: pan, zoom, search, details, light and dark."""

from __future__ import annotations

import json
import re
from typing import Final

from trtdbg.outputs.html import render
from trtdbg.outputs.picture.dot import legend
from trtdbg.outputs.picture.picture import Picture, limited

_BEFORE_SVG: Final = re.compile(rb"^.*?(?=<svg )", re.DOTALL)


def page(picture: Picture, svg: bytes) -> str:
    """Returns the page for a picture and what Graphviz drew of it.

    The page loads nothing: its policy forbids every request.
    """
    drawing = _BEFORE_SVG.sub(b"", svg).decode()
    boxes = {
        f"n{box.number}": {
            "title": box.lines[0],
            "lines": list(box.details),
            "names": list(box.members),
        }
        for box in picture.boxes
    }
    casts = {
        f"c{number}": {
            "title": f"cast {cast.words}",
            "lines": [f"{cast.change.value}", *limited(cast.members, len(cast.members))],
            "names": [],
        }
        for number, cast in enumerate(picture.casts)
    }
    return render(
        "diff.html",
        title=picture.title,
        summary=picture.summary,
        legend=legend(picture),
        drawing=drawing,
        # `<` would end the script element, whatever the quotes around it.
        details=json.dumps(boxes | casts).replace("<", "\\u003c"),
    )
