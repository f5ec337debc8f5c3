"""Where the screen goes: functions from one state to the next."""

from __future__ import annotations

from collections.abc import Iterable

from trtdbg.records import Cause
from trtdbg_ui.model.activity import Activity
from trtdbg_ui.model.causes import same_cause
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.pass_steps import neighbour
from trtdbg_ui.model.state import Find, Pane, State
from trtdbg_ui.model.switched import changed_nodes
from trtdbg_ui.model.switching import PolicySwitch, change
from trtdbg_ui.model.view import View
from trtdbg_ui.text import Line


def presenting(
    state: State, loaded: Loaded, activity: Activity | None, news: Line | None = None
) -> State:
    """Returns the state that shows a report.

    Place and node stay where they were if they still exist.

    Args:
        state: The state before.
        loaded: The report.
        activity: What runs in the worker now.
        news: What to say about it; None means what the switch of policy changed.
    """
    old = state.loaded
    change = _difference(old, loaded) if news is None else news
    switched = old is not None and _choice(old) != _choice(loaded)
    state = state.changed(
        loaded=loaded,
        before=old if switched else state.before,
        switched=changed_nodes(old, loaded) if old and switched else state.switched,
        place=_same_place(state.loaded, loaded, state.place),
        against=_same_place(state.loaded, loaded, state.against),
        change=change,
        failure=None,
        activity=activity,
        cause=_first_cause(state, loaded),
        outdated=state.outdated and old is not None and _file(old) == _file(loaded),
    )
    if old is None and state.cause is not None and state.node is None:
        # The graph stands around what the details are about.
        return _on_a_row(
            state.changed(node=next(iter(loaded.causes[state.cause].nodes), None))
        )
    return _on_a_row(state)


def _first_cause(state: State, loaded: Loaded) -> int | None:
    """Returns the cause that the details are about when a report comes."""
    if not loaded.causes or (state.main is not Pane.CAUSES and state.cause is None):
        return None
    return same_cause(loaded.causes, cause_shown(state))


def cause_shown(state: State) -> Cause | None:
    """Returns the cause that the details are about, or else that of the selected node."""
    causes = state.loaded.causes if state.loaded is not None else ()
    if state.cause is not None and state.cause < len(causes):
        return causes[state.cause]
    return next((cause for cause in causes if state.node in cause.nodes), None)


def at_pane(state: State, pane: Pane, main: Pane, place: str | None) -> State:
    """Returns the state with the keyboard in a pane; the details follow its cursor.

    Args:
        state: The state before.
        pane: The pane.
        main: The view that is shown.
        place: The node that the cursor in the causes stands on, None if on a cause.
    """
    before, state = state, state.changed(pane=pane, main=main)
    causes = state.loaded.causes if state.loaded is not None else ()
    if pane is Pane.DETAIL:
        return state
    if pane is not Pane.CAUSES or not causes:
        return state.changed(cause=None)
    if before.pane is Pane.CAUSES or (place is not None and place == state.node):
        return state
    return state.changed(cause=same_cause(causes, cause_shown(state)))


def at_place(state: State, place: int | None) -> State:
    """Returns the state that shows the graph after a pass; None means the result."""
    return _on_a_row(state.changed(place=place))


def at_neighbour(state: State, step: int, *, telling: bool) -> State:
    """Returns the state at the next pass; with `telling` the next that changed something.

    In the result, which is the last, that is the next node that a switch changed.
    """
    if state.loaded is None:
        return state
    if telling and step > 0 and state.place is None:
        return _at_next(state, state.switched) or state
    report, hide = state.loaded.report, state.hide_unchanged
    place = neighbour(report, state.place, step, telling=telling, hide_unchanged=hide)
    found = at_place(state, place)
    if not telling or place is None or found.rows is None or not found.rows.names:
        return found
    return found.changed(node=found.rows.names[found.rows.start()], cause=None)


def hiding_unchanged(state: State) -> State:
    """Returns the state that hides what passes left unchanged, or shows it again."""
    return _on_a_row(state.changed(hide_unchanged=not state.hide_unchanged))


def viewing(state: State, view: View) -> State:
    """Returns the state that shows the node table in another way."""
    return _on_a_row(state.changed(view=view))


def comparing(state: State, against: int | None) -> State:
    """Returns the state that compares passes with the one at `against`; None ends that."""
    return _on_a_row(state.changed(against=against))


