"""Pictures of the matrix, layers, numbers, advice and validators' source."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from tests.ui.canned import _TO_COPY, built, report
from tests.ui.fakes import Stage, settle
from tests.ui.test_choices_keys import layered, measured, under, weighed
from tests.ui.test_snapshots import SIZES, Compare, pressing
from trtdbg.errors import StageError
from trtdbg.policy import Timing
from trtdbg.records import Report, TypingKind, ValidatorSource

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
@pytest.mark.parametrize(
    ("made", "keys"),
    [
        pytest.param(layered, ("4", "g", "space"), id="layers"),
        pytest.param(measured, (">", ">", "3", "G"), id="numbers"),
        pytest.param(weighed, ("A",), id="advice"),
        pytest.param(weighed, ("3",), id="consequence"),
        pytest.param(with_source, ("v",), id="source"),
    ],
)
def test_page(
    snap_compare: Compare, size: tuple[int, int], made: object, keys: tuple[str, ...]
) -> None:
    assert callable(made)
    stage = Stage(Timing.UPSTREAM, [made(report(Timing.UPSTREAM))])
    assert snap_compare(stage.app, terminal_size=size, run_before=pressing(*keys))
