"""TOML that somebody else may have written: files of the user, and those of a recording."""

from __future__ import annotations

from typing import Any, Final

from trtdbg.errors import UsageError
from trtdbg.files import read_bounded

_MOST_MIB: Final = 1
_MOST_DOTS: Final = 1000
"""In one line: tomllib's time grows with the square of how deep its keys are nested."""


class TooDeepError(ValueError):
    """TOML that would take tomllib for ever; the message completes "it has ..."."""


def parse(text: str) -> dict[str, Any]:
    """Returns what a TOML text holds.

    Raises:
        TooDeepError: it is nested deeper than any that is meant.
        ValueError: it is no TOML.
    """
    # Few runs read one, and the UI's first frame waits for all imports above.
    import tomllib

    if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        raise TooDeepError(f"a line with more than {_MOST_DOTS} dots")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def read(path: str) -> dict[str, Any]:
    """Returns what a TOML file holds.

    Raises:
        UsageError: it cannot be read, is no TOML, or is larger or nested deeper than any that
            is meant.
    """
    try:
        return parse(read_bounded(path, _MOST_MIB).decode())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except TooDeepError as error:
        raise UsageError(f"{path} has {error}") from error
    except ValueError as error:  # Endless numbers among them.
        raise UsageError(f"{path} is not TOML: {str(error)[:160]}") from error
