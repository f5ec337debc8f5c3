"""The command line: picks the command, prints what it returns, turns errors into exit codes.

Nothing else in trtdbg prints or exits. Commands, rich, the client and the UI are imported when
they are needed, so that `--help` and a wrong flag answer at once.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import click
from click.shell_completion import CompletionItem

from trtdbg import __version__
from trtdbg.commands import completion
from trtdbg.commands.options import write_exit_codes, write_options
from trtdbg.errors import (
    CancelledError,
    ExitCode,
    OutputError,
    TerminatedError,
    TrtdbgError,
    UnavailableError,
    UsageError,
    WorkerBugError,
)
from trtdbg.plain import one_line, shortened, visible, without_commands
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.viewing import Viewing, WatchedFile
from trtdbg.worker.messages import (
    Access,
    Ask,
    Log,
    LogLevel,
    News,
    Progress,
    Recalled,
    Reply,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from trtdbg.cache.client import CachingClient

COMMANDS: Final = {
    "report": "Engines, dtypes, verdicts and findings of models, as tables or JSON.",
    "check": "The findings of models, for CI.",
    "diff": "What happens to dtypes between two policies or passes, as a picture.",
    "repro": "One runnable file for each failure of a validator.",
    "build": "Build every engine with TensorRT.",
    "compare": "Several policies side by side: engines, casts, builds, run times.",
    "record": "Run a script and record what it hands to torch_tensorrt.",
    "precision": "The fewest operators that must stay in float32.",
    "serve": "The terminal UI in a browser.",
    "demo": "A model that comes with trtdbg, to look at the tool at once.",
    "explain": "What a finding means, its cause and cure.",
    "cache": "What is kept of earlier analyses and builds: look, bound, clear.",
    "doctor": "Versions, GPU, and what this machine can do.",
}
"""Commands with their line in `--help`; each is a module of `trtdbg.commands`."""

_HELP: Final = """Why does my model not become one TensorRT engine, and what do dtypes have
to do with it?