def at_node(state: State, name: str) -> State:
    """Returns the state with that node selected, in the result if the pass shown lacks it.

    A view that leaves the node out is opened. If the result lacks it too, it is the result
    that is shown, and the selection stays. The node selected before goes on the trail.
    """
    trail = state.trail
    if state.node is not None and state.node != name:
        trail = (*trail, state.node)[-_LONGEST_TRAIL:]
    found = _with_row(state, name)
    if not found.has(name):
        return found
    pane = found.pane if found.pane is not Pane.PASSES else Pane.NODES
    return found.changed(node=name, pane=pane, trail=trail, cause=None)


def back(state: State) -> State | None:
    """Returns the state at the node that the last jump came from, if there was one."""
    if not state.trail:
        return None
    *trail, name = state.trail
    found = at_node(state, name)
    return found.changed(trail=tuple(trail))


_LONGEST_TRAIL = 100


def _with_row(state: State, name: str) -> State:
    """Returns the first of the states that show more and more in which the node has a row."""
    opened = state.changed(view=state.view.opened(), hide_unchanged=False)
    result = state.changed(place=None)
    states = (state, opened, result, result.changed(view=state.view.opened()))
    return next((each for each in states if each.has(name)), states[-1])


def at_stretch(state: State, step: int) -> State | None:
    """Returns the state at the first node of the next engine or gap, if there is one."""
    if state.loaded is None or not state.loaded.stretches:
        return None
    here = state.loaded.stretch_of.get(state.node or "")
    target = 0 if here is None else here + step
    if not 0 <= target < len(state.loaded.stretches):
        return None
    return at_node(state, state.loaded.stretches[target].nodes[0])


def at_problem(state: State, step: int) -> State | None:
    """Returns the state at the next node that is left to PyTorch or has a finding, if any."""
    if state.loaded is None or state.rows is None:
        return None
    is_problem = state.loaded.is_problem
    names = state.rows.names
    rows = (i for i in _around(len(names), state.row, step) if is_problem(names[i]))
    return _at_first(state, rows)


def _at_next(state: State, names: frozenset[str]) -> State | None:
    """Returns the state at the next row with one of these names."""
    table = state.rows
    if table is None:
        return None
    rows = (i for i in _around(len(table.names), state.row, 1) if table.names[i] in names)
    return _at_first(state, rows)


def at_hit(state: State, step: int) -> State | None:
    """Returns the state at the next hit of the search, if there is one."""
    if state.rows is None:
        return None
    hits = frozenset(state.hits)
    rows = (i for i in _around(len(state.rows.names), state.row, step) if i in hits)
    return _at_first(state, rows)


def searching(state: State, text: str) -> State:
    """Returns the state that searches for a text, at the first hit from the cursor on."""
    state = state.changed(find=Find.of(text))
    if not state.hits:
        return state
    hit = next((hit for hit in state.hits if hit >= state.row), state.hits[0])
    return _at_first(state, (hit,)) or state


def _at_first(state: State, rows: Iterable[int]) -> State | None:
    row = next(iter(rows), None)
    table = state.rows
    if row is None or table is None:
        return None
    return state.changed(node=table.names[row], cause=None)


def _on_a_row(state: State) -> State:
    """Returns the state with the selected node, or one worth a look first if it has no row."""
    rows = state.rows
    if rows is None or not rows.names:
        return state
    if state.node is None or state.node not in rows.position:
        return state.changed(node=rows.names[rows.start()])
    return state


def _difference(old: Loaded | None, new: Loaded) -> PolicySwitch | Line:
    """Returns what the switch from one policy to another changed."""
    if old is None or _choice(old) == _choice(new):
        return ()
    return change(old.report, new.report)


def _file(loaded: Loaded) -> str:
    return loaded.report.model.sha256


def _choice(loaded: Loaded) -> tuple[object, ...]:
    return loaded.report.settings, loaded.report.policy


def _same_place(old: Loaded | None, new: Loaded, place: int | None) -> int | None:
    """Returns where the selected pass stands in another report; None if it is not there."""
    if old is None or place is None:
        return None
    record = old.report.passes[place]
    passes = new.report.passes
    same = [
        i for i, p in enumerate(passes) if (p.phase, p.name) == (record.phase, record.name)
    ]
    # A pass can run twice: the one at the same place is meant, if there is one.
    return place if place in same else next(iter(same), None)


def _around(number: int, start: int, step: int) -> Iterable[int]:
    """Yields all rows once, from the one after `start` on in the direction of `step`."""
    for distance in range(1, number + 1):
        yield (start + step * distance) % number
