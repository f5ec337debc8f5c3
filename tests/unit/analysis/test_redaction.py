"""A redacted report: none of what is secret is in any output, and the rest stands."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import msgspec
import pytest
from rich.console import Console
from trtdbg_ui.outside.exporting import KINDS

from tests import canned
from trtdbg.analysis import by_place, checked
from trtdbg.analysis.causes import derive
from trtdbg.analysis.redaction import redacted
from trtdbg.commands import check
from trtdbg.outputs import pages
from trtdbg.outputs.node_data import node_data
from trtdbg.outputs.report import decode, encode
from trtdbg.outputs.report_pages import fragment, markdown, page
from trtdbg.records import (
    Change,
    ChangePlace,
    Counterfactual,
    Cure,
    CureKind,
    Finding,
    Level,
    NodeRecord,
    Numerics,
    RefusalKind,
    Report,
    Saved,
    Source,
    TypingKind,
    ValidatorSource,
)

FOLDER = "/home/adalove/secret_project"
CODE = "y = self.crown_jewels(x.double())"
SECRETS = (
    *("adalove", "secret_project", "crown_jewels", "jewels", "0.1234567", "3141592653"),
    *("hidden_text", "their_library", "private_inputs"),
)
NAMES = ("vault", "encoder_of_ours")


def secret() -> Report:
    """Returns a report that holds something secret wherever a report can hold it."""
    source = Source(
        file=f"{FOLDER}/their_library/model.py",
        line=41,
        module="vault.0.encoder_of_ours",
        code=f"  {CODE}",
    )
    refusal = Counterfactual(
        kind=RefusalKind.FEATURE,
        typing=TypingKind.ORIGINAL,
        changes=(
            Change(
                place=ChangePlace.ARGUMENT,
                node="mul",
                name="1",
                before="0.1234567",
                after="''",
            ),
        ),
        text="rejects",
        sentence=f"rejects ({FOLDER}/their_library/model.py:41)",
    )
    nodes = tuple(
        msgspec.structs.replace(
            node,
            source=source,
            args="mul(x, 0.1234567, 'hidden_text')",
            counterfactual=refusal,
        )
        for node in canned.UPSTREAM.nodes
    )
    weight = NodeRecord(
        name="vault_0_encoder_of_ours_weight",
        op="get_attr",
        target="vault.0.encoder_of_ours.weight",
        engine=0,
    )
    findings = (
        Finding(
            code="TD401",
            level=Level.ERROR,
            node="mul",
            message=f"vault.0.encoder_of_ours.weight holds 3141592653; {CODE}",
            source=source,
        ),
        Finding(
            code="TD101",
            level=Level.WARNING,
            node="mul",
            message=f"at {FOLDER}/a file/x.py, C:\\adalove\\x, ~/adalove and model.py:41",
            source=source,
        ),
    )
    report = msgspec.structs.replace(
        canned.UPSTREAM,
        model=msgspec.structs.replace(canned.UPSTREAM.model, path=f"{FOLDER}/jewels.pt2"),
        nodes=(weight, *nodes),
        findings=findings,
        graph_nodes=tuple(
            msgspec.structs.replace(each, args="f(0.1234567, 'hidden_text')", source=source)
            for each in canned.UPSTREAM.graph_nodes
        ),
        environment=msgspec.structs.replace(
            canned.ENVIRONMENT, import_log=(f"loaded {FOLDER}/x.so",)
        ),
        validators=(
            ValidatorSource(
                validator="their.validator", file="mine.py", line=1, text="hidden_text"
            ),
        ),
        saved=Saved(folder=f"{FOLDER}/out", files=("engine_0.engine",)),
        numerics=Numerics(inputs=f"{FOLDER}/private_inputs.pt", seed=0, atol=0.0, rtol=0.0),
    )
    cure = Cure(
        kind=CureKind.EDIT,
        say=f"edit line 41 of {FOLDER}/their_library/model.py, `{CODE}`: it becomes `{CODE}`",
        type=CODE,
        source=source,
        line=CODE,
    )
    causes = tuple(msgspec.structs.replace(c, cures=(cure,)) for c in derive(report))
    return msgspec.structs.replace(
        report,
        causes=causes,
        lines=by_place.by_line(report),
        modules=by_place.by_module(report),
        operators=by_place.by_operator(report),
    )


def terminal(report: Report) -> str:
    text = io.StringIO()
    console = Console(file=text, width=400)
    bare = msgspec.structs.replace(report, lines=None, modules=None, operators=None)
    for shown in (report, bare):
        console.print(pages.report(shown, all_nodes=True))
        console.print(pages.build(shown, layers=True))
    return text.getvalue()


def of_check(style: check.Style) -> Callable[[Report], str]:
    """Returns what makes the output of `trtdbg check` in one form."""

    def make(report: Report) -> str:
        found = checked.check(report, select=(), ignore=())
        result = checked.result(report, found, frozenset())
        return check._render([result], style, Level.NOTE, False)

    return make


OUTPUTS: dict[str, Callable[[Report], str]] = {
    "json": lambda report: encode([report]).decode(),
    "markdown": lambda report: markdown([report], all_nodes=True),
    "html": lambda report: page([report]),
    "notebook": fragment,
    "model explorer": lambda report: node_data(report).decode(),
    "terminal": terminal,
    **{f"check {style}": of_check(style) for style in check.Style},
    **{f"export {kind.ending}": lambda r, k=kind: k.make(r).decode() for kind in KINDS},
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_no_secret_is_in_any_output(output: str) -> None:
    text = OUTPUTS[output](redacted(secret()))
    assert [word for word in SECRETS if word in text] == []


def test_the_test_would_notice() -> None:
    text = "".join(make(secret()) for make in OUTPUTS.values())
    assert {word for word in (*SECRETS, *NAMES) if word not in text} == set()


@pytest.mark.parametrize("output", OUTPUTS)
def test_names_of_modules_are_numbers_where_that_is_asked(output: str) -> None:
    text = OUTPUTS[output](redacted(secret(), modules=True))
    assert [word for word in (*SECRETS, *NAMES) if word in text] == []


def test_what_is_no_secret_stays_and_the_report_opens_again() -> None:
    report = redacted(secret())
    assert decode(encode([report]), "r") == report
    node = next(node for node in report.nodes if node.name == "mul")
    assert node.source is not None
    assert (str(node.source), node.source.module) == ("file1.py:41", "vault.0.encoder_of_ours")
    assert report.model.path == "model.pt2"
    assert [cause.reason for cause in report.causes] == [
        cause.reason for cause in secret().causes
    ]
    numbered = redacted(secret(), modules=True)
    assert re.fullmatch(r"m\d+_0_m\d+_m\d+", numbered.nodes[0].name)
    assert numbered.nodes[0].target.replace(".", "_") == numbered.nodes[0].name


def test_redacting_twice_changes_nothing() -> None:
    once = redacted(secret())
    assert redacted(once) == once
