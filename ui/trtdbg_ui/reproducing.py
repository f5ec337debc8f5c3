"""What the key of reproducers does: a dialog, what it asks of the worker, what it writes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from trtdbg.records import Report
from trtdbg.session.messages import Reproduce
from trtdbg_ui import repro_files
from trtdbg_ui.choices import Choices
from trtdbg_ui.judged import judged
from trtdbg_ui.render.command import repro_command
from trtdbg_ui.widgets.repro_dialog import ReproDialog


@dataclass(frozen=True)
class _Desk:
    """What the dialog of one node asks of the app."""

    app: Reproducing
    node: str
    command: str

    def request(self) -> str | None:
        """Asks the worker for the node's recipes, or returns why that cannot be."""
        return self.app.ask_for_recipes(self.node)

    def save(self, folder: str, texts: Mapping[str, str], force: bool) -> list[str]:
        """Writes the files; in a browser they are downloaded."""
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


class Reproducing(Choices):
    """Writes the reproducer of the selected node."""

    def action_reproducer(self) -> None:
        """Asks where to write the reproducer of the selected node."""
        state = self.state
        if state.loaded is None:
            return
        node = state.loaded.nodes.get(state.node or "")
        if self._desk.read_only:
            self.tell("A saved report holds no program. Open the .pt2 for reproducers.")
        elif node is None or not judged(node):
            self.tell("Reproducers are made of operators: select one in the result.")
        else:
            command = repro_command(self._desk.job, state.policy, node.name)
            desk = _Desk(self, node.name, command)
            self.push_screen(ReproDialog(node.name, command, desk, self._clock))

    def ask_for_recipes(self, node: str) -> str | None:
        """Asks the worker for what a node's reproducers are made of, or says why not."""
        request = Reproduce(job=self._desk.job, policy=self.state.policy, nodes=(node,))
        refusal = self._conversation.why_not_now("reproduce")
        if refusal is None:
            self._conversation.demand(request, "reproduce")
        return refusal

    def take_recipes(self, request: Reproduce, report: Report | None, why_not: str) -> None:
        """Hands the worker's answer to the dialog, unless that was closed."""
        dialog = self.screen
        if isinstance(dialog, ReproDialog) and request.nodes == (dialog.node,):
            dialog.take(report, why_not)
