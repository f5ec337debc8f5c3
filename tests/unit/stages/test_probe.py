"""TensorRT's verdict on single nodes."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests import by_version  # noqa: E402
from tests.staging import export, lower, module, options, quiet  # noqa: E402
from trtdbg.compat import host  # noqa: E402
from trtdbg.graphs.graph import engine_nodes  # noqa: E402
from trtdbg.records import Verdict  # noqa: E402
from trtdbg.stages import probe  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def builder() -> None:
    if not host.describe().targets:
        pytest.skip("only TensorRT-RTX builds without a GPU")


def ask(
    function: Any, *args: Any, memory: probe.Memory | None = None, seconds: float = 60.0
) -> dict[str, probe.TensorrtAnswer]:
    from trtdbg.stages import partition

    settings = options()
    lowered = lower(export(module(function), *args))
    split = partition.partition(lowered, settings, tolerant=True)
    engines = [engine for _, engine in engine_nodes(split.module)]
    memory = memory or probe.Memory()
    return probe.probe(engines, settings, "sm86", memory, emit=quiet, seconds=seconds)


def floats(*shape: int) -> Any:
    return torch.ones(shape)


def test_what_tensorrt_builds_is_accepted() -> None:
    answers = ask(lambda self, x: torch.relu(x).softmax(-1) + 1, floats(2, 4))
    assert {a.verdict for a in answers.values()} == {Verdict.ACCEPT}
    assert answers["relu"].dtype == "FLOAT"


@by_version.only("bool times bool")
def test_bool_times_bool_is_refused_with_tensorrts_sentence() -> None:
    answers = ask(lambda self, x: torch.where((x > 0) * (x < 1), x, -x), floats(2, 4))
    assert answers["mul"].verdict is Verdict.REJECT
    assert "PROD requires inputs" in (answers["mul"].reason or "")
    assert "__len__" not in (answers["mul"].reason or "")
    assert answers["where"].verdict is Verdict.ACCEPT


def test_an_operand_has_the_dtype_that_tensorrt_gives_it_not_torch() -> None:
    def forward(self: Any, base: Any, logits: Any) -> Any:
        return base.index_put((torch.tensor([0, 2, 4]),), logits.argmax(-1))

    answers = ask(forward, torch.zeros(6, dtype=torch.int64), floats(3, 5))
    assert answers["argmax"].dtype == "INT32"
    assert answers["index_put"].verdict is Verdict.REJECT
    assert "identical types" in (answers["index_put"].reason or "")


def test_a_refusal_that_only_the_build_tells_does_not_spread_to_its_batch() -> None:
    def forward(self: Any, x: Any, ids: Any) -> Any:
        return torch.sqrt(ids), torch.relu(x), x.softmax(-1), ids + 1

    answers = ask(forward, floats(2, 4), torch.ones(3, dtype=torch.int64))
    refused = {name for name, a in answers.items() if a.verdict is Verdict.REJECT}
    assert refused == {"sqrt"}


def test_unused_outputs_of_an_operator_are_not_asked_for() -> None:
    answers = ask(lambda self, x: torch.nn.functional.layer_norm(x, (4,)) * 2, floats(2, 4))
    assert {a.verdict for a in answers.values()} == {Verdict.ACCEPT}


def test_equal_questions_are_asked_once() -> None:
    memory = probe.Memory()
    answers = ask(
        lambda self, x: torch.relu(torch.relu(torch.relu(x)) * 1.5),
        floats(2, 4),
        memory=memory,
    )
    assert len(answers) == 4
    assert len(memory.answers) == 2


def test_what_is_known_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = probe.Memory()

    def forward(self: Any, x: Any) -> Any:
        return torch.relu(x) + 1

    first = ask(forward, floats(2, 4), memory=memory)

    def fail(*_: Any) -> bool:
        raise AssertionError("built again")

    monkeypatch.setattr(probe, "_builds", fail)
    assert ask(forward, floats(2, 4), memory=memory) == first


def test_what_there_was_no_time_for_is_not_checked_and_says_why() -> None:
    answers = ask(lambda self, x: torch.relu(x), floats(2, 4), seconds=0.0)
    (answer,) = answers.values()
    assert answer.verdict is Verdict.NOT_CHECKED
    assert answer.reason == "the 0 seconds for questions to TensorRT were over"


def test_what_is_left_out_is_not_asked_and_what_reads_it_is() -> None:
    announced: list[list[str]] = []
    memory = probe.Memory(announce=announced.append)
    ask(lambda self, x: torch.relu(x) * 2, floats(2, 4), memory=memory)
    first = announced[0][0]
    announced.clear()
    careful = probe.Memory(announce=announced.append, left_out={first: "it was killed"})
    answers = ask(lambda self, x: torch.relu(x) * 2, floats(2, 4), memory=careful)
    assert not any(first in asked for asked in announced)
    verdicts = {name: answer.verdict for name, answer in answers.items()}
    assert verdicts == {"relu": Verdict.NOT_CHECKED, "mul": Verdict.ACCEPT}
    assert answers["relu"].reason == "it was killed"


def test_suspects_of_a_crash_are_announced_one_by_one() -> None:
    announced: list[list[str]] = []
    memory = probe.Memory(announce=announced.append)
    ask(lambda self, x: torch.relu(x) + x.softmax(-1), floats(2, 4), memory=memory)
    together = max(announced, key=len)
    assert len(together) == 3

    again: list[list[str]] = []
    careful = probe.Memory(announce=again.append, suspects=set(together))
    ask(lambda self, x: torch.relu(x) + x.softmax(-1), floats(2, 4), memory=careful)
    assert max(map(len, again)) == 1
    assert careful.answers.keys() == set(together)
