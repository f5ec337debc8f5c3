"""Waits until files change on disk: whole ones only, however slowly they are written."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from trtdbg import beside
from trtdbg.cache.contents import FileState, state_of
from trtdbg.outputs.report import is_saved_report

INTERVAL: Final = 0.4
"""Seconds between two looks."""

PATIENCE: Final = 15.0
"""Seconds that a file may rest unfinished before it is taken as it is."""

_State = tuple[tuple[str, FileState], ...]
"""Each file with what the file system says of it; none if there is no file."""


class Watcher:
    """Looks at models again and again.

    A file counts as changed when it rests between two looks and is a whole archive. One that
    rests for long and is none is taken all the same, so that the error is told.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Takes the models as they are now for known.

        Args:
            models: files, those of Python source too, or folders of .pt2 files.
            interval: seconds between two looks.
            patience: seconds that an unfinished file is waited for.
            sleep: waits.
        """
        self._known = {model: _state(model) for model in models}
        self._seen = dict(self._known)
        self._rested = dict.fromkeys(models, 0.0)
        self._interval = interval
        self._patience = patience
        self._sleep = sleep

    def add(self, model: str) -> None:
        """Looks at another model too, which is known as it is now."""
        if model not in self._known:
            self._known[model] = self._seen[model] = _state(model)
            self._rested[model] = 0.0

    def changes(self) -> Iterator[str]:
        """Yields a model each time that it has changed; never ends."""
        while True:
            yield from self.wait()

    def wait(self) -> list[str]:
        """Returns the models that have changed, once there are some."""
        while True:
            self._sleep(self._interval)
            found = self.look()
            if found:
                return found

    def look(self) -> list[str]:
        """Returns the models that have changed since they were yielded last."""
        return [model for model in self._known if self._is_ready(model)]

    def _is_ready(self, model: str) -> bool:
        state = _state(model)
        if state != self._seen[model]:
            self._seen[model] = state
            self._rested[model] = 0.0
            return False
        if state == self._known[model] or not state:
            return False
        self._rested[model] += self._interval
        if not _is_whole(state) and self._rested[model] < self._patience:
            return False
        self._known[model] = state
        return True


def _state(model: str) -> _State:
    path = Path(model)
    try:
        files = _of_folder(path) if path.is_dir() else [path]
    except OSError:
        return ()
    found = [state for file in files if (state := _state_of(file)) is not None]
    if found and files == [path]:
        # What a recorded program was to be compiled with.
        stem = path.name.removesuffix(beside.MODEL_SUFFIX)
        settings = _state_of(path.with_name(f"{stem}{beside.SETTINGS_SUFFIX}"))
        found += [settings] if settings is not None else []
    return tuple(found)


def _of_folder(folder: Path) -> list[Path]:
    """Returns the archives in a folder, and what says that they are a recording."""
    return sorted([*folder.glob(f"*{beside.MODEL_SUFFIX}"), *folder.glob("*.toml")])


def _state_of(file: Path) -> tuple[str, FileState] | None:
    state = state_of(str(file))
    return (str(file), state) if state is not None else None


_TEXT: Final = (".py", ".toml")


def _is_whole(state: _State) -> bool:
    """Returns whether every file is complete: an archive ends with its table of contents."""
    return all(
        known.size
        and (path.endswith(_TEXT) or is_saved_report(path) or zipfile.is_zipfile(path))
        for path, known in state
    )
