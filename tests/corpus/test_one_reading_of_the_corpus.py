"""Each archive of the corpus is read as torch reads it, whatever kind of program it holds."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from corpus_bench import CORPUS

from tests.two_readings import parts, same_values

CASES = sorted(path.stem for path in (CORPUS / "cases").glob("*.py"))


@pytest.mark.parametrize("case", CASES)
def test_a_case_reads_as_torch_reads_it(
    case: str, corpus_model: Callable[[str], Path], torch_tensorrt_ready: None
) -> None:
    import torch

    from trtdbg.archive.load import load

    path = corpus_model(case)
    imports = (case,) if case == "double_symint_boundary" else ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        here, there = load(path, imports=imports).program, torch.export.load(path)
    assert parts(here) == parts(there)
    same_values(here, there)
