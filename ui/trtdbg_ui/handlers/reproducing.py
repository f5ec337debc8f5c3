"""What the key of reproducers does: a dialog, what it asks of the worker, what it writes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from trtdbg.analysis.conclusions import is_call
from trtdbg.records import Finding, NodeRecord, Report
from trtdbg.worker.messages import Reproduce
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.model.state import Pane
from trtdbg_ui.shell import Panes
from trtdbg_ui.widgets.engine_list import EngineList

_OF_A_NODE = ("TD101", "TD102", "TD103", "TD104", "TD105")
"""Findings about one node, which a reproducer can be made of."""
_OF_AN_ENGINE = "TD503"
_OF_A_PASS = "TD501"
"""The findings that only a search over parts, of an engine or of the program, reproduces."""


@dataclass(frozen=True)
class _Saving:
    """What the dialog of one node asks of the app."""

    app: Panes
    ask: Callable[[str], str | None]
    node: str
    command: str

    def request(self) -> str | None:
        """Asks the worker for the node's recipes, or returns why that cannot be."""
        return self.ask(self.node)

    def save(self, folder: str, texts: Mapping[str, str], force: bool) -> list[str]:
        """Writes the files; in a browser they are downloaded."""
        from trtdbg_ui.outside import repro_files

        if not self.app.is_web:
            return repro_files.write(folder, texts, force=force)
        for name, text in texts.items():
            self.app.deliver_binary(io.BytesIO(text.encode()), save_filename=name)
        return list(texts)

    def copy(self) -> None:
        """Copies the command."""
        self.app.copy_to_clipboard(self.command)
        self.app.tell(self.command, title="Copied")

    def tell(self, message: str, *, bad: bool) -> None:
        """Shows a toast."""
        title = "Failed" if bad else "Downloaded" if self.app.is_web else "Written"
        self.app.tell(message, title=title, severity="error" if bad else "information")


class Reproducing(ActionHandler):
    """Writes the reproducer of a node, and says what makes one of an engine."""

    def action_reproducer(self) -> None:
        """Asks where to write the reproducer of a node, or says how an engine is cut down."""
        loaded = self.state.loaded
        if loaded is None:
            return
        finding = self._meant(loaded)
        if self.desk.read_only:
            kind = self.desk.kind
            self.app.tell(f"A {kind} holds nothing to run. Open the .pt2 for reproducers.")
        elif finding is not None and finding.code in (_OF_AN_ENGINE, _OF_A_PASS):
            self._offer_reduction(finding)
        else:
            name = finding.node if finding is not None else self.state.node
            self._ask_where(loaded.nodes.get(name or ""))

    def _meant(self, loaded: Loaded) -> Finding | None:
        """Returns the finding of the cursor, of its engine, or of the node's engine.

        Where a lowering pass raised, it is that of the pass: nothing else was analysed.
        """
        engines = self.board.pane(Pane.ENGINES)
        if self.findings is not None:
            return self.findings.finding_at(self.findings.cursor)
        if self.state.pane is Pane.ENGINES and isinstance(engines, EngineList):
            engine = engines.engine_at(engines.cursor)
            return loaded.refused.get(engine) if engine is not None else None
        raised = [f for f in loaded.report.findings if f.code == _OF_A_PASS]
        if raised:
            return raised[0]
        node = loaded.nodes.get(self.state.node or "")
        if node is None or node.engine is None:
            return None
        own = loaded.findings_of.get(node.name, ())
        # What can be said of the node itself is smaller than its engine.
        if any(finding.code in _OF_A_NODE for finding in own):
            return None
        found = loaded.refused.get(node.engine)
        return found if found is not None and found.code == _OF_AN_ENGINE else None

    def _ask_where(self, node: NodeRecord | None) -> None:
        if node is None or not is_call(node):
            self.app.tell("Reproducers are made of operators: select one in the result.")
            return
        from trtdbg_ui.render.command import repro_command
        from trtdbg_ui.widgets.repro_dialog import ReproDialog

        command = repro_command(self.desk.job, self.state.policy, node.name)
        saving = _Saving(self.app, self.ask_for_recipes, node.name, command)
        self.app.push_screen(ReproDialog(node.name, command, saving, self.app.clock))

    def _offer_reduction(self, finding: Finding) -> None:
        """Shows the command: a search takes minutes and workers of its own."""
        from trtdbg_ui.render.command import reduction_command, reduction_lines
        from trtdbg_ui.widgets.command_dialog import CommandDialog

        command = reduction_command(self.desk.job, self.state.policy, finding.code)
        lowering = finding.code == _OF_A_PASS

        def ended(wanted: bool | None) -> None:
            if wanted:
                self.app.copy_to_clipboard(command)
                self.app.tell(command, title="Copied")

        make = partial(reduction_lines, finding.message, command, lowering=lowering)
        about = "the pass that raised" if lowering else f"engine {finding.engine}"
        title = f"Reproducer of {about}"
        self.app.push_screen(CommandDialog(title, make, "reproducer"), ended)

    def ask_for_recipes(self, node: str) -> str | None:
        """Asks the worker for what a node's reproducers are made of, or says why not."""
        request = Reproduce(job=self.desk.job, policy=self.state.policy, nodes=(node,))
        refusal = self.conversation.why_not_now("reproduce")
        if refusal is None:
            self.conversation.demand(request, "reproduce")
        return refusal

    def take_recipes(self, request: Reproduce, report: Report | None, why_not: str) -> None:
        """Hands the worker's answer to the dialog, unless that was closed."""
        from trtdbg_ui.widgets.repro_dialog import ReproDialog

        dialog = self.app.screen
        if isinstance(dialog, ReproDialog) and request.nodes == (dialog.node,):
            dialog.take(report, why_not)
