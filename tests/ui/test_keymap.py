"""Other keys by `--keys FILE`, and what is wrong with such a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.keys.actions import ACTIONS, FIXED, FIXED_KEYS, MOVES
from trtdbg_ui.keys.key_names import parse_key, parse_presses, show_key
from trtdbg_ui.keys.keymap import Keymap, read_keymap, use
from trtdbg_ui.model.state import Pane
from trtdbg_ui.render.help import help_lines
from trtdbg_ui.text import plain

from tests.ui.canned import report
from tests.ui.fakes import screen_text, settle
from trtdbg.cli import main
from trtdbg.errors import ExitCode, UsageError
from trtdbg.policy import Settings, Timing, TruncationPolicy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


@pytest.fixture(autouse=True)
def _built_in_again() -> None:
    use(Keymap())


def app_with(keymap: Keymap) -> TrtdbgApp:
    reports = [report(Timing.LATE), report(Timing.UPSTREAM)]
    return TrtdbgApp(
        "model.pt2",
        settings=Settings(),
        policy=TruncationPolicy(),
        reports=reports,
        keymap=keymap,
    )


def test_every_action_and_move_has_its_own_name_and_keys() -> None:
    names = [each.id for each in (*ACTIONS, *MOVES)]
    assert len(set(names)) == len(names)
    keys = [key for name in names for key in Keymap().keys_of(name)] + list(FIXED_KEYS)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("written", "name", "shown"),
    [
        ("t", "t", "t"),
        ("T", "T", "T"),
        ("?", "question_mark", "?"),
        ("[", "left_square_bracket", "["),
        ("left_square_bracket", "left_square_bracket", "["),
        ("esc", "escape", "esc"),
        ("pgdn", "pagedown", "pgdn"),
        ("↓", "down", "↓"),
        ("space", "space", "space"),
        ("f5", "f5", "f5"),
        ("ctrl+r", "ctrl+r", "ctrl+r"),
        ("ctrl+i", "tab", "tab"),
        ("+", "plus", "+"),
        ("ä", "ä", "ä"),
    ],
)
def test_keys_are_written_as_people_write_them(written: str, name: str, shown: str) -> None:
    assert parse_key(written) == name
    assert show_key(name) == shown


@pytest.mark.parametrize("word", ["", "foo", "ctrl+", "ctrl+foo", "\x1b", "ctl+r"])
def test_what_is_no_key_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="there is no key"):
        parse_key(word)


def test_letters_of_a_word_are_typed() -> None:
    assert parse_presses("T / type:a? enter") == (
        "T",
        "slash",
        "a",
        "question_mark",
        "enter",
    )


async def test_a_remapped_key_does_it_and_the_old_one_no_more(file: Path) -> None:
    file.write_text('timing = ["f4", "f5"]\nprevious-timing = "t"\ndown = "J"\n')
    app = app_with(read_keymap(str(file)))
    async with app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        timings = []
        for key in ("t", "f4", "t", "f5", "T"):
            await pilot.press(key)
            await settle(pilot)
            timings.append(app.state.policy.timing.value)
        assert timings == ["upstream", "late", "upstream", "late", "late"]
        await pilot.press("2")
        await settle(pilot)
        before = app.state.row
        await pilot.press("j")
        await settle(pilot)
        assert app.state.row == before
        await pilot.press("J", "J")
        await settle(pilot)
        assert app.state.row == before + 2
        assert " f4 f5 timing" in screen_text(app)


async def test_help_and_palette_name_the_keys_in_force(file: Path) -> None:
    file.write_text('help = "f1"\nquit = "Q"\npage-down = "f6"\n')
    app = app_with(read_keymap(str(file)))
    async with app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        text = "\n".join(plain(line) for line in help_lines(Pane.NODES, 80))
        assert "  f1 " in text
        assert "  f6 " in text
        assert "  q " not in text
        titles = [each.title for each in app.get_system_commands(app.screen)]
        assert "Quit (Q)" in titles
        await pilot.press("f1")
        await settle(pilot)
        assert len(app.screen_stack) == 2
        await pilot.press("f1")
        await settle(pilot)
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('timeing = "x"', "there is no action 'timeing'; use timing"),
        ('zzz = "x"', "there is no action 'zzz'; the palette lists them"),
        ('timing = "nokey"', "timing: there is no key 'nokey'"),
        ("timing = 3", "timing: expected a key or a list of keys, got 3"),
        ("timing = []", "timing: expected a key or a list of keys, got []"),
        ('timing = ["x", 3]', "timing: expected a key or a list of keys"),
        ('timing = "q"', "the key 'q' is used by quit and by timing"),
        ('timing = "j"', "the key 'j' is used by down and by timing"),
        ('timing = "enter"', "the key 'enter' is used by timing and by choosing, which stays"),
        ('timing = "ctrl+i"', "the key 'tab' is used by timing and by the next pane"),
        ('timing = "ctrl+c"', "the key 'ctrl+c' is used by timing and by quitting at once"),
        ('next-pass = "x"\nnext_pass = "X"', "next-pass has its keys twice"),
        ('timing = "x', "is not TOML"),
        ("[timing]\nx = 1", "timing: expected a key or a list of keys"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_where(
    content: str, message: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(content)
    model = file.with_name("m.json")
    model.write_text("{}")
    assert main([str(model), "--screenshot", "x.svg", "--keys", str(file)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert message in said
    assert str(file) in said
    assert said.count("\n") == 1


def test_a_missing_file_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = file.with_name("m.json")
    model.write_text("{}")
    assert main([str(model), "--screenshot", "x.svg", "--keys", str(file)]) == ExitCode.USAGE
    assert f"cannot read {file}: No such file" in capsys.readouterr().err


def test_two_actions_can_swap_their_keys(file: Path) -> None:
    file.write_text('timing = "q"\nquit = "t"\n')
    assert read_keymap(str(file)).shown("quit") == "t"


def test_the_page_of_keys_says_what_the_help_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    rows = [(action.shown, action.help) for action in ACTIONS]
    rows += [(move.shown, move.help) for move in MOVES]
    assert [row for row in (*rows, *FIXED) if f"| `{row[0]}` | {row[1]} |" not in page] == []
