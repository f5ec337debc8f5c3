"""The dialog that writes a reproducer of a node: asks for it, tries it, says where it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from trtdbg.errors import OutputError
from trtdbg.outputs.repro import reproducer
from trtdbg.plain import one_line
from trtdbg.records import Recipe, Report
from trtdbg.worker import trial
from trtdbg_ui.outside import repro_files
from trtdbg_ui.render.activity import elapsed
from trtdbg_ui.text import Line, Tone, line, wrap
from trtdbg_ui.widgets.bar import Bar
from trtdbg_ui.widgets.overlay import Overlay

_TICK_SECONDS = 0.2


class ReproPhase(StrEnum):
    """How far it is."""

    CHOOSING = "choosing"
    ASKING = "asking"
    """The worker writes the node down."""
    TRYING = "trying"
    """The script runs in a process of its own."""
    WRITTEN = "written"


class ReproRequests(Protocol):
    """What the dialog needs of the app."""

    def request(self) -> str | None:
        """Asks for the node's recipes, or returns why that cannot be."""

    def save(self, folder: str, texts: Mapping[str, str], force: bool) -> list[str]:
        """Writes files and returns where they are; raises OutputError."""

    def copy(self) -> None:
        """Copies the command that does the same."""

    def tell(self, message: str, *, bad: bool) -> None:
        """Shows a toast."""


