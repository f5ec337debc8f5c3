"""Builds a defined network into a serialized TensorRT engine, with or without a GPU."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from trtdbg import files as outputs
from trtdbg.compat.host import tensorrt_log
from trtdbg.compat.interpreter import refusal
from trtdbg.errors import OutputError
from trtdbg.graphs.fingerprint import fingerprint
from trtdbg.graphs.graph import first_line
from trtdbg.peak import forget_peak, peak_bytes
from trtdbg.records import BuildRecord, BuildStatus, EngineRecord, Saved
from trtdbg.records.boundary_graph import BoundaryGraph, text
from trtdbg.stages.network import Network
from trtdbg.whole_folder import whole_folder

GRAPH_FILE = "boundary_graph.txt"
RUNNABLE_FILE = "compiled.pt2"
MANIFEST_FILE = "manifest.json"


def engine_fingerprint(network: Network, *about: object) -> str:
    """Returns a digest of all that decides what TensorRT builds of a complete network.

    Args:
        network: one without an error.
        about: what decides beside it: TensorRT's version and flavour, the target.
    """
    interpreter = network.interpreter
    return fingerprint(
        interpreter.module,
        interpreter.input_specs,
        interpreter.output_dtypes,
        interpreter.compilation_settings,
        *about,
    )


def build_engine(network: Network, target: str | None) -> tuple[BuildRecord, bytes | None]:
    """Builds a network and returns the record and the serialized engine, None if it failed.

    Args:
        network: a defined network; one with an error is reported as failed, not built.
        target: compute capability such as sm86 for TensorRT-RTX ahead of time; None is the GPU
            of this machine.

    Source: torch_tensorrt 2.13, `dynamo/conversion/_TRTInterpreter.py` run, up to the
    point where it deserialises the engine, which needs a GPU.
    """
    if network.error is not None:
        return (
            BuildRecord(
                status=BuildStatus.FAILED,
                stage="network",
                network_seconds=network.seconds,
                error=network.error,
                node=network.error_node,
                log=tuple(text for _, text in network.log),
                target=target,
            ),
            None,
        )
    interpreter = network.interpreter
    measured = forget_peak()
    start = time.perf_counter()
    serialized: Any = None
    failure: Exception | None = None
    with tensorrt_log() as log:
        try:
            config = interpreter._populate_trt_builder_config()
            if target is not None:
                _set_target(config, target)
            serialized = interpreter.builder.build_serialized_network(
                interpreter.ctx.net, config
            )
        except Exception as error:
            # TensorRT's bindings raise what they like; the record keeps the sentence.
            failure = error
    seconds = time.perf_counter() - start
    peak = peak_bytes() if measured else None
    lines = tuple(text for _, text in (*network.log, *log))
    if serialized is None:
        return (
            BuildRecord(
                status=BuildStatus.FAILED,
                stage="build",
                seconds=seconds,
                network_seconds=network.seconds,
                # What TensorRT logged while the network was defined comes first: the cause.
                error=refusal(failure, [*network.log, *log]),
                log=lines,
                peak_bytes=peak,
                target=target,
            ),
            None,
        )
    engine = bytes(memoryview(serialized))
    record = BuildRecord(
        status=BuildStatus.BUILT,
        stage="build",
        seconds=seconds,
        network_seconds=network.seconds,
        bytes=len(engine),
        log=lines,
        peak_bytes=peak,
        target=target,
    )
    return record, engine


def _set_target(config: Any, target: str) -> None:
    import tensorrt as trt

    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), 0)


class _ManifestEngine(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    sha256: str
    engine: EngineRecord


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    schema: str = "trtdbg.engines/1"
    model_sha256: str
    tensorrt: str | None
    flavour: str | None
    target: str | None
    engines: tuple[_ManifestEngine, ...]
    runnable: str | None = None
    missing: str | None = None
    script: str | None = None
    script_missing: str | None = None
    graph: BoundaryGraph | None = None


@dataclass(frozen=True)
class Provenance:
    """Where engines come from and what they run on."""

    model_sha256: str
    tensorrt: str | None
    flavour: str | None
    target: str | None


def save_engines(
    folder: Path,
    engines: list[tuple[EngineRecord, bytes]],
    provenance: Provenance,
    graph: BoundaryGraph | None = None,
    write_runnable: Callable[[Path], None] | None = None,
    missing: str | None = None,
    write_script: Callable[[Path], tuple[str, ...]] | None = None,
) -> Saved:
    """Writes engines, the program around them and a manifest; returns what was written.

    The folder appears whole or not at all; in one that holds files `manifest.json` comes last.

    Args:
        folder: made if it is not there.
        engines: written to `engine_K.engine`.
        provenance: goes into the manifest.
        graph: written to `boundary_graph.txt` and into the manifest.
        write_runnable: writes a module that runs to the path it is given (`compiled.pt2`).
            What it raises is noted as missing; the engines are kept.
        missing: what a reader of the folder lacks to run it.
        write_script: writes a script that runs the engines, and what it reads, into the folder
            it is given; the script's name comes last. What it raises is noted.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        with whole_folder(folder, MANIFEST_FILE) as scratch:
            entries = []
            for record, data in engines:
                name = f"engine_{record.index}.engine"
                outputs.replace(scratch / name, data)
                digest = hashlib.sha256(data).hexdigest()
                entries.append(_ManifestEngine(file=name, sha256=digest, engine=record))
            files = [entry.file for entry in entries]
            if graph is not None:
                outputs.replace(scratch / GRAPH_FILE, text(graph).encode())
                files.append(GRAPH_FILE)
            runnable = None
            if write_runnable is not None:
                runnable, missing = _try_to_write(write_runnable, scratch)
                files += [runnable] if runnable is not None else []
            script, script_missing = None, None
            if write_script is not None:
                more, script_missing = _try_to_script(write_script, scratch)
                files += more
                script = more[-1] if more else None
            manifest = _Manifest(
                model_sha256=provenance.model_sha256,
                tensorrt=provenance.tensorrt,
                flavour=provenance.flavour,
                target=provenance.target,
                engines=tuple(entries),
                runnable=runnable,
                missing=missing,
                script=script,
                script_missing=script_missing,
                graph=graph,
            )
            encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            outputs.replace(scratch / MANIFEST_FILE, encoded)
    except OSError as error:
        raise OutputError(
            f"cannot save engines to {folder}: {first_line(error)}",
            remedy="choose a folder that can be written with --save",
        ) from error
    return Saved(
        folder=str(folder),
        files=(*files, MANIFEST_FILE),
        runnable=runnable,
        missing=missing,
        script=script,
        script_missing=script_missing,
    )


def _try_to_script(
    write: Callable[[Path], tuple[str, ...]], folder: Path
) -> tuple[tuple[str, ...], str | None]:
    """Returns the files of a script, or none and why there is no script."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        try:
            names = write(Path(scratch))
        except Exception as error:
            # torch.export raises what it likes; the sentence is kept.
            return (), f"torch.export raised {first_line(error)}"
        for name in names:
            os.replace(Path(scratch) / name, folder / name)
    return names, None


def _try_to_write(
    write: Callable[[Path], None], folder: Path
) -> tuple[str | None, str | None]:
    """Returns the name of the runnable file, or None and why there is none."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        path = Path(scratch) / RUNNABLE_FILE
        try:
            write(path)
        except Exception as error:
            # torch_tensorrt's exporter raises what it likes; the sentence is kept.
            return None, f"torch_tensorrt.save raised {first_line(error)}"
        os.replace(path, folder / RUNNABLE_FILE)
    return RUNNABLE_FILE, None
