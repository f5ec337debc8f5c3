"""The process that a script runs in while it is recorded; begins in `main`.

The script finds what it would under `python SCRIPT`: its arguments, its folder at the front of
the import path, itself as `__main__`. torch is imported when the script imports it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import re
import runpy
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from trtdbg.plain import shortened
from trtdbg.recordings.recorder import EndOfRecording, ScriptRecorder

END: Final = "ended.json"
"""In the folder while it is being written: how the script ended."""


def main(options: str) -> None:
    """Runs a script or a module as the main program and records what it compiles.

    Args:
        options: as JSON: `scratch`, `compile`, `first`, `device`, `module` (a name or null),
            `argv` (the script, if any, and its arguments) and `added` (an entry of the import
            path that trtdbg itself was found by, or null).
    """
    asked = json.loads(options)
    recorder = ScriptRecorder(
        Path(asked["scratch"]), _say, compiles=asked["compile"], first=asked["first"]
    )
    ended = _Ended(recorder)
    with contextlib.ExitStack() as stack:
        stack.callback(ended.write)
        _watch_imports(stack, recorder, asked["device"])
        try:
            _run(asked["module"], asked["argv"])
        except EndOfRecording:
            ended.how = f"by the recording: {recorder.ended_by}"
        except SystemExit as error:
            ended.how = f"with sys.exit({error.code!r})"
            raise
        except BaseException as error:
            said = shortened(" ".join(str(error).split()), 300)
            ended.how = f"by {type(error).__name__}: {said}"
            _show(error)
            _hint(recorder, error, asked["device"])
            ended.write()
            interrupted = isinstance(error, KeyboardInterrupt)
            sys.exit(130 if interrupted else 1)


def _say(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(f"trtdbg: {' '.join(text.split())}", file=sys.stderr, flush=True)  # noqa: T201


class _Ended:
    """Writes down how the script ended, once."""

    def __init__(self, recorder: ScriptRecorder) -> None:
        self.how = "by itself"
        self._path = recorder.scratch / END

    def write(self) -> None:
        said = {"how": self.how, "versions": _versions(), "sources": _sources()}
        with contextlib.suppress(OSError):
            self._path.write_text(json.dumps(said), encoding="utf-8")


def _versions() -> dict[str, str]:
    """Returns versions of what the script imported."""
    found = {"python": sys.version.split()[0]}
    for name in ("trtdbg", "torch", "torch_tensorrt", "tensorrt"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


def _sources() -> list[str]:
    """Returns the source files of the modules that ran and that are installed nowhere."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and os.path.isfile(file):
            found.add(os.path.abspath(file))
    return sorted(file for file in found if not _is_installed(file))


def _is_installed(file: str) -> bool:
    parts = Path(file).parts
    return (
        "site-packages" in parts
        or "dist-packages" in parts
        or Path(file).is_relative_to(_LIBRARY)
        or Path(file).is_relative_to(_OWN)
    )


_LIBRARY: Final = os.path.dirname(os.path.abspath(os.__file__))
_OWN: Final = str(Path(__file__).resolve().parents[1])


def _run(module: str | None, argv: Sequence[str]) -> None:
    main = sys.modules["__main__"]
    for name in [n for n in vars(main) if not (n.startswith("__") and n.endswith("__"))]:
        delattr(main, name)
    if module is not None:
        sys.path.insert(0, os.getcwd())
        sys.argv[:] = ["-m", *argv]
        # What `python -m` itself calls.
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]
        return
    script = argv[0]
    sys.argv[:] = list(argv)
    if os.path.isdir(script) or (not script.endswith(".py") and _is_zip(script)):
        sys.path.insert(0, script)
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return
    sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    vars(main).update(__file__=script, __package__=None, __spec__=None, __cached__=None)
    exec(code, vars(main))


def _is_zip(path: str) -> bool:
    import zipfile

    return zipfile.is_zipfile(path)


def _show(error: BaseException) -> None:
    """Shows an exception as Python does for a script, without the frames that are ours."""
    trace = error.__traceback__
    ours = (__file__, runpy.__file__, "<frozen runpy>")
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


_NO_GPU: Final = re.compile(r"CUDA|NVIDIA driver|No GPU", re.IGNORECASE)
"""In what torch says where it is asked for a GPU that is not there."""


def _hint(recorder: ScriptRecorder, error: BaseException, device: str | None) -> None:
    """Says what to do, or where, if the script needs a GPU that this machine lacks."""
    torch = sys.modules.get("torch")
    if torch is None or torch.cuda.is_available() or not _NO_GPU.search(str(error)):
        return
    if device is None:
        recorder.say(
            "there is no GPU: `trtdbg record --device cpu` puts on the CPU what the script "
            "puts on a GPU"
        )
        return
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if os.sep + "site-packages" + os.sep not in f.filename]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else "the script"
    recorder.say(f"{place} asks for a GPU in a way that --device cpu does not put on the CPU")


def _watch_imports(
    stack: contextlib.ExitStack, recorder: ScriptRecorder, device: str | None
) -> None:
    """Lets torch_tensorrt be recorded as soon as the script imports it."""

    def after_tensorrt() -> None:
        from trtdbg.compat.patches import absent_patches
        from trtdbg.recordings.hooks import patched_torch_tensorrt

        for line in absent_patches(recording=True):
            recorder.say(line)
        stack.enter_context(patched_torch_tensorrt(recorder))

    def after_torch() -> None:
        if device == "cpu":
            from trtdbg.compat.cuda_on_cpu import patched_cuda

            stack.enter_context(patched_cuda(recorder.say))

    finder = _Finder({"torch": after_torch, "torch_tensorrt": after_tensorrt})
    sys.meta_path.insert(0, finder)
    stack.callback(sys.meta_path.remove, finder)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules as usual, and calls a function when one has been imported."""

    def __init__(self, after: dict[str, Callable[[], None]]) -> None:
        self._after = after

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns the usual spec of a watched module, with a loader that tells."""
        after = self._after.pop(name, None)
        if after is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, after)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads as another loader does; torch_tensorrt without a GPU too."""

    def __init__(self, usual: Any, after: Callable[[], None]) -> None:
        self._usual = usual
        self._after = after

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        """Leaves it to the usual loader."""
        made: types.ModuleType | None = self._usual.create_module(spec)
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        """Runs the module, and then what is to follow."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._usual
            module.__loader__ = self._usual
        if module.__name__ == "torch":
            self._usual.exec_module(module)
        else:
            _import_quietly(lambda: self._usual.exec_module(module))
        self._after()


def _import_quietly(run: Callable[[], None]) -> None:
    """Imports torch_tensorrt with the answers of `compat.host`.

    What it prints where there is no GPU is about the answers, and not about the script.
    """
    import torch

    from trtdbg.compat import host

    if torch.cuda.is_available():
        run()
        return
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        host.patched_cuda_queries(torch),
    ):
        run()
