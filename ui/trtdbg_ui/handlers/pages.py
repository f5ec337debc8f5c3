"""What the keys do that open a page about a node or about the keys."""

from __future__ import annotations

from functools import partial

from trtdbg.analysis.summary import base_name
from trtdbg.plain import one_line
from trtdbg.records import Finding, Report
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.keys.keymap import key


class Pages(ActionHandler):
    """Explains findings, verdicts and origins, and copies the command that shows this."""

    def action_help(self) -> None:
        """Shows the help page."""
        from trtdbg_ui.render.help import help_lines

        self.app.open_page("Help", partial(help_lines, self.state.pane), "help")

    def action_explain(self) -> None:
        """Explains the selected node's findings; in their list the one of the cursor."""
        state = self.state
        if state.loaded is None:
            return
        view = self.findings
        if view is not None:
            findings = view.findings_at(view.cursor)
            if findings:
                self._explain(_title_of(findings), findings)
            return
        if state.node is None:
            return
        found = state.loaded.findings_of.get(state.node, ())
        if not found:
            go_on = f"{key('next-problem')} goes to the next node that has."
            self.app.tell(f"{state.node} has no findings; {go_on}")
            return
        self._explain(f"Findings of {state.node}", found)

    def _explain(self, title: str, findings: tuple[Finding, ...]) -> None:
        from trtdbg_ui.render.findings import explanation

        loaded = self.state.loaded
        assert loaded is not None
        self.app.open_page(title, partial(explanation, loaded.report, findings), "explain")

    def action_validators(self) -> None:
        """Shows all validators of the selected node."""
        state = self.state
        node = state.loaded.nodes.get(state.node or "") if state.loaded else None
        if state.loaded is None or state.node is None:
            return
        if node is None:
            self.app.tell(f"{state.node} is not in the lowered graph: no validator sees it.")
            return
        from trtdbg_ui.render.validators import validators

        make = partial(validators, state.loaded, node)
        self.app.open_page(f"Validators of {node.name}", make, "validators")

    def action_origin(self) -> None:
        """Shows where the selected node's dtype begins, and the passes behind it."""
        state = self.state
        node = state.loaded.nodes.get(state.node or "") if state.loaded else None
        if state.loaded is None or state.node is None:
            return
        if node is None:
            self.app.tell(
                f"{state.node} is not in the lowered graph: {key('result')} shows the result."
            )
            return
        from trtdbg_ui.render.origin import origin

        make = partial(origin, state.loaded.report, node)
        self.app.open_page(f"Origin of {node.name}", make, "where-from")

    def action_since(self) -> None:
        """Asks for a saved report and shows what changed from it to the report shown."""
        if self.state.loaded is None:
            return
        if self.app.is_web:
            # Whoever looks from a browser has no business with the server's files.
            self.app.tell("A saved report is read from a terminal, not from a browser.")
            return
        from trtdbg_ui.widgets.saved_dialog import SavedDialog

        self.app.push_screen(SavedDialog(), self._show_since)

    def _show_since(self, before: Report | None) -> None:
        loaded = self.state.loaded
        if before is None or loaded is None:
            return
        from trtdbg_ui.render.since import since

        title = f"What changed since {base_name(before.model.path)} was saved"
        make = partial(since, before, loaded.report)
        self.app.open_page(one_line(title), make, "since-a-saved-report")

    def action_copy(self) -> None:
        """Copies the command line that shows this again."""
        from trtdbg_ui.render.command import command, saved_command

        state = self.state
        text = (
            saved_command(self.desk.job.model)
            if self.desk.read_only
            else command(self.desk.job, state.policy)
        )
        self.app.copy_to_clipboard(text)
        self.app.tell(text, title="Copied")


def _title_of(findings: tuple[Finding, ...]) -> str:
    """Returns the title of findings that are alike, or of a single one."""
    node, more = findings[0].node, len(findings) - 1
    title = f"Finding of {node}" if node else "Finding"
    return f"{title} and {more} alike" if more else title
