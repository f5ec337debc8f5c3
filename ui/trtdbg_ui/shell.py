"""The frame of the app: one frozen state, shown by the board whenever it is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.driver import Driver
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen
from textual.timer import Timer

from trtdbg.errors import ExitCode
from trtdbg.plain import one_line
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.worker.messages import Log
from trtdbg_ui.keys.actions import ACTIONS
from trtdbg_ui.keys.keymap import Keymap, use
from trtdbg_ui.model.navigation import at_pane
from trtdbg_ui.model.state import VIEWS, Pane, State
from trtdbg_ui.outside.painted import Painted
from trtdbg_ui.text import Line
from trtdbg_ui.widgets.board import Board
from trtdbg_ui.widgets.themes import Depth, depth_of, next_theme, theme_of, themes, tones_of

_ROOM_FOR_TOASTS = 30
"""Lines of a screen on which several toasts may stand."""
_TICK_SECONDS = 0.2
"""How often running times are painted anew."""


class Panes(App[int]):
    """Shows the state, and keeps panes, keyboard focus, toasts and themes.

    A subclass composes the board; handlers say what the keys do to what is shown.
    """

    TITLE = "trtdbg"
    CSS = """
    Toast { padding: 0 1; background: $panel; }
    CommandPalette { background: transparent; }
    """
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(a.keys, a.name, a.label, show=False, key_display=a.shown, id=a.id)
        for a in ACTIONS
        if a.name != "command_palette"
    ]
    # Everywhere, dialogs and the search included, as in any other program of a terminal.
    BINDINGS.append(Binding("ctrl+c", "interrupt", show=False, priority=True))
    BINDINGS.append(Binding("ctrl+l", "redraw", show=False, priority=True))

    # The board repaints what changed; Textual would repaint the whole screen at each key.
    state: reactive[State] = reactive(State(TruncationPolicy()), init=False, repaint=False)

    def __init__(
        self,
        policy: TruncationPolicy,
        settings: Settings,
        clock: Callable[[], float],
        keymap: Keymap,
    ) -> None:
        """Prepares the frame.

        Args:
            policy: The policy to begin with.
            settings: The compilation settings to begin with.
            clock: Seconds that only grow.
            keymap: Which key does what.
        """
        self.painted = Painted()
        super().__init__()
        self.keymap = keymap
        use(keymap)
        self.set_keymap({id: ",".join(keys) for id, keys in keymap.changed.items()})
        self._paint_with(depth_of(self.console.color_system), theme_of(None))
        self.clock = clock
        self._ticker: Timer | None = None
        self._notices: tuple[str, ...] = ()
        self.set_reactive(Panes.state, State(policy, settings))

    def get_driver_class(self) -> type[Driver]:
        """Returns Textual's driver, the one of a Unix terminal as one that sends little."""
        usual = super().get_driver_class()
        if usual.__name__ != "LinuxDriver":
            return usual
        from trtdbg_ui.outside.terminal import SparingDriver

        return SparingDriver

    def on_resize(self) -> None:
        """Sends the whole screen again: a terminal of another size may show anything."""
        self.painted.forget()

    def action_redraw(self) -> None:
        """Sends the whole screen again, over what others wrote on it."""
        self.painted.forget()
        self.screen.refresh()

    def begin_with(
        self, state: State, theme: str, notices: Iterable[str], *, picture: bool = False
    ) -> None:
        """Says before the first frame what it shows.

        Args:
            state: What is known from the start.
            theme: Name of the theme.
            notices: What is told.
            picture: Whether a picture is drawn, which has all colours everywhere.
        """
        self.set_reactive(Panes.state, state)
        if picture:
            self._paint_with(Depth.MANY, self.theme)
        if theme in self.available_themes:
            self.theme = theme
        self._notices = tuple(notices)

    def _paint_with(self, depth: Depth, name: str) -> None:
        """Takes the themes for so many colours; the app must not run yet."""
        for theme in themes(depth):
            self.register_theme(theme)
        # Set as usual, Textual would parse the style sheet twice before the first frame.
        self.set_reactive(Panes.theme, name)
        self.stylesheet.set_variables(self.get_css_variables())

    def take_actions(self, *handlers: object) -> None:
        """Lets keys, footer and palette reach the `action_` methods of handlers."""
        for handler in handlers:
            for name in dir(handler):
                if name.startswith("action_"):
                    assert not hasattr(self, name), name
                    setattr(self, name, getattr(handler, name))

    @property
    def exit_code(self) -> ExitCode:
        """0, or why nothing was ever shown."""
        if self.state.loaded is None and self.state.failure is not None:
            return self.state.failure.exit_code
        return ExitCode.CLEAN

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Returns the colours of tones for themes that do not name them."""
        return dict(tones_of(self.current_theme))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yields every action for the command palette."""
        del screen
        for action in self.keymap.actions:
            if action.name != "command_palette":
                title = f"{action.label[0].upper()}{action.label[1:]} ({action.shown})"
                run = partial(self.call_later, self.run_action, action.name)
                yield SystemCommand(title, action.help, run)
        yield SystemCommand("Theme", "Choose among all themes", self.action_change_theme)

    # What the state becomes is shown at once.

    def watch_state(self, old: State, new: State) -> None:
        """Shows a new state."""
        self.board.show(new, self.clock())
        if self._ticker is not None:
            if new.activity is None and new.flash_until <= self.clock():
                self._ticker.pause()
            else:
                self._ticker.resume()
        if old.pane is not new.pane or (old.loaded is None and new.loaded is not None):
            self.focus_pane()

    @property
    def board(self) -> Board:
        """The main screen."""
        return self.screen_stack[0].query_one(Board)

    def change(self, **changes: object) -> None:
        """Shows the state with other fields."""
        self.state = self.state.changed(**changes)

    def focus_pane(self) -> None:
        """Gives the keyboard to the pane that the state names."""
        widget = self.board.pane(self.state.pane)
        if self.state.loaded is not None or self.state.pane is Pane.LOG:
            self.screen_stack[0].set_focus(widget)

    def _show_first(self) -> None:
        """Shows the first frame; the board must be mounted."""
        still = self.state.activity is None
        self._ticker = self.set_interval(_TICK_SECONDS, self._tick, pause=still)
        self.board.show(self.state, self.clock())
        for notice in self._notices:
            self.tell(notice)

    def _tick(self) -> None:
        # A last tick may come while the app closes, when the board or a part of it is gone.
        with contextlib.suppress(NoMatches):
            for screen in self.screen_stack[:1]:
                screen.query_one(Board).show_clock(self.clock())
        over = self.state.flash_until <= self.clock()
        if self._ticker is not None and self.state.activity is None and over:
            self._ticker.pause()

    # Panes.

    def action_pane(self, name: str) -> None:
        """Gives the keyboard to a pane, and shows it if it is not."""
        pane = Pane(name)
        if self.state.loaded is None and pane is not Pane.LOG:
            return
        self._go_to(pane, self._main_with(pane), zoom=self.state.zoom)
        self.focus_pane()

    def _go_to(self, pane: Pane, main: Pane, *, zoom: bool) -> None:
        """Gives the keyboard to a pane beside or in a view."""
        place = self.board.place_in_causes
        self.state = at_pane(self.state.changed(zoom=zoom), pane, main, place)

    def _main_with(self, pane: Pane) -> Pane:
        """Returns the view that is shown when a pane has the keyboard."""
        if pane not in VIEWS:
            return self.state.main
        shown = self.board.pane(pane).display and not self.state.zoom
        return self.state.main if shown and pane is Pane.NODES and self._beside else pane

    @property
    def _beside(self) -> bool:
        """Whether the graph stands beside or below another view."""
        return self.state.main in (Pane.CAUSES, Pane.PASSES)

    def action_view(self, name: str) -> None:
        """Shows a view and gives it the keyboard."""
        pane = Pane(name)
        if self.state.loaded is None and pane is not Pane.LOG:
            return
        self._go_to(pane, pane, zoom=False)
        self.focus_pane()

    def action_zoom(self) -> None:
        """Gives the whole screen to the pane with the keyboard, or shows the others again."""
        if self.state.loaded is not None:
            self.change(zoom=not self.state.zoom)

    def action_side(self, step: int) -> None:
        """Goes to the pane at the right, or to the one at the left."""
        order = [Pane.PASSES, *(p for p in VIEWS if p is not Pane.PASSES), Pane.DETAIL]
        shown = [pane for pane in order if self.board.pane(pane).display]
        if self.state.loaded is None or not shown:
            return
        if step > 0:
            self.action_pane(Pane.DETAIL.value)
        elif self.state.pane is Pane.DETAIL:
            self.action_pane(self.state.main.value)
        elif shown[0] is Pane.PASSES:
            self.action_pane(Pane.PASSES.value)

    def action_focus_next(self) -> None:
        """Goes to the next pane, and to the details if there is one only."""
        self._step_pane(1)

    def action_focus_previous(self) -> None:
        """Goes to the previous pane."""
        self._step_pane(-1)

    def _step_pane(self, step: int) -> None:
        if isinstance(self.screen, ModalScreen):
            return
        panes = [pane for pane in Pane if self.board.pane(pane).display]
        if self.state.pane not in panes or len(panes) == 1:
            panes = [self.state.main, Pane.DETAIL]
        here = panes.index(self.state.pane)
        self.action_pane(panes[(here + step) % len(panes)].value)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Notes which pane was given the keyboard by the mouse."""
        pane = self.board.pane_of(event.widget)
        if pane is not None and pane is not self.state.pane:
            self._go_to(pane, self._main_with(pane), zoom=self.state.zoom)

    # Words and colours.

    def add_logs(self, logs: Iterable[Log]) -> None:
        """Adds lines to the log pane."""
        self.board.add_logs(logs)

    def tell(
        self, message: str, *, title: str = "", severity: SeverityLevel = "information"
    ) -> None:
        """Shows a toast; what a model's names hold is text and never markup.

        On a small screen it takes the place of the one before.
        """
        if self.size.height < _ROOM_FOR_TOASTS:
            self.clear_notifications()
        self.notify(one_line(message), title=title, severity=severity, markup=False)

    def open_page(self, title: str, make: Callable[[int], list[Line]], action: str) -> None:
        """Opens a page, which the keys of `action` close too."""
        from trtdbg_ui.widgets.dialog import Dialog

        self.push_screen(Dialog(title, make, action))

    def action_theme(self) -> None:
        """Goes on to the next of dark, light and monochrome."""
        self.theme = next_theme(self.theme)

    def on_load(self) -> None:
        """Ends the app on SIGINT too, of which Textual (8.2) makes an end without a code."""
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGINT, self.action_interrupt)
            loop.add_signal_handler(signal.SIGTERM, self.exit, int(ExitCode.TERMINATED))

    def action_interrupt(self) -> None:
        """Ends the app as Ctrl-C ends a program."""
        self.exit(int(ExitCode.INTERRUPTED))

    async def action_quit(self) -> None:
        """Ends the app."""
        self.exit(self.exit_code)
