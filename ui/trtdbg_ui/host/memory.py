"""What is remembered of each model from one time to the next; nothing here is ever vital."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import platformdirs

from trtdbg.errors import OutputError, UsageError
from trtdbg.files import write_atomically
from trtdbg.policy import Settings, TruncationPolicy, parse_dtypes
from trtdbg_ui.model.state import VIEWS, Pane, State
from trtdbg_ui.model.view import USUAL, View
from trtdbg_ui.render import nodes, snapshots

_MOST_BYTES = 64 * 1024


class Remembered(msgspec.Struct, frozen=True):
    """How a model was left; a field that an older version did not write has its default."""

    model: str
    """Path of the model, for people who look into the file."""
    policy: TruncationPolicy = TruncationPolicy()
    pane: Pane = Pane.CAUSES
    main: Pane = Pane.CAUSES
    node: str | None = None
    """Name of the selected node."""
    hide_unchanged: bool = False
    view: View = USUAL
    """Columns, order and filter of the node table; never an engine, whose number changes."""
    theme: str | None = None

    @classmethod
    def of(cls, model: str, state: State, theme: str) -> Remembered | None:
        """Returns what is worth remembering; None if nothing was ever shown."""
        if state.loaded is None:
            return None
        return cls(
            model=os.path.abspath(model),
            policy=state.loaded.report.policy,
            pane=state.pane,
            main=state.main,
            node=state.node,
            hide_unchanged=state.hide_unchanged,
            view=replace(state.view, engine=None, modules=(), line=None),
            theme=theme,
        )

    def state(self, policy: TruncationPolicy, settings: Settings) -> State:
        """Returns the first state of a screen that goes on under `policy`."""
        return State(
            policy,
            settings,
            view=_known(self.view),
            pane=self.pane,
            main=self.main,
            node=self.node,
            hide_unchanged=self.hide_unchanged,
        )


def path_of(model: str) -> Path:
    """Returns where the memory of a model stands: $XDG_STATE_HOME/trtdbg/models/..."""
    folder = platformdirs.user_state_path("trtdbg", appauthor=False) / "models"
    name = hashlib.sha256(os.fsencode(os.path.realpath(model))).hexdigest()[:24]
    return folder / f"{name}.json"


def recall(model: str) -> tuple[Remembered | None, str | None]:
    """Returns what is remembered of a model, and what the user should know about that.

    A file that cannot be read is set aside, so that the next time starts clean.
    """
    path = path_of(model)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        return _decode(data), None
    except FileNotFoundError:
        return None, None
    except OSError as error:
        why = error.strerror or str(error)
        return None, f"What was remembered of this model cannot be read ({path}: {why})."
    except (msgspec.MsgspecError, UsageError, UnicodeDecodeError):
        return None, _set_aside(path)


def keep(remembered: Remembered) -> None:
    """Writes what is to be remembered of a model.

    Raises:
        OutputError: it cannot be written.
    """
    path = path_of(remembered.model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {path.parent}: {error.strerror or error}"
        ) from error
    write_atomically(path, msgspec.json.encode(remembered), force=True)


def _decode(data: bytes) -> Remembered:
    if len(data) > _MOST_BYTES:
        raise UsageError("the file is too large")
    remembered = msgspec.json.decode(data, type=Remembered)
    policy = remembered.policy
    for names in (policy.inputs, policy.constants, policy.computed):
        if parse_dtypes(",".join(names) or "none") != names:
            raise UsageError("the dtypes are not in their order")
    if remembered.main not in VIEWS:
        raise UsageError("the view is none of the views")
    return remembered


def _known(view: View) -> View:
    """Returns a view without the columns that this version lacks."""
    results = {column.key for column in nodes.COLUMNS}
    passes = {column.key for column in snapshots.COLUMNS}
    return replace(
        view,
        columns=tuple(key for key in view.columns if key in results),
        pass_columns=tuple(key for key in view.pass_columns if key in passes),
        sort=view.sort if view.sort in results | passes else None,
    )


def _set_aside(path: Path) -> str:
    aside = path.with_suffix(".broken")
    try:
        path.replace(aside)
    except OSError as error:
        return f"What was remembered of this model is damaged ({path}: {error.strerror})."
    return f"What was remembered of this model was damaged and is now {aside}."
