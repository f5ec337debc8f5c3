"""Pictures of the matrix, layers, numbers, advice and validators' source."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from trtdbg_ui.outside import repro_files

from tests.ui.canned import _TO_COPY, built, refused, report
from tests.ui.fakes import Stage, loaded_stage, settle
from tests.ui.test_choices_keys import layered, measured, under, weighed, with_constants
from tests.ui.test_reproducing import PRINTED, answer, recipe
from tests.ui.test_snapshots import SIZES, Compare, pressing
from trtdbg.errors import StageError
from trtdbg.policy import Timing
from trtdbg.records import Report, TypingKind, ValidatorSource
from trtdbg.worker import trial

SOURCE = """def validate_dtype(to_copy_node: Node) -> bool:
    allowed_dtypes = {torch.float, torch.int32, torch.bool, torch.int8, torch.float16}
    # Validate input node has convertible kwargs
    if "dtype" in to_copy_node.kwargs:
        if to_copy_node.kwargs["dtype"] in allowed_dtypes:
            return True
        _LOGGER.debug(f"_to_copy converter rejected node {to_copy_node}")
        return False
    return torch.float64 not in allowed_dtypes and 41 > 40
"""


def with_source(base: Report) -> Report:
    source = ValidatorSource(
        validator=_TO_COPY,
        file="torch_tensorrt/dynamo/conversion/aten_ops_converters.py",
        line=1402,
        text=SOURCE,
    )
    nodes = tuple(
        replace(
            node,
            verdicts=tuple(
                replace(each, wins=(TypingKind.TRUNCATED,), supports_dynamic_shapes=True)
                for each in node.verdicts
            ),
        )
        for node in base.nodes
    )
    return replace(base, validators=(source,), nodes=nodes)


@SIZES
def test_matrix(snap_compare: Compare, size: tuple[int, int]) -> None:
    reports = [built(report(Timing.LATE)), built(report(Timing.UPSTREAM), failing=1)]
    stage = Stage(Timing.LATE, reports)

    async def before(pilot: Pilot[int]) -> None:
        await pressing("m")(pilot)
        for _ in range(3):
            stage.worker.answer(under(stage.worker.requests[-1].policy))
            await settle(pilot)
        stage.worker.fail(StageError("the partitioner raised KeyError: 'x'"))
        await settle(pilot)
        stage.worker.progress("capture", "constant_fold", 8)
        stage.clock.now += 2.5
        stage.app._tick()
        await settle(pilot)

    assert snap_compare(stage.app, terminal_size=size, run_before=before)


@SIZES
@pytest.mark.parametrize("end", ["choosing", "existing", "written", "refused"])
def test_reproducer(
    snap_compare: Compare,
    size: tuple[int, int],
    end: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run_beside(name: str, text: str) -> trial.Trial:
        return trial.Trial(end != "refused", PRINTED, "AssertionError: reject, not accept")

    def write(folder: str, texts: dict[str, str], *, force: bool) -> list[str]:
        return [f"/home/ada/{folder}/{name}" for name in texts]

    monkeypatch.setattr(trial, "run_beside", run_beside)
    monkeypatch.setattr(repro_files, "write", write)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "repro").mkdir()
    if end == "existing":
        (tmp_path / "repro" / "td101_to_copy.py").touch()
    stage = loaded_stage(Timing.UPSTREAM)

    async def before(pilot: Pilot[int]) -> None:
        await pressing("r", "tab")(pilot)
        if end != "choosing":
            await pressing("enter")(pilot)
            stage.worker.answer(answer(recipe()))
            await settle(pilot)
        stage.app.clear_notifications()
        await settle(pilot)

    assert snap_compare(stage.app, terminal_size=size, run_before=before)


@SIZES
@pytest.mark.parametrize("keys", [("4", "g"), ("6", "g", "r")], ids=["engines", "command"])
def test_refused_engine(
    snap_compare: Compare, size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    stage = Stage(Timing.UPSTREAM, [refused()])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing(*keys))


@SIZES
def test_constants(snap_compare: Compare, size: tuple[int, int]) -> None:
    narrowed = with_constants(report(Timing.LATE))
    stage = Stage(Timing.LATE, [report(Timing.LATE), narrowed])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing("c", "4", "G"))


@SIZES
@pytest.mark.parametrize(
    ("made", "keys"),
    [
        pytest.param(layered, ("4", "g", "space"), id="layers"),
        pytest.param(measured, (">", ">", "l", "G"), id="numbers"),
        pytest.param(weighed, ("A",), id="advice"),
        pytest.param(weighed, ("l",), id="consequence"),
        pytest.param(with_source, ("v",), id="source"),
    ],
)
def test_page(
    snap_compare: Compare, size: tuple[int, int], made: object, keys: tuple[str, ...]
) -> None:
    assert callable(made)
    stage = Stage(Timing.UPSTREAM, [made(report(Timing.UPSTREAM))])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing(*keys))
