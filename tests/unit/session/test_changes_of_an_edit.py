"""An edit of a model's source, and what is said to have changed: exactly that."""

from __future__ import annotations

import importlib.util
import linecache
from collections import Counter
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from trtdbg.analysis.change_words import lines  # noqa: E402
from trtdbg.analysis.changes import is_same, what_changed  # noqa: E402
from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import NodeChangeKind, Report, WhatChanged  # noqa: E402
from trtdbg.worker.messages import Job, portable_path  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

SOURCE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(4, 4)

    def forward(self, x):
        y = self.proj(x)
        z = y.double()
        w = z * 2.5
        return w.float()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x.relu()
"""

Analysed = Callable[[str], Report]


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    from trtdbg.session.session import Session

    folder = tmp_path_factory.mktemp("edited")
    kept: dict[str, Report] = {}

    def analyse(source: str) -> Report:
        if source in kept:
            return kept[source]
        path = folder / "net.py"
        path.write_text(source)
        linecache.clearcache()
        spec = importlib.util.spec_from_file_location(f"edited_{len(kept)}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        torch.manual_seed(0)
        program = torch.export.export(module.Net().eval(), (torch.randn(2, 4),))
        archive = folder / f"{len(kept)}.pt2"
        torch.export.save(program, archive)
        session = Session(
            Job(model=portable_path(str(archive)), settings=Settings()), lambda event: None
        )
        kept[source] = session.analyze(TruncationPolicy(timing=Timing.UPSTREAM))
        return kept[source]

    return analyse


def edited(analysed: Analysed, old: str, new: str) -> WhatChanged:
    assert old in SOURCE
    return what_changed(analysed(SOURCE), analysed(SOURCE.replace(old, new)))


def kinds(changed: WhatChanged) -> Counter[NodeChangeKind]:
    return Counter(kind for node in changed.nodes for kind in node.kinds)


def test_a_comment_above_changes_nothing(analysed: Analysed) -> None:
    changed = edited(analysed, "import torch\n", "import torch\n# a comment\n\n")
    assert is_same(changed)
    assert changed.lines == ()
    assert lines(changed) == ["nothing changed in engines, causes or nodes"]


def test_an_operator_added_in_front_of_others_is_all_that_changed(analysed: Analysed) -> None:
    changed = edited(analysed, "        z = y", "        y = y.sin()\n        z = y")
    assert kinds(changed) == {NodeChangeKind.ADDED: 2}
    assert {node.target for node in changed.nodes} == {"aten.sin.default"}
    assert (changed.causes_gone, changed.causes_new, changed.causes_changed) == ((), (), ())


def test_an_operator_like_one_behind_it_is_told_where_it_was_put(analysed: Analysed) -> None:
    changed = edited(analysed, "        z = y", "        y = y * 3.0\n        z = y")
    assert kinds(changed) == {NodeChangeKind.ADDED: 2}
    assert {node.source.code for node in changed.nodes if node.source} == {"y = y * 3.0"}


def test_an_operator_taken_away_is_told(analysed: Analysed) -> None:
    changed = edited(analysed, "return x.relu()", "return x")
    assert [(n.name, n.kinds) for n in changed.nodes] == [("relu", (NodeChangeKind.REMOVED,))]


def test_a_dtype_that_changed_is_told_with_the_cause_that_is_gone(analysed: Analysed) -> None:
    changed = edited(analysed, "y.double()", "y.half()")
    counted = kinds(changed)
    assert counted[NodeChangeKind.RETYPED] == 4
    assert counted[NodeChangeKind.MOVED_IN] == 2
    assert not counted[NodeChangeKind.ADDED] + counted[NodeChangeKind.REMOVED]
    assert [len(cause.nodes) for cause in changed.causes_gone] == [2]
    assert changed.causes_new == ()
    (line,) = changed.lines
    assert (line.before, line.after) == ("z = y.double()", "z = y.half()")
    text = "\n".join(lines(changed))
    assert "3 engines → 1" in text or "engines → 1" in text
    assert "dtype float64 → float16: 4 nodes" in text


def test_a_module_renamed_is_told_as_renamed(analysed: Analysed) -> None:
    changed = what_changed(analysed(SOURCE), analysed(SOURCE.replace("proj", "out")))
    assert set(kinds(changed)) == {NodeChangeKind.RENAMED_MODULE}
    renamed = {(node.module_before, node.module_after) for node in changed.nodes}
    assert renamed == {(f"blocks.{i}.proj", f"blocks.{i}.out") for i in (0, 1)}
    assert (changed.causes_gone, changed.causes_new) == ((), ())
