"""How the terminal UI is to be opened, as the command line says it. Knows no Textual."""

from __future__ import annotations

from enum import StrEnum

import msgspec


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
