"""TOML files of the user, which somebody else may have written."""

from __future__ import annotations

from typing import Any, Final

from trtdbg.errors import UsageError
from trtdbg.files import read_bounded

_MOST_MIB: Final = 1
_MOST_DOTS: Final = 1000
"""In one line: tomllib's time grows with the square of how deep its keys are nested."""


def read(path: str) -> dict[str, Any]:
    """Returns what a TOML file holds.

    Raises:
        UsageError: it cannot be read, is no TOML, or is larger or nested deeper than any that
            is meant.
    """
    # Few runs read one, and the UI's first frame waits for all imports above.
    import tomllib

    try:
        text = read_bounded(path, _MOST_MIB).decode()
        if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
            raise UsageError(f"{path} has a line with more than {_MOST_DOTS} dots")
        return tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # Endless numbers and nesting among them.
        raise UsageError(f"{path} is not TOML: {str(error)[:160]}") from error