class ReproDialog(Overlay[None]):
    """Asks for a folder and writes a node's reproducers to it, each once it reproduced.

    Nothing of it goes on when it is closed: a script that is being tried is ended.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close", show=False),
        Binding("enter", "write", "Write", show=False),
        Binding("ctrl+y", "copy", "Copy the command", show=False, priority=True),
        Binding("tab,shift+tab,down,up", "kind", "Other kind", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    ReproDialog > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 92%; background: $background;
    }
    ReproDialog Input { height: 1; border: none; padding: 0; background: $panel; }
    """

    def __init__(
        self, node: str, command: str, desk: ReproRequests, clock: Callable[[], float]
    ) -> None:
        """Prepares the dialog.

        Args:
            node: The node.
            command: What does the same from a shell.
            desk: Who is asked and who writes.
            clock: Seconds that only grow.
        """
        super().__init__()
        self.node = node
        self._command = command
        self._desk = desk
        self._clock = clock
        self._since = 0.0
        self._phase = ReproPhase.CHOOSING
        self._issue = False
        self._report: Report | None = None
        """What the worker answered."""
        self._replace: str | None = None
        """The folder in which the next Enter may replace files."""
        self._lines: list[Line] = []
        """What is to be said."""

    @property
    def busy(self) -> bool:
        """Whether something runs that the dialog waits for."""
        return self._phase in (ReproPhase.ASKING, ReproPhase.TRYING)

    def compose(self) -> ComposeResult:
        """Yields what will be written, the folder and how far it is."""
        with Vertical() as frame:
            # Content, because a string would be read as markup.
            frame.border_title = Content(one_line(f"Reproducer of {self.node}"))
            frame.border_subtitle = "enter writes · tab kind · ctrl+y copies · esc closes"
            yield Bar(id="repro-about")
            if not self.app.is_web:
                yield Input("repro", compact=True, select_on_focus=False)
            yield Bar(id="repro-status")

    def on_mount(self) -> None:
        """Gives the keyboard to the folder."""
        for field in self.query(Input):
            field.focus()
        self.set_interval(_TICK_SECONDS, self._tick)
        self._show()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Takes leave to replace back for another folder."""
        event.stop()
        if not self.busy and event.value != self._replace:
            self._again()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Goes on as Enter does anywhere here."""
        event.stop()
        self.action_write()

    def action_kind(self) -> None:
        """Switches between only the script and a bug report beside it."""
        if not self.busy:
            self._issue = not self._issue
            self._again()

    def action_copy(self) -> None:
        """Copies the command that does the same."""
        self._desk.copy()

    def action_write(self) -> None:
        """Begins, replaces what exists if that was said, or closes when all is written."""
        if self._phase is ReproPhase.WRITTEN:
            self.dismiss()
        elif self._report is not None and not self.busy:
            self._try()
        elif not self.busy:
            try:
                repro_files.existing(self._folder, ())
            except OutputError as error:
                self._refuse(error.message)
                return
            refusal = self._desk.request()
            if refusal is not None:
                self._refuse(refusal)
                return
            self._begin(ReproPhase.ASKING)

    def take(self, report: Report | None, why_not: str) -> None:
        """Goes on with the worker's answer, or says why there is none."""
        if self._phase is not ReproPhase.ASKING:
            return
        if report is None:
            self._refuse(why_not, toast=True)
        elif not report.recipes:
            who = f"no validator refuses {self.node}, or wrongly accepts it"
            self._refuse(f"Nothing to reproduce: {who}.")
        else:
            self._report = report
            self._try()

    def _try(self) -> None:
        report = self._report
        if report is None or not report.recipes:
            return
        folder, force = self._folder, self._replace is not None
        try:
            wanted = repro_files.names(report.recipes, issue=self._issue)
            there = [] if self.app.is_web else repro_files.existing(folder, wanted)
        except OutputError as error:
            self._refuse(error.message)
            return
        if there and not force:
            self._phase, self._replace = ReproPhase.CHOOSING, self._value
            verb = "exists" if len(there) == 1 else "exist"
            words = f"▲ {', '.join(there)} {verb} there. Enter again replaces."
            self._say([line((words, Tone.WARN))])
            return
        self._begin(ReproPhase.TRYING)
        self.run_worker(self._tried(report, report.recipes, folder, force), exclusive=True)

    async def _tried(
        self, report: Report, recipes: tuple[Recipe, ...], folder: str, force: bool
    ) -> None:
        """Runs each script and writes those that reproduce."""
        written: list[str] = []
        said: list[Line] = []
        for recipe in recipes:
            name = repro_files.script_name(recipe)
            text = reproducer.script(report, recipe, name)
            try:
                ended = await trial.run_beside(name, text)
                if not ended.reproduced:
                    why = f"{name} does not reproduce alone and is not written: "
                    raise OutputError(f"{why}{ended.why_not}")
                texts = repro_files.files(
                    report, recipe, text, ended.printed, issue=self._issue
                )
                written += self._desk.save(folder, texts, force)
            except (OutputError, OSError) as error:
                said.append(line((f"✖ {error}", Tone.BAD)))
                self._desk.tell(str(error), bad=True)
                continue
            said.append(line((f"✓ {reproducer.title(recipe)}", Tone.GOOD)))
            said += [
                line((f"    {each}", Tone.DIM)) for each in ended.printed.strip().splitlines()
            ]
        if written:
            word = "downloaded" if self.app.is_web else "written"
            self._phase = ReproPhase.WRITTEN
            said.append(line((f"{word}, after it reproduced:", Tone.HEAD)))
            said += [line((f"  {path}", Tone.STRONG)) for path in written]
            self._desk.tell(", ".join(written), bad=False)
        else:
            self._phase = ReproPhase.CHOOSING
        self._say(said)

    @property
    def _value(self) -> str:
        return next((field.value for field in self.query(Input)), "")

    @property
    def _folder(self) -> str:
        return os.path.expanduser(self._value.strip()) or "."

    def _begin(self, phase: ReproPhase) -> None:
        self._phase = phase
        self._since = self._clock()
        self._say([])

    def _again(self) -> None:
        self._replace = None
        self._phase = ReproPhase.CHOOSING
        self._say([])

    def _refuse(self, message: str, *, toast: bool = False) -> None:
        self._phase = ReproPhase.CHOOSING
        self._replace = None
        self._say([line((f"✖ {message}", Tone.BAD))])
        if toast:
            self._desk.tell(message, bad=True)

    def _say(self, lines: list[Line]) -> None:
        self._lines = lines
        self._show()

    def _tick(self) -> None:
        if self.busy:
            self._show()

    def _show(self) -> None:
        if self._phase is ReproPhase.WRITTEN:
            # What was to be chosen makes room for what came of it.
            for frame in self.query(Vertical):
                frame.border_subtitle = "enter closes · ctrl+y copies the command"
            for field in self.query(Input):
                field.display = False
            self.set_focus(None)
        for bar in self.query("#repro-about").results(Bar):
            bar.show(self._about)
        for bar in self.query("#repro-status").results(Bar):
            bar.show(self._status)

    def _about(self, size: int) -> list[Line]:
        if self._phase is ReproPhase.WRITTEN:
            return []
        words = (
            "What validators or TensorRT refuse about this operator, as a file that needs "
            "only torch and torch_tensorrt. It is run before it is written."
        )
        kinds = ((".py", "the script", False), (".py .md", "and a bug report", True))
        lines = [*wrap(line((words, Tone.DIM)), size), line(" ")]
        for ending, what, issue in kinds:
            here = issue is self._issue
            lines.append(
                line(
                    ("❯ " if here else "  ", Tone.KEY),
                    (f"{ending:<9}", Tone.STRONG if here else Tone.PLAIN),
                    (what, Tone.PLAIN if here else Tone.DIM),
                )
            )
        lines += [line(" "), *wrap(line((self._command, Tone.DIM)), size, indent=2), line(" ")]
        if not self.app.is_web:
            lines.append(line(("folder", Tone.HEAD), (", made if it is missing", Tone.DIM)))
        return lines

    def _status(self, size: int) -> list[Line]:
        seconds = elapsed(max(self._clock() - self._since, 0.0))
        if self._phase is ReproPhase.ASKING:
            return [line((f"… the worker writes the node down  {seconds}", Tone.WARN))]
        if self._phase is ReproPhase.TRYING:
            return [line((f"… running it, which imports torch  {seconds}", Tone.WARN))]
        lines = [part for each in self._lines for part in wrap(each, size, indent=4)]
        return lines or [line((" ", Tone.DIM))]
