"""What the keys of the node table do: columns, filters, folding, comparing, jumping."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from trtdbg.records import LineRow
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.filters import keeps
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.navigation import at_node, back, comparing, viewing
from trtdbg_ui.model.state import Pane
from trtdbg_ui.model.view import View
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.render.places import PlaceRow
from trtdbg_ui.render.view import QUICK
from trtdbg_ui.text import Tone, line
from trtdbg_ui.widgets.node_table import NodeTable
from trtdbg_ui.widgets.place_list import ModuleList

if TYPE_CHECKING:
    from trtdbg_ui.widgets.chooser import Option


class Tables(ActionHandler):
    """Shows the nodes in the way that the user asks for."""

    def action_columns(self) -> None:
        """Asks for the columns of the node table and for its order."""
        table = self.board.pane(Pane.NODES)
        if self.state.loaded is None or not isinstance(table, NodeTable):
            return
        from trtdbg_ui.widgets.column_dialog import ColumnDialog

        dialog = ColumnDialog(
            self.state.view, in_pass=self.state.place is not None, usual=table.usual
        )
        self.app.push_screen(dialog, self._view_as)

    def action_pick(self) -> None:
        """Asks which nodes to show."""
        loaded = self.state.loaded
        if loaded is None:
            return
        from trtdbg_ui.widgets.chooser import Chooser

        options = _filters(loaded, self.state.view)
        here = next((i for i, o in enumerate(options) if o.value == self.state.view), 0)
        self.app.push_screen(Chooser("Nodes to show", options, "filter", here), self._view_as)

    def action_fold(self) -> None:
        """Folds blocks that repeat, or shows them all again; in the findings those alike."""
        modules = self.board.pane(Pane.MODULES)
        if self.state.pane is Pane.MODULES and isinstance(modules, ModuleList):
            modules.toggle_all()
            return
        findings = self.findings
        if findings is not None:
            if not findings.toggle_all():
                self.app.tell("No finding is like another one.")
            return
        rows, view = self.state.rows, self.state.view
        if rows is None:
            return
        self.state = viewing(self.state, replace(view, fold=not view.fold))
        folded = self.state.rows
        if folded is not None and self.state.view.fold and not folded.folding.groups:
            self.state = viewing(self.state, view)
            self.app.tell("No numbered block of the model repeats with the same dtypes.")

    def action_against(self) -> None:
        """Compares passes with the one shown, or with the one before each again."""
        state = self.state
        if state.loaded is None:
            return
        if state.against is not None:
            self.state = comparing(state, None)
            self.app.tell("Each pass is compared with the one before it again.")
        elif state.place is None:
            self.app.tell(
                f"{key('previous-pass')} goes to a pass; {key('compare-passes')} there "
                "compares other passes with it."
            )
        else:
            self.state = comparing(state, state.place)
            record = state.loaded.report.passes[state.place]
            self.app.tell(
                f"Passes are compared with {record.index} {record.name}: "
                f"{key('previous-pass')} {key('next-pass')} go to another, "
                f"{key('compare-passes')} ends it."
            )

    def action_diff(self) -> None:
        """Shows the graph before and after the pass shown; in the result what all did."""
        state = self.state
        if state.loaded is None or not state.loaded.report.passes:
            return
        from trtdbg_ui.render.before_after import before_after, title
        from trtdbg_ui.widgets.wide_dialog import WideDialog

        report = state.loaded.report
        place, against = state.place, state.against
        if place is None:
            place, against = len(report.passes) - 1, against or 0
        make = partial(before_after, report, place, against)
        self.app.push_screen(
            WideDialog(title(report, place, against), make, "before-and-after")
        )

    def action_jump(self, side: str) -> None:
        """Goes to an operand or a user of the selected node; asks which, if there are more."""
        loaded, name = self.state.loaded, self.state.node
        if loaded is None or name is None:
            return
        names = self._neighbours(loaded, name, side)
        if not names:
            self.app.tell(f"{name} has no {side}.")
        elif len(names) == 1:
            self.jump(names[0])
        else:
            from trtdbg_ui.widgets.chooser import Chooser, Option

            wide = max(len(each) for each in names)
            options = [
                Option(_neighbour(loaded, each, wide), each, _hot_key(index))
                for index, each in enumerate(names)
            ]
            # The two actions are called after the side that they go to.
            self.app.push_screen(Chooser(f"{side} of {name}", options, side), self.jump)

    def action_jump_back(self) -> None:
        """Goes to the node that the last jump came from."""
        state = back(self.state)
        if state is None:
            self.app.tell("There was no jump to come back from.")
        else:
            self.state = state

    def show_place(self, row: PlaceRow) -> None:
        """Shows the nodes of a module or of a line, and no others, in the graph."""
        loaded = self.state.loaded
        first = loaded.telling(row.nodes) if loaded is not None else None
        if first is None:
            return
        view = self.state.view.opened()
        if isinstance(row, LineRow):
            view = replace(view, line=(row.file, row.line))
        elif row.path:
            view = replace(view, modules=row.stands_for)
        self.state = viewing(self.state.changed(node=first, cause=None, place=None), view)
        self.app.action_view(Pane.NODES.value)

    def _view_as(self, view: View | None) -> None:
        if view is None or self.state.loaded is None:
            return
        self.state = viewing(self.state, view)

    def _neighbours(self, loaded: Loaded, name: str, side: str) -> tuple[str, ...]:
        """Returns operands or users in the graph shown."""
        if self.state.place is None:
            node = loaded.nodes.get(name)
            found: tuple[str, ...] = getattr(node, side) if node is not None else ()
            return tuple(dict.fromkeys(found))
        pool = loaded.report.graph_nodes
        graph = [pool[i] for i in loaded.report.passes[self.state.place].graph]
        if side == "users":
            return tuple(node.name for node in graph if name in node.operands)
        shown = next((node for node in graph if node.name == name), None)
        return tuple(dict.fromkeys(shown.operands)) if shown is not None else ()

    def jump(self, name: str | None) -> None:
        """Goes to a node; None is nowhere."""
        if name is None:
            return
        self.state = at_node(self.state, name)
        if not self.state.has(name):
            self.app.tell(f"{name} is not a node of this graph.", severity="warning")


def _filters(loaded: Loaded, view: View) -> list[Option[View]]:
    """Returns each filter with the number of nodes that it keeps."""
    from trtdbg_ui.widgets.chooser import Option, option_text

    report, everything = loaded.report, view.unfiltered()
    whole = option_text(f"all {len(report.nodes):,} nodes", here=not view.filtered)
    options = [Option(whole, everything, "a")]
    for quick, (letter, name, meaning) in QUICK.items():
        chosen = replace(everything, quick=quick)
        keep = keeps(report, loaded.left, chosen)
        number = sum(keep(node) for node in report.nodes)
        text = option_text(f"{name:<20}{number:>7,}", f"  {meaning}", here=view.quick is quick)
        options.append(Option(text, chosen, letter))
    sizes = Counter(node.engine for node in report.nodes if node.engine is not None)
    for engine in report.engines:
        chosen = replace(everything, engine=engine.index)
        name = f"engine {engine.index}"
        text = option_text(
            f"{name:<20}{sizes[engine.index]:>7,}", here=view.engine == engine.index
        )
        letter = str(engine.index) if engine.index <= 9 else ""
        options.append(Option(text, chosen, letter))
    return options


def _neighbour(loaded: Loaded, name: str, wide: int) -> tuple[tuple[str, Tone], ...]:
    node = loaded.nodes.get(name)
    if node is None:
        return line(name)
    place = f"E{node.engine}" if node.engine is not None else ""
    place = "PyTorch" if name in loaded.left else place
    dtype = dtype_span(node.truncated)
    return line(f"{name:<{wide}}  ", dtype, (f"  {place}", Tone.DIM))


def _hot_key(index: int) -> str:
    return str(index + 1) if index < 9 else ""
