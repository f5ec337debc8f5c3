"""trtdbg: a debugger for dtypes in the Torch-TensorRT compiler."""

__version__ = "0.1.0"

import importlib
from collections.abc import Iterable
from typing import Any, Final

from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource

__all__ = ["Settings", "Timing", "TruncationPolicy", "VerdictSource", "compile", "open"]

_DEFAULT_POLICY: Final = TruncationPolicy()
_DEFAULT_SETTINGS: Final = Settings()


def open(
    path: Any,
    policy: TruncationPolicy = _DEFAULT_POLICY,
    *,
    settings: Settings = _DEFAULT_SETTINGS,
    trust: bool = False,
    imports: Iterable[str] = (),
    program: str | None = None,
    cache: bool = True,
) -> Any:
    """Returns a `trtdbg.api.Model`: a .pt2 file, or a report that was saved as .json.

    Nothing is analysed before it is asked for, and then in a worker process: a script needs
    `if __name__ == "__main__":` around it, as with `multiprocessing`.

    Args:
        path: the file.
        policy: which wide dtypes are narrowed, and when; `Model.with_policy` takes another.
        settings: torch_tensorrt's compilation settings.
        trust: open a file that could run code, which is refused otherwise, and let it.
        program: which program of a file that holds several; None is `model`, or the only one.
        imports: modules, or .py files, that register custom operators.
        cache: take analyses of the same file, policy, settings and versions that were made
            before; False makes them anew.

    Raises:
        trtdbg.errors.UsageError: there is no such file.
        trtdbg.errors.ModelError: a saved report cannot be read.
    """
    # By name, so that `import trtdbg` costs nothing and no module reaches another over it.
    return importlib.import_module("trtdbg.api").open_model(
        path, policy, settings, trust, imports, program, cache
    )


def compile(
    exported_program: Any,
    policy: TruncationPolicy = _DEFAULT_POLICY,
    *,
    settings: Settings = _DEFAULT_SETTINGS,
    target: str | None = None,
) -> Any:
    """Returns a `torch.nn.Module` made of TensorRT engines and PyTorch parts.

    It is called as the exported program is, runs on this machine's CUDA device and returns
    what export promised. The program given is not changed. `torch_tensorrt.save(module, path,
    retrace=False)` saves it.

    Args:
        exported_program: a `torch.export.ExportedProgram`.
        policy: which wide dtypes are narrowed, and when; default is timing `late`.
        settings: torch_tensorrt's compilation settings; the default hides nothing, so that
            every accepted operator gets into an engine. `Settings.as_compiled()` takes
            torch_tensorrt's own.
        target: compute capability such as `sm86`, which has to be this GPU's; None is it.

    Raises:
        trtdbg.errors.UnavailableError: torch_tensorrt or a CUDA device is missing.
        trtdbg.errors.UsageError: the program, the policy or the target makes no sense.
        trtdbg.errors.StageError: lowering, partitioning or a build failed.
    """
    # By name, so that neither Python nor the import contracts see torch behind this module.
    importlib.import_module("trtdbg.compat.host").prepare()
    runnable = importlib.import_module("trtdbg.session.runnable")
    return runnable.compile_program(exported_program, policy, settings, target)
