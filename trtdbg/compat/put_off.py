"""Modules of torch that the worker imports when something of them is used, and not before.

torch_tensorrt and torch's `FakeTensorUpdater` import two modules of torch._inductor, of which
lowering a program needs one function of twenty lines. With them come torch's code generators
and kernels, a fifth of the time to a first answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from trtdbg.analysis.versions import READ

PUT_OFF: Final[Mapping[str, Mapping[str, str]]] = {
    "torch._inductor.fx_passes.reinplace": {},
    "torch._inductor.compile_fx": {
        "_get_subgraph_names": (
            "2a6c960ce80b3c16f0b892baaa75965443d81432c956502302cad62f3a86761b"
        ),
    },
}
"""Modules, each with the functions that are made alone, by the digest of their text.

Source: torch_tensorrt 2.13 and 2.14, `dynamo/lowering/passes/_FakeTensorUpdater.py`, which
imports the first and takes nothing from it; torch 2.13, `_inductor/fx_utils.py`
FakeTensorUpdater.__init__, which takes the function from the second.
"""

REGISTERING: Final = ("torch.ao.quantization.fx._decomposed",)
"""Modules that come with those and register operators, which a model may hold."""

_lock: Final = threading.RLock()


def install() -> None:
    """Puts the modules off from now on in this process; idempotent.

    Whatever takes a name from one of them, but a function that is made alone, runs it then.
    """
    if not _version("torch").startswith(tuple(f"{each}." for each in READ)):
        return
    if not any(isinstance(each, Finder) for each in sys.meta_path):
        sys.meta_path.insert(0, Finder(PUT_OFF))


def register() -> None:
    """Registers the operators that the modules would bring; those are imported by now."""
    if any(isinstance(each, Finder) for each in sys.meta_path):
        for name in REGISTERING:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


class Finder:
    """Finds some modules as usual, and has them run later."""

    def __init__(self, modules: Mapping[str, Mapping[str, str]]) -> None:
        """Takes names of modules, each with digests of functions to make alone."""
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of a module that is put off; None of any other."""
        if name not in self._modules:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader, self._modules[name])
        return spec


class _PutOff(ModuleType):
    """A module that runs at the first look at something in it; then it is a usual one.

    What the import system and `inspect` look at, names between underscores, is there before.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _lock:
            later = getattr(self.__spec__, "loader", None)
            if isinstance(later, _Later):
                alone = later.function(name)
                if alone is not None:
                    return alone
                later.run(self)
        return getattr(self, name)


class _Later(Loader):
    """Makes a module and leaves running it to whoever uses it."""

    def __init__(self, real: Loader, digests: Mapping[str, str]) -> None:
        self._real = real
        self._digests = digests
        self._made: dict[str, Any] = {}

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _PutOff(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing yet."""

    def run(self, module: ModuleType) -> None:
        """Runs a module, which is a usual one from now on."""
        spec = module.__spec__
        assert spec is not None
        module.__class__ = ModuleType
        spec.loader = module.__loader__ = self._real
        self._real.exec_module(module)

    def function(self, name: str) -> Any:
        """Returns a function of the module, made alone; None if its text is another."""
        if name in self._digests and name not in self._made:
            self._made[name] = self._alone(name)
        return self._made.get(name)

    def _alone(self, name: str) -> Any:
        path = str(getattr(self._real, "path", ""))
        try:
            with open(path, encoding="utf-8") as file:
                source = text_of(name, file.read())
        except (OSError, ValueError):
            return None
        if hashlib.sha256(source.encode()).hexdigest() != self._digests[name]:
            return None
        names = _globals()
        code = f"from __future__ import annotations\n{source}"
        exec(compile(code, path, "exec"), names)
        return names[name]


def text_of(name: str, module: str) -> str:
    """Returns the text of a function in the text of a module; "" if there is none."""
    found = re.search(rf"^def {name}\(.*?(?=^[^\s)]|\Z)", module, re.MULTILINE | re.DOTALL)
    return f"{found[0].rstrip()}\n" if found is not None else ""


def _globals() -> dict[str, Any]:
    """Returns what the functions that are made alone use of their modules."""
    import torch
    from torch.utils._ordered_set import OrderedSet

    return {"torch": torch, "OrderedSet": OrderedSet}
