"""A reproducer as one Python file, and the bug report that goes with it."""

from __future__ import annotations

import re
from textwrap import wrap

from trtdbg.analysis.codes import Code
from trtdbg.analysis.summary import environment_line
from trtdbg.outputs.html import render
from trtdbg.plain import one_line
from trtdbg.policy import Settings
from trtdbg.records import Recipe, RecipeGraph, RecipeKind, Report

_TITLES = {
    RecipeKind.REJECTED: "{target}: the validator's answer hangs on the dtype it is shown",
    RecipeKind.CRASHED: "{target}: the capability validator raises",
    RecipeKind.FALSE_ACCEPT: "{target}: the validator accepts what TensorRT then refuses",
    RecipeKind.SCOPE_DEPENDENT: "{target}: accepted in the whole graph, refused in its engine",
}

_PARTITION_SETTINGS = ("min_block_size", "partitioner", "torch_executed_ops")
"""Settings that say nothing about an operator alone."""

_LAYER = re.compile(r"^(?:\[[^\]]*\]-?)+: ")


def title(recipe: Recipe) -> str:
    """Returns what a reproducer shows, as a bug report's title."""
    words = _TITLES[recipe.kind].format(target=recipe.target)
    same = recipe.before.expected is recipe.after.expected
    if recipe.code == Code.TD106:
        words = f"{recipe.target}: there is no converter for it"
    elif recipe.kind is RecipeKind.REJECTED and same:
        words = f"{recipe.target}: the validator refuses, before truncation and after it"
    return words


def script(report: Report, recipe: Recipe, name: str) -> str:
    """Returns the Python file that shows a recipe; `name` is how it will be called."""
    graphs = _graphs(recipe)
    sentence = _LAYER.sub("", recipe.sentence or "").split(": ", 1)[-1].strip()
    return render(
        "reproducer.py.txt",
        heading=_heading(report, recipe),
        name=name,
        recipe=recipe,
        sizes=recipe.sizes,
        settings=recipe.settings,
        truncate_double=recipe.after.truncate_double,
        graphs=[(function, about, graph) for function, about, _, graph in graphs],
        words={function: word for function, _, word, _ in graphs},
        sentence=repr(" ".join(sentence.split())),
    )


def issue(report: Report, recipe: Recipe, code: str, printed: str) -> str:
    """Returns a Markdown bug report with the file's text and what it printed."""
    return bug_report(report, title(recipe), recipe.message, code, printed)


def changed_settings(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Returns the settings that change what becomes of operators alone, as Python."""
    default = Settings()
    return tuple(
        (name, repr(getattr(settings, name)))
        for name in settings.__struct_fields__
        if name not in _PARTITION_SETTINGS
        and getattr(settings, name) != getattr(default, name)
    )


def bug_report(
    report: Report,
    title: str,
    message: str,
    code: str,
    printed: str,
    program: str | None = None,
) -> str:
    """Returns a Markdown bug report: what is shown, the file that shows it, its output.

    Args:
        report: says the environment.
        title: of the issue.
        message: the finding.
        code: text of the Python file.
        printed: what the file printed.
        program: name of the .pt2 that the file reads and the reader has to attach.
    """
    return render(
        "issue.md",
        program=program,
        title=title,
        message=one_line(message),
        environment=environment_line(report.environment),
        python=f"{report.environment.python}, {report.environment.platform}",
        code=code,
        printed=printed.strip(),
        fence="```" if "```" not in code + printed else "~~~~~~",
    )


def file_stem(recipe: Recipe) -> str:
    """Returns the base name of a reproducer's file: `td101_to_copy`."""
    kind = (recipe.code or recipe.kind.value).lower()
    node = re.sub(r"[^a-z0-9]+", "_", recipe.nodes[0].lower()).strip("_")
    return f"{kind}_{node[:60] or 'node'}"


def _graphs(recipe: Recipe) -> list[tuple[str, str, str, RecipeGraph]]:
    """Returns function, docstring, printed words and graph of each state that is judged."""
    if recipe.kind is RecipeKind.SCOPE_DEPENDENT:
        return [
            ("whole_graph", "The node between other operators.", "whole graph", recipe.before),
            ("in_engine", "The node alone, as in its engine.", "in its engine", recipe.after),
        ]
    before = ("original", "The node in the dtypes of the model.", "original dtypes")
    if recipe.kind is RecipeKind.FALSE_ACCEPT:
        about = "The node in the dtypes that TensorRT gives what it reads."
        return [(*before, recipe.before), ("network", about, "network", recipe.after)]
    after = ("truncated", "The node in truncated dtypes.", "truncated dtypes")
    return [(*before, recipe.before), (*after, recipe.after)]


def _heading(report: Report, recipe: Recipe) -> list[str]:
    place = f" ({recipe.source})" if recipe.source is not None and str(recipe.source) else ""
    more = f" and {len(recipe.nodes) - 1} more like it" if len(recipe.nodes) > 1 else ""
    code = f"{recipe.code}: " if recipe.code else ""
    node = f"{recipe.nodes[0]}{place}{more}"
    told = [
        f"{title(recipe)}.",
        f"{code}{recipe.message}",
        f"Written by trtdbg {report.environment.trtdbg} from node {node}.",
        f"Seen with {environment_line(report.environment)}.",
    ]
    return [line for text in told for line in wrap(one_line(text), 92)]
