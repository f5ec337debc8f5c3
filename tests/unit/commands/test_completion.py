"""Shell completion, and words that mean options."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trtdbg import cli

ROOT = Path(__file__).parents[3]


def complete(*words: str) -> list[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")]),
        "_TRTDBG_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "trtdbg"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("trtdbg", "repo"), "plain,report"),
        (("trtdbg", "x"), "file,x"),
        (("trtdbg", "report", "--timing", ""), "plain,upstream"),
        (("trtdbg", "report", "--inp"), "plain,--inputs"),
        (("trtdbg", "explain", "TD10"), "plain,TD101"),
        (("trtdbg", "check", "--select", "td30"), "plain,TD301"),
        (("trtdbg", "report", "sam"), "file,sam"),
        (("trtdbg", "build", "--save", "out"), "dir,out"),
        (("trtdbg", "m.pt2", "--tim"), "plain,--timing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_shell_gets_what_fits(words: tuple[str, ...], expected: str) -> None:
    assert expected in complete(*words)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TRTDBG_COMPLETE", f"{shell}_source")
    if shell == "bash":
        monkeypatch.setattr(
            "click.shell_completion.BashComplete._check_version", staticmethod(lambda: None)
        )
    assert cli.main([]) == 0


@pytest.mark.parametrize("words", [["-V"], ["--version"], ["version"]])
def test_the_version_has_three_spellings(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith("trtdbg, version ")


def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "check"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: trtdbg check")
    assert text.index("Options:") < text.index("Policy:")


def test_a_choice_is_taken_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "nowhere.pt2", "--timing", "Late"]) == 2
    assert "does not exist" in capsys.readouterr().err
