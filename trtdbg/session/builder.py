"""Builds the engines of an analysis, each taken from the cache where it was built before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from trtdbg.errors import UnavailableError, UsageError
from trtdbg.records import BuildRecord, BuildStatus, Capability, EngineRecord, Environment
from trtdbg.session.analysed import Analysed
from trtdbg.session.engine_cache import EngineCache
from trtdbg.session.runnable import Built
from trtdbg.stages import engine
from trtdbg.worker.messages import EngineBuilt, News, Progress


class Builder:
    """Builds for one target on this machine."""

    def __init__(
        self,
        environment: Environment,
        target: str | None,
        capability: Callable[[str], Capability],
        emit: Callable[[News], None],
    ) -> None:
        """Remembers where and for what it builds.

        Args:
            environment: says the versions that decide what TensorRT builds.
            target: compute capability such as sm86; None is the GPU of this machine.
            capability: says whether this machine can do a thing, by its name.
            emit: takes progress, and each engine as it is built.
        """
        self._environment = environment
        self._target = target
        self._capability = capability
        self._emit = emit

    def require(self) -> None:
        """Checks that this machine can build.

        Raises:
            UnavailableError: it cannot.
        """
        can_build = self._capability("build engines")
        if not can_build.possible:
            raise UnavailableError(f"cannot build engines here: {can_build.reason}")

    def build(
        self,
        analysed: Analysed,
        engines: Sequence[EngineRecord],
        wanted: Iterable[int] | None,
        *,
        cache: bool,
        keep: bool,
    ) -> tuple[list[EngineRecord], list[Built]]:
        """Returns the records of all engines, and the bytes of those that were built now.

        Args:
            analysed: holds the networks.
            engines: their records so far; one that is built already is built again only if
                its bytes are kept.
            wanted: indices; None is all.
            cache: take engines that were built of the same before, and keep new ones.
            keep: return the bytes too.

        Raises:
            UsageError: an index is out of range.
        """
        records = list(engines)
        indices = tuple(range(len(records))) if wanted is None else tuple(wanted)
        for index in indices:
            if not 0 <= index < len(records):
                raise UsageError(
                    f"there is no engine {index}", remedy=f"there are {len(records)}"
                )
        engines_kept = EngineCache() if cache else None
        built: list[Built] = []
        for done, index in enumerate(indices):
            if records[index].build.status is BuildStatus.BUILT and not keep:
                continue
            self._emit(
                Progress(
                    stage="build", detail=f"engine {index}", done=done, total=len(indices)
                )
            )
            build, serialized = self.build_one(analysed, index, engines_kept)
            records[index] = msgspec.structs.replace(
                records[index], build=build, timing_unavailable=self._no_timing(build)
            )
            self._emit(EngineBuilt(index=index, build=build))
            if serialized is not None and keep:
                built.append(Built(records[index], serialized))
        return records, built

    def build_one(
        self, analysed: Analysed, index: int, kept: EngineCache | None
    ) -> tuple[BuildRecord, bytes | None]:
        """Returns the record of one engine and its bytes, None if it does not build."""
        crash = analysed.evidence.repair_crash
        if crash is not None:
            error = f"torch_tensorrt's boundary repair ends the compilation: {crash}"
            return BuildRecord(status=BuildStatus.FAILED, stage="boundary", error=error), None
        network = analysed.networks[index]
        if kept is None or network.error is not None:
            return engine.build_engine(network, self._target)
        here = self._environment
        versions = (here.tensorrt, here.flavour, here.torch_tensorrt)
        gpu = here.gpu if self._target is None else None
        key = engine.engine_fingerprint(network, versions, self._target, gpu)
        found = kept.find(key)
        if found is not None:
            return found
        build, serialized = engine.build_engine(network, self._target)
        if serialized is not None:
            kept.keep(key, build, serialized)
        return build, serialized

    def _no_timing(self, build: BuildRecord) -> str:
        if build.status is not BuildStatus.BUILT:
            return "not built"
        running = self._capability("run and time engines")
        return "not timed" if running.possible else f"not available: {running.reason}"