`trtdbg MODEL.pt2` opens a program that torch.export saved, or a report that
`trtdbg report --json` saved, in the terminal UI. The commands below answer without it;
each has its own --help.
"""


_LONGEST_ERROR: Final = 380
"""Characters of an error, so that its line has at most 400."""


def _spelled_as_options(args: list[str]) -> list[str]:
    """Returns the arguments with `help [COMMAND]` and `version` as the options they mean."""
    if args[:1] == ["version"] and len(args) == 1:
        return ["--version"]
    if args[:1] == ["help"] and len(args) <= 2:
        if args[1:] and args[1] not in COMMANDS:
            near = get_close_matches(args[1], COMMANDS, 1)
            raise UsageError(
                f"there is no command {args[1]!r}",
                remedy=f"did you mean {near[0]}?" if near else "`trtdbg --help` lists them",
            )
        return [*args[1:], "--help"]
    return args


def _said(error: click.ClickException) -> str:
    """Returns what click says of wrong usage, with what was probably meant."""
    text = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        # A first word that is no command is taken for a model, whose options are others.
        near = get_close_matches(error.option_name, ("--version", "--help"), 1, 0.8)
        if near and error.option_name not in near:
            return f"No such option '{error.option_name}' (did you mean {near[0]}?)"
    kind = getattr(getattr(error, "param", None), "type", None)
    given = re.search(r"'([^']*)' is not one of", text)
    if isinstance(kind, click.Choice) and given is not None:
        near = get_close_matches(given[1].lower(), list(map(str, kind.choices)), 1, 0.61)
        text += f" (did you mean {near[0]}?)" if near else ""
    return text


class Cli(click.Group):
    """The commands, and a model in the place of one: `trtdbg MODEL` opens it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the commands without importing them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        if cmd_name not in COMMANDS and cmd_name != "open":
            return None
        module = importlib.import_module(f"trtdbg.commands.{cmd_name}")
        command: click.Command = module.command
        completion.teach(command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes a first argument that is neither a command nor ours as a model to open."""
        while args and args[0] in ("-v", "--verbose"):
            ctx.obj.verbose = True
            args = args[1:]
        args = _spelled_as_options(args)
        own = {name for option in self.get_params(ctx) for name in option.opts}
        if args and args[0] not in own and args[0] not in COMMANDS:
            args = ["open", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes the commands, and files: a model stands in the place of a command."""
        files = [CompletionItem(incomplete, type="file")]
        return [*super().shell_complete(ctx, incomplete), *files]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes both ways to call the program."""
        formatter.write_usage("trtdbg", "MODEL.pt2 [OPTIONS]")
        formatter.write_usage("trtdbg", "COMMAND [OPTIONS] [ARGUMENTS]...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands, and the options of opening a model."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        command = self.get_command(ctx, "open")
        opening = command.params if command is not None else []
        write_options(formatter, ctx, [*opening, *self.get_params(ctx)])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the exit codes."""
        write_exit_codes(formatter)


class _Stdout:
    """stdout for rich, whose own handling of a broken pipe would end the program."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    @property
    def encoding(self) -> str:
        return sys.stdout.encoding if sys.stdout is not None else "utf-8"

    def isatty(self) -> bool:
        return _is_terminal(sys.stdout)

    def write(self, text: str) -> None:
        """Writes text without the blanks that pad rich's tables to the right."""
        text = re.sub(" +$", "", text, flags=re.MULTILINE)
        self._terminal.write(without_commands(text))

    def flush(self) -> None:
        """Does nothing: every write is flushed."""


class _Lane:
    """The worker of one thread, and what it works on."""

    def __init__(self) -> None:
        self.client: CachingClient | None = None
        self.subject = ""


class Terminal:
    """stdout, stderr and the worker of one run of the program; a `Shell` for the commands."""

    def __init__(self) -> None:
        self.verbose = False
        self.terminated = False
        """Whether SIGTERM came."""
        self._lanes: dict[int, _Lane] = {}
        """By thread: each has a worker of its own."""
        self._count = ""
        self._recalled: list[float] = []
        """When the answers were made that were not made now."""
        self._console: Console | None = None
        self._status = ""
        self._lock = threading.RLock()

    def submit(self, request: Ask) -> Future[Reply]:
        """Sends a request to the worker, which starts with what no cache holds."""
        lane = self._lane()
        if lane.client is None:
            from trtdbg.cache.client import CachingClient

            lane.client = CachingClient(functools.partial(self._heard, lane))
        return lane.client.submit(request)

    def working_on(self, subject: str) -> None:
        """Names the model that progress of this thread's worker from now on is about."""
        self._lane().subject = one_line(subject)

    def counted(self, done: int, total: int) -> None:
        """Says how many models are done, of how many; one alone is not counted."""
        self._count = f"[{done}/{total}] " if total > 1 else ""

    def _lane(self) -> _Lane:
        with self._lock:
            return self._lanes.setdefault(threading.get_ident(), _Lane())

    def show(self, result: RenderableType, *, wrap: bool = True) -> None:
        """Puts a result on stdout."""
        if self._console is None:
            from rich.console import Console

            file = cast("TextIO", _Stdout(self))
            self._console = Console(file=file, markup=False, highlight=False, emoji=False)
        from trtdbg.outputs.pages import ControlCharsStripped

        self._console.print(ControlCharsStripped(result), soft_wrap=not wrap)

    def write(self, result: str) -> None:
        """Puts text on stdout."""
        with self._lock:
            self._set_status("")
            if sys.stdout is None:
                raise OutputError("cannot write to stdout: it is closed")
            try:
                sys.stdout.write(result)
                sys.stdout.flush()
            except BrokenPipeError:
                # Whoever read has seen enough (`| head`); the exit code still means something.
                _discard_stdout()
            except OSError as error:
                _discard_stdout()
                raise OutputError(f"cannot write to stdout: {error.strerror}") from error

    def note(self, text: str) -> None:
        """Puts a line on stderr."""
        with self._lock:
            self._set_status("")
            self.say(f"trtdbg: {without_commands(one_line(text))}\n")

    def status(self, text: str) -> None:
        """Says on the last line what goes on, where stderr can take it away again."""
        if _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb":
            self._set_status(text)

    def fail(self, error: TrtdbgError, subject: str) -> None:
        """Puts one line on stderr, with the model's name where the message lacks it."""
        text = str(error)
        self.error(text if subject in text else f"{subject}: {text}")
        if isinstance(error, WorkerBugError):
            self.keep_traceback(error.traceback)

    def error(self, text: str) -> None:
        """Puts an error on stderr, as one line."""
        self.note(f"error: {shortened(one_line(text), _LONGEST_ERROR)}")

    def keep_traceback(self, text: str) -> None:
        """Shows the traceback of a bug if asked to, else says where it was written."""
        if self.verbose:
            self.say(f"{visible(text.rstrip())}\n")
            return
        try:
            path = _write_crash(text)
        except OSError as error:
            self.note(f"its traceback could not be written ({error.strerror}); -v shows it")
            return
        self.note(f"its traceback was written to {path}")

    def open_ui(
        self,
        model: str,
        *,
        policy: TruncationPolicy,
        settings: Settings,
        target: str | None,
        probe_seconds: float,
        access: Access,
        viewing: Viewing,
        watched: WatchedFile | None = None,
    ) -> int:
        """Runs the terminal UI, or draws a picture of it."""
        if viewing.picture is None and not _can_show_ui():
            raise UsageError(
                "the UI needs a terminal", remedy=f"use `trtdbg report {model}` without one"
            )
        from trtdbg_ui.host.launch import run

        code: int = run(
            model,
            settings=settings,
            policy=policy,
            target=target,
            probe_seconds=probe_seconds,
            access=access,
            viewing=viewing,
            note=self.note,
            watched=watched,
        )
        return code

    def choose(self, title: str, options: Sequence[str]) -> int | None:
        """Shows a list in the terminal and returns the place that was chosen."""
        if not _can_show_ui():
            raise UsageError(
                f"{title}: choosing needs a terminal", remedy="pass --program NAME"
            )
        from trtdbg_ui.host.choosing import choose

        return choose(title, options)

    def serve(
        self, model: str, arguments: Sequence[str], *, host: str, port: int, token: bool
    ) -> int:
        """Serves the UI to a browser."""
        try:
            from trtdbg_ui.host.serve import serve
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"serving needs the package {error.name}",
                remedy="install it with pip install 'trtdbg[serve]'",
            ) from error
        # An app that does not start is quoted on stdout by textual-serve.
        with contextlib.redirect_stdout(sys.stderr):
            code: int = serve(
                model, arguments, host=host, port=port, token=token, note=self.note
            )
        return code

    def close(self, *, kill: bool) -> None:
        """Ends the worker and clears the status line."""
        self._set_status("")
        if self._recalled and not kill:
            self.note(recalled_line(self._recalled))
        clients = [lane.client for lane in self._lanes.values() if lane.client is not None]
        if kill:
            for client in clients:
                client.cancel()
        for client in clients:
            client.close()

    def _heard(self, lane: _Lane, event: News) -> None:
        """Shows progress; called from the client's thread."""
        if isinstance(event, Log):
            if event.source == "trtdbg" and event.level in (LogLevel.WARNING, LogLevel.ERROR):
                self.note(event.text)
            elif self.verbose:
                self._line(f"{event.source} {event.level.value}: {event.text}")
            return
        if isinstance(event, Recalled):
            self._recalled.append(event.made)
            return
        if not isinstance(event, Progress):
            return
        done = f" {event.done}/{event.total}" if event.total is not None else ""
        detail = f" {event.detail}" if event.detail else ""
        text = f"{self._count}{lane.subject}: {event.stage}{detail}{done}"
        if self.verbose:
            self._line(text)
        else:
            self.status(text)

    def _line(self, text: str) -> None:
        with self._lock:
            self.say(f"{without_commands(one_line(text))}\n")

    def _set_status(self, text: str) -> None:
        """Replaces the one line on stderr that tells what goes on; "" takes it away."""
        with self._lock:
            if not text and not self._status:
                return
            width = shutil.get_terminal_size().columns - 1
            self._status = one_line(text)[:width]
            self.say(f"\r\x1b[K{self._status}")

    def say(self, text: str) -> None:
        """Writes to stderr; that it is closed or full changes no exit code."""
        if sys.stderr is None:
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def recalled_line(made: Sequence[float]) -> str:
    """Returns the line that says that answers are from the cache.

    Args:
        made: when they were made, in seconds since 1970.
    """
    if len(made) > 1:
        return f"{len(made)} analyses are from the cache; --no-cache makes them anew"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(made[0]))
    return f"from the cache, analysed {when}; --no-cache analyses anew"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    terminal = Terminal()
    code: int = ExitCode.BUG
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks is no reason to fail.
        sys.stdout.reconfigure(errors="replace")
    try:
        with _sigterm_interrupts(terminal):
            code = _run(terminal, list(sys.argv[1:] if argv is None else argv))
    finally:
        with _sigint_ignored():
            terminal.close(kill=code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED))
    return int(code)


