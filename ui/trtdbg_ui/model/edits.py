"""The screen after an edit of the model: the same cursor, filter and view on another graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from trtdbg.analysis.by_place import module_of
from trtdbg.analysis.change_words import lines
from trtdbg.analysis.changes import Pair, matches, what_changed
from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.navigation import presenting
from trtdbg_ui.model.state import State
from trtdbg_ui.model.view import View
from trtdbg_ui.text import Line, Tone, line


def edited(state: State, loaded: Loaded, activity: Activity | None) -> State:
    """Returns the state that shows a model after it was edited.

    The cursor stays on its node, whatever lowering calls that now, and filters by line, module
    and engine keep what they showed.

    Args:
        state: The state before, which shows a report.
        loaded: The report of the edited model.
        activity: What runs in the worker now.
    """
    old = state.loaded
    if old is None:
        return presenting(state, loaded, activity)
    pairs = matches(old.report.nodes, loaded.report.nodes)
    names = {one.name: other.name for one, other in pairs}
    # `changed` would lay the old graph out under what is true of the new one.
    moved = replace(
        state,
        node=names.get(state.node or "", state.node),
        trail=tuple(names[name] for name in state.trail if name in names),
        view=_followed(state.view, pairs),
    )
    shown = presenting(moved, loaded, activity, _news(old, loaded))
    return shown.changed(before=old, outdated=False)


def _followed(view: View, pairs: Sequence[Pair]) -> View:
    """Returns a view whose filters keep the same nodes as before, by their new places."""
    moved_lines = {
        (one.source.file, one.source.line): (other.source.file, other.source.line)
        for one, other in pairs
        if one.source is not None and other.source is not None
    }
    modules = {module_of(one): module_of(other) for one, other in pairs}
    engines = Counter(other.engine for one, other in pairs if one.engine == view.engine)
    engine = (
        view.engine if view.engine is None or not engines else engines.most_common(1)[0][0]
    )
    return replace(
        view,
        line=moved_lines.get(view.line, view.line) if view.line is not None else None,
        modules=tuple(dict.fromkeys(_module(name, modules) for name in view.modules)),
        engine=engine,
    )


def _module(path: str, renamed: dict[str, str]) -> str:
    """Returns what a module is called now; one without nodes of its own as what is below."""
    if path in renamed:
        return renamed[path]
    depth = path.count(".") + 1
    below = (new for old, new in renamed.items() if old.startswith(f"{path}."))
    return next((".".join(new.split(".")[:depth]) for new in below), path)


def _news(before: Loaded, after: Loaded) -> Line:
    """Returns the first of what changed."""
    told = lines(what_changed(before.report, after.report))
    more = f" and {len(told) - 1} more" if len(told) > 1 else ""
    return line(("edited: ", Tone.STRONG), f"{told[0]}{more}")
