"""What the README tells people to do works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from trtdbg.cli import COMMANDS
from trtdbg.commands.options import EXIT_CODES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

GUIDE = {
    path: path.read_text(encoding="utf-8")
    for folder in ("guide", "reference")
    for path in sorted((ROOT / "docs" / folder).glob("*.md"))
}
TEXTS = "\n".join((README, *GUIDE.values()))

BLOCKS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", TEXTS, re.DOTALL)]
SET_UP = [line for block in BLOCKS for line in block if "pip install" in line]
TO_RUN = [block for block in BLOCKS if not any("pip install" in line for line in block)]


def test_readme_has_both_set_up_commands_on_its_first_screen() -> None:
    first_screen = README.split("\n## ")[0]
    assert [line for line in SET_UP if line in first_screen] == SET_UP[:2]
    assert SET_UP[0].endswith(".venv/bin/trtdbg samples/attention_float64.pt2")
    assert SET_UP[1].endswith(".venv/bin/pytest -n 2 --dist loadgroup")


def test_ci_runs_the_readmes_own_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert script[-1] == SET_UP[1]


@pytest.mark.parametrize("line", SET_UP)
def test_set_up_command_names_files_and_extras_that_exist(line: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    words = shlex.split(line)
    for extra in re.findall(r"\.\[([\w,]+)\]", line):
        assert set(extra.split(",")) <= set(project["optional-dependencies"])
    assert (ROOT / words[words.index("-c") + 1]).is_file()
    for word in words:
        if word.startswith("samples/"):
            assert (ROOT / word).is_file()
        if word.startswith(".venv/bin/"):
            program = word.removeprefix(".venv/bin/")
            assert program in {"pip", "pytest", *project["scripts"]}


def test_constraints_pin_what_the_extras_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    # An extra of trtdbg's own extras names them in brackets; all of them are looked at.
    wanted = ("rtx", "test", "test-unit", "test-browser", "test-docs", "serve", "dask")
    (own,) = extras["test"]
    assert set(wanted[2:]) == set(re.findall(r"[\w-]+", own.removeprefix("trtdbg")))
    needed = project["dependencies"] + [
        requirement
        for extra in wanted
        for requirement in extras[extra]
        if not requirement.startswith("trtdbg[")
    ]
    pinned = re.findall(
        r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    names = {re.split(r"[<>=!~ ]", requirement)[0] for requirement in needed}
    assert {name.lower() for name in names} <= {name.lower() for name in pinned}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place to run in, so that commands leave nothing in the checkout."""
    path = tmp_path_factory.mktemp("readme")
    (path / "samples").symlink_to(ROOT / "samples")
    return path


@pytest.mark.parametrize("block", TO_RUN, ids=lambda block: block[0])
def test_commands_of_the_readme_run_one_after_the_other(
    block: list[str], folder: Path
) -> None:
    for line in block:
        done = run(line, folder)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout.strip() or "wrote" in done.stderr, line


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line that begins with `trtdbg` with this checkout, as a shell would."""
    program, *words = shlex.split(line)
    assert program == "trtdbg"
    code = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'ui')]}; "
    return subprocess.run(
        [
            *(sys.executable, "-c", f"{code}from trtdbg.cli import main; sys.exit(main())"),
            *(name for word in words for name in expanded(word, folder)),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def expanded(word: str, folder: Path) -> list[str]:
    if "*" not in word:
        return [word]
    found = sorted(str(path.relative_to(folder)) for path in folder.glob(word))
    assert found, word
    return found


def test_every_command_stands_in_the_readme_and_every_exit_code_in_its_page() -> None:
    for command in COMMANDS:
        assert f"`trtdbg {command}" in README
    codes = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    for code, _ in EXIT_CODES:
        assert f"\n| {code.value} | " in codes


def test_pictures_and_linked_files_exist() -> None:
    pages = {ROOT / "README.md": README, **GUIDE}
    for page, text in pages.items():
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_readme_is_read_in_three_minutes() -> None:
    assert len(README.splitlines()) <= 130
    assert (
        max(len(line) for line in README.splitlines() if not line.startswith(("|", "python")))
        <= 130
    )


def test_policy_file_of_the_readme_is_understood(tmp_path: Path) -> None:
    from trtdbg.commands.options import make_choices
    from trtdbg.policy import TruncationPolicy

    block = re.search(r"```toml\n# policy.toml\n(.*?)```", TEXTS, re.DOTALL)
    assert block is not None
    path = tmp_path / "policy.toml"
    path.write_text(block[1])
    names = (
        *TruncationPolicy.__struct_fields__,
        *("min_block_size", "partitioner", "torch_executed_ops"),
        *("as_compiled", "settings_file", "target", "probe_seconds"),
    )
    policy = make_choices(dict.fromkeys(names) | {"policy_file": str(path)}).policy
    assert policy == TruncationPolicy(constants=("float64", "int64"), computed=())


def test_keys_file_of_the_readme_is_understood(tmp_path: Path) -> None:
    from trtdbg_ui.keys.keymap import read_keymap

    block = re.search(r"```toml\n# keys.toml\n(.*?)```", TEXTS, re.DOTALL)
    assert block is not None
    path = tmp_path / "keys.toml"
    path.write_text(block[1])
    assert read_keymap(str(path)).shown("build") == "f9"


def test_project_table_of_the_readme_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trtdbg.commands.project import PROJECT_KEYS, read_project

    block = re.search(r"```toml\n(\[tool\.trtdbg\].*?)```", TEXTS, re.DOTALL)
    assert block is not None
    (tmp_path / "pyproject.toml").write_text(block[1])
    monkeypatch.chdir(tmp_path)
    assert read_project()["fail_on"] == "error"
    for key in PROJECT_KEYS:
        assert f"`{key.replace('_', '-')}`" in TEXTS
