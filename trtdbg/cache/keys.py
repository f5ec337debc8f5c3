"""What an answer depends on besides the bytes of the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from trtdbg import beside
from trtdbg.cache import contents, imports, installed
from trtdbg.cache.contents import FileState
from trtdbg.worker.messages import Analyze, Ask, Weigh, native_path

Kept = Analyze | Weigh
"""The requests whose answers are kept: they depend on nothing but their key."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Of an answer, at one moment; the archive is named by its state and not read."""

    path: str
    """Of the archive, as the operating system knows it."""
    file: FileState
    installed: str
    """Digest of what is installed, which a worker took in when it began."""
    imports: str
    """Digest of the modules of `--import`, which it took in when it first met them."""
    rest: str
    """Digest of all that the answer depends on but the archive, these two included."""


def key_of(request: Ask) -> Key | None:
    """Returns the key of the answer to a request; None if the answer is not to be kept.

    A file that may run code can do what it likes: nothing is known of the next time.
    """
    if not isinstance(request, Kept) or request.job.access.trust:
        return None
    if request.job.settings.autocast_calibration_file is not None:
        # Its values count, and it lies anywhere.
        return None
    path = native_path(request.job.model)
    state = contents.state_of(path)
    found = parts(request) if state is not None else None
    if state is None or found is None:
        return None
    return Key(
        path=path,
        file=state,
        installed=found["installed"],
        imports=found["imports"],
        rest=_digest({**found, "beside": beside.digest(path)}),
    )


def parts(request: Kept) -> Mapping[str, Any] | None:
    """Returns what an answer depends on besides the archive; None if it cannot be known.

    Left out are path and limits: they say where the file is, and when to give up. How long
    TensorRT may be asked counts as far as it is asked at all, since only complete answers are
    kept. Modules are named by what they hold.
    """
    modules = imports.digest(request.job.access.imports)
    if modules is None:
        return None
    asked = msgspec.to_builtins(request)
    for name in ("anew", "seconds"):
        asked.pop(name, None)
    job = asked.pop("job")
    del job["model"]
    for name in ("imports", "memory_limit", "time_limit", "load_limit"):
        del job["access"][name]
    job["probe_seconds"] = job["probe_seconds"] > 0
    return {
        "asked": asked,
        "job": job,
        "imports": modules,
        "installed": installed_now(),
    }


def installed_now() -> str:
    """Returns a digest of what is installed here."""
    return _digest(installed.digests())


def _digest(found: Mapping[str, Any]) -> str:
    encoder = msgspec.json.Encoder(order="deterministic")
    return hashlib.sha256(encoder.encode(found)).hexdigest()
