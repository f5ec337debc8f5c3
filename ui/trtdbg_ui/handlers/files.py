"""What reaches beyond the screen: the user's editor and files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from trtdbg.analysis.redaction import redacted
from trtdbg.errors import TrtdbgError
from trtdbg.files import write_atomically
from trtdbg.records import Report, Source
from trtdbg_ui.handlers.handler import ActionHandler
from trtdbg_ui.model.loaded import SnapshotRows
from trtdbg_ui.model.state import State

if TYPE_CHECKING:
    from trtdbg_ui.outside.exporting import ExportKind


class Files(ActionHandler):
    """Opens the source of a node in the editor, and writes what is shown to files."""

    def action_edit(self) -> None:
        """Opens the source line of the selected node in the user's editor."""
        if self.state.loaded is None:
            return
        if self.app.is_web:
            # The editor would run on the server, and not where the browser is.
            self.app.tell("An editor opens from a terminal, not from a browser.")
            return
        from trtdbg_ui.outside.editor import editor_command, run_editor, source_file

        source = _selected_source(self.state)
        try:
            file = source_file(source, Path.cwd())
            line = source.line if source is not None else None
            command = editor_command(file, line, os.environ)
        except TrtdbgError as error:
            self.app.tell(str(error), severity="warning")
            return
        try:
            with self.app.suspend():
                code = run_editor(command)
        except SuspendNotSupported:
            self.app.tell("An editor opens from a terminal only.", severity="warning")
            return
        except OSError as error:
            why = error.strerror or str(error)
            self.app.tell(f"{command[0]} does not start: {why}.", severity="error")
            return
        if code:
            self.app.tell(f"{command[0]} ended with exit code {code}.", severity="warning")

    def action_export(self) -> None:
        """Asks for a file and writes what is shown to it."""
        loaded = self.state.loaded
        if loaded is None:
            return
        from trtdbg_ui.outside.exporting import suggested_name
        from trtdbg_ui.widgets.export_dialog import ExportDialog

        report = loaded.report

        def save(path: str, kind: ExportKind, replace: bool, hide: bool) -> None:
            self._save(redacted(report) if hide else report, path, kind, replace)

        self.app.push_screen(ExportDialog(suggested_name(report), save), self._exported)

    def _save(self, report: Report, path: str, kind: ExportKind, replace: bool) -> None:
        data = kind.make(report)
        if self.app.is_web:
            # Whoever looks from a browser has no business with the server's files.
            self.app.deliver_binary(io.BytesIO(data), save_filename=os.path.basename(path))
        else:
            write_atomically(path, data, force=replace)

    def _exported(self, path: str | None) -> None:
        if path is None:
            return
        if self.app.is_web:
            self.app.tell(os.path.basename(path), title="Downloaded")
        else:
            self.app.tell(path, title="Written")


def _selected_source(state: State) -> Source | None:
    """Returns where the selected node comes from."""
    if state.loaded is None or state.node is None:
        return None
    rows = state.rows
    if isinstance(rows, SnapshotRows) and state.has(state.node):
        return rows.rows[state.row].node.source
    node = state.loaded.nodes.get(state.node)
    return node.source if node is not None else None