def _run(terminal: Terminal, arguments: list[str]) -> int:
    """Runs the command and turns what it raises into one line and an exit code.

    `record` alone returns what is none of ours: the exit status of a script.
    """
    cli = Cli(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
    cli = click.version_option(__version__, "-V", "--version", prog_name="trtdbg")(cli)
    completed = completion.answer(cli) if completion.VARIABLE in os.environ else None
    if completed is not None:
        return ExitCode.CLEAN if not completed else ExitCode.USAGE
    try:
        with cli.make_context("trtdbg", arguments, obj=terminal) as context:
            return int(cli.invoke(context))
    except click.exceptions.Exit as end:
        return ExitCode(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        terminal.say(f"{error.format_message()}\n")
        return ExitCode.USAGE
    except click.ClickException as error:
        context_of = getattr(error, "ctx", None)
        command = context_of.command_path.removesuffix(" open") if context_of else "trtdbg"
        text = f"{_said(error)}; see `{command} --help`"
        terminal.error(_with_command_hint(text, arguments))
        return ExitCode.USAGE
    except (KeyboardInterrupt, CancelledError, click.Abort) as error:
        terminated = terminal.terminated or isinstance(error, TerminatedError)
        terminal.note("ended by SIGTERM" if terminated else "interrupted")
        return ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED
    except WorkerBugError as error:
        terminal.fail(error, "")
        return error.exit_code
    except TrtdbgError as error:
        terminal.error(_with_command_hint(str(error), arguments))
        return error.exit_code
    except BrokenPipeError:
        _discard_stdout()
        return ExitCode.CLEAN
    except Exception as error:
        terminal.error(f"a bug of trtdbg: {type(error).__name__}: {error}; please report it")
        terminal.keep_traceback("".join(traceback.format_exception(error)))
        return ExitCode.BUG


def _with_command_hint(text: str, arguments: list[str]) -> str:
    """Adds which command a word may have meant that was taken for a model."""
    word = arguments[0] if arguments else ""
    near = [f"`{name}`" for name in get_close_matches(word, COMMANDS, 2)]
    if word in COMMANDS or not near or os.path.exists(word):
        return text
    return f"{text}; or did you mean the command {' or '.join(near)}?"


def _write_crash(text: str) -> Path:
    import platformdirs

    folder = platformdirs.user_log_path("trtdbg", appauthor=False, ensure_exists=True)
    path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    path.write_text(f"trtdbg {__version__}\n{text}", encoding="utf-8", errors="replace")
    return path


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _can_show_ui() -> bool:
    # In a browser, textual-serve names a driver that needs no terminal.
    in_terminal = _is_terminal(sys.stdin) and _is_terminal(sys.stderr)
    return in_terminal or bool(os.environ.get("TEXTUAL_DRIVER"))


def _discard_stdout() -> None:
    """Points stdout nowhere, so that Python's own flush at exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def _sigterm_interrupts(terminal: Terminal) -> Iterator[None]:
    """Ends the program on SIGTERM as on Ctrl-C, so that the worker goes with it."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        terminal.terminated = True
        raise KeyboardInterrupt

    with _signal(signal.SIGTERM, interrupt):
        yield


@contextlib.contextmanager
def _sigint_ignored() -> Iterator[None]:
    """Ignores SIGINT while the worker shuts down."""
    with _signal(signal.SIGINT, signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _signal(number: signal.Signals, handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)
