"""What is closed at the end of the block that it was opened for."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """A context manager that only closes itself, however its block ends."""

    def close(self) -> None:
        """Gives back what is held; a subclass says what."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
