"""What changed between two reports made by hand: versions, policy, causes, old reports."""

from __future__ import annotations

import msgspec
import pytest

from tests import canned
from trtdbg.analysis.causes import derive
from trtdbg.analysis.change_words import lines
from trtdbg.analysis.changes import is_same, matches, what_changed
from trtdbg.records import NodeChange, NodeChangeKind, Report


def with_version(report: Report, **versions: str) -> Report:
    environment = msgspec.structs.replace(report.environment, **versions)
    return msgspec.structs.replace(report, environment=environment)


@pytest.mark.parametrize("report", [canned.UPSTREAM, canned.LATE, canned.LOWERING_FAILED])
def test_a_report_beside_itself_changed_nothing(report: Report) -> None:
    changed = what_changed(report, report)
    assert is_same(changed)
    assert changed.matched == len(report.nodes)
    assert lines(changed) == ["nothing changed in engines, causes or nodes"]


def test_an_upgrade_is_told_with_its_versions() -> None:
    newer = with_version(canned.UPSTREAM, torch_tensorrt="2.14.0", tensorrt="1.6.0")
    changed = what_changed(canned.UPSTREAM, newer)
    assert [(each.name, each.after) for each in changed.versions] == [
        ("torch_tensorrt", "2.14.0"),
        ("tensorrt", "1.6.0"),
    ]
    assert "torch_tensorrt: 2.13.0 → 2.14.0" in lines(changed)


def test_a_switch_of_timing_tells_engines_policy_and_the_cause_that_is_gone() -> None:
    changed = what_changed(canned.UPSTREAM, canned.LATE)
    assert changed.engines == (2, 1)
    assert [each.name for each in changed.policy] == ["timing"]
    assert len(changed.causes_gone) == 1
    assert "now in an engine: _to_copy (island.py:41)" in "\n".join(lines(changed))


def test_a_report_without_causes_gets_them_from_what_it_holds() -> None:
    old = msgspec.structs.replace(canned.UPSTREAM, causes=())
    new = msgspec.structs.replace(canned.UPSTREAM, causes=derive(canned.UPSTREAM))
    changed = what_changed(old, new)
    assert changed.causes_gone == changed.causes_new == ()


def test_a_model_that_fails_now_says_what_ended_it() -> None:
    told = lines(what_changed(canned.UPSTREAM, canned.LOWERING_FAILED))
    assert told[0].startswith("no engines any more: pass 'fuse_prims_broadcast' failed")
    back = lines(what_changed(canned.LOWERING_FAILED, canned.UPSTREAM))
    assert back[0].startswith("analysed to the end again")


def test_no_node_is_matched_twice() -> None:
    nodes = canned.UPSTREAM.nodes
    pairs = matches((*nodes, *nodes[:0]), tuple(reversed(nodes)))
    assert len({one.name for one, _ in pairs}) == len(pairs) == len(nodes)


def test_a_module_that_is_renamed_is_told_with_both_names() -> None:
    def change(before: str, after: str) -> NodeChange:
        kinds = (NodeChangeKind.RENAMED_MODULE,)
        return NodeChange(
            kinds=kinds, name="mul", before="mul", op="call_function", target="aten.mul",
            module_before=before, module_after=after,
        )  # fmt: skip

    same = what_changed(canned.LATE, canned.LATE)
    nodes = (change("encoder", "decoder"), change("", "head"), change("tail", ""))
    changed = msgspec.structs.replace(same, nodes=nodes)
    assert lines(changed) == [
        "module encoder → decoder: mul",
        "module (model) → head: mul",
        "module tail → (model): mul",
    ]


def test_a_dynamic_size_with_another_name_is_the_same_and_a_fixed_one_is_not() -> None:
    def with_shape(*shape: int | str) -> Report:
        first, *others = canned.UPSTREAM.nodes
        nodes = (msgspec.structs.replace(first, shape=shape), *others)
        return msgspec.structs.replace(canned.UPSTREAM, nodes=nodes)

    assert is_same(what_changed(with_shape("s0", 4), with_shape("s77", 4)))
    (told,) = lines(what_changed(with_shape(2, 4), with_shape("s0", 4)))
    assert told.startswith("shape [2, 4] → [s0, 4]: ")
