"""The digest of a large file, read while its program is analysed. Free of torch."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Final

from trtdbg.cache import contents
from trtdbg.errors import ModelError

LARGE: Final = 64 << 20
"""Bytes from which on a file is worth a thread; hashing lets other threads run."""


class Beside:
    """Reads a file in a thread of its own, unless its digest is remembered."""

    def __init__(self, path: str | Path) -> None:
        """Begins to read."""
        self._path = str(path)
        self._state = contents.state_of(self._path)
        known = contents.known_sha256(self._state) if self._state is not None else None
        self._digest = known or ""
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._read, name="trtdbg-digest", daemon=True)
        if not self._digest:
            self._thread.start()

    def result(self) -> str:
        """Returns SHA-256 as hexadecimal digits, once all is read.

        Raises:
            ModelError: the file cannot be read any more.
        """
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None:
            reason = self._error.strerror or str(self._error)
            raise ModelError(
                f"{self._path} cannot be read: {reason}", remedy="check the path"
            ) from self._error
        return self._digest

    def _read(self) -> None:
        began = time.time_ns()
        try:
            with open(self._path, "rb", buffering=0) as file:
                self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            self._error = error
            return
        if self._state is not None and contents.state_of(self._path) == self._state:
            contents.remember(self._state, self._digest, began)
