"""How the terminal UI is to be opened, as the command line says it. Knows no Textual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from trtdbg.policy import Settings


class Look(StrEnum):
    """Colours of the UI."""

    DARK = "dark"
    LIGHT = "light"
    MONO = "mono"


class Screenshot(msgspec.Struct, frozen=True):
    """A picture of the screen, in place of the screen."""

    file: str
    """Path of the SVG file."""
    press: str = ""
    """Keys with blanks between, pressed before; `type:WORD` stands for the letters of WORD."""
    columns: int = 160
    lines: int = 46
    force: bool = False
    """Whether a file that exists is replaced."""


class Viewing(msgspec.Struct, frozen=True):
    """What opening the UI leaves to the user beside model, policy and settings."""

    policy_given: bool = False
    """Whether the command line names a policy, which then wins over the remembered one."""
    fresh: bool = False
    """Whether what is remembered of the model is left alone."""
    keys: str | None = None
    """Path of a TOML file with other keys."""
    look: Look | None = None
    picture: Screenshot | None = None
    cache: bool = True
    """Whether reports that were made before are shown."""
    watch: bool = False
    """Whether the model is analysed again when its file changes."""


@dataclass(frozen=True)
class WatchedFile:
    """A model that may change on disk while it is shown."""

    changed: Callable[[], bool]
    """Returns whether it has changed, and is whole, since it was asked last."""
    settings: Callable[[], Settings]
    """Returns the settings that it now begins with: those of a recording may change too."""
