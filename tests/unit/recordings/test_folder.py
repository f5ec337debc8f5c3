"""A recording's folder is read strictly, and no name in it leads out of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.recording_folders import made
from trtdbg import beside
from trtdbg.errors import ModelError
from trtdbg.policy import Settings
from trtdbg.recordings import folder
from trtdbg.records import Front


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    recording = folder.read(made(tmp_path / "r"))
    (program,) = recording.programs
    assert (recording.script, recording.ended) == ("a.py", "by itself")
    assert program.path == str(tmp_path / "r" / "1-Net.pt2")
    assert program.settings == Settings(min_block_size=4)
    assert program.recorded.front is Front.EXPORT
    assert program.recorded.inputs == ("0: float32 (2,)",)
    assert program.recorded.weights == ("w",)
    assert program.recorded.graph_break == "a print"
    assert dict(program.recorded.noted) == {
        "engine_cache_dir": 'a "quoted"\npath \N{REPLACEMENT CHARACTER}'
    }


def test_one_file_of_a_recording_knows_what_it_was_recorded_with(tmp_path: Path) -> None:
    made(tmp_path / "r")
    program = folder.recorded_program(tmp_path / "r" / "1-Net.pt2")
    assert program is not None
    assert program.settings.min_block_size == 4


def test_another_file_beside_a_recording_is_none_of_it(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    (place / "other.pt2").write_bytes(b"PK")
    assert folder.recorded_program(place / "other.pt2") is None
    assert folder.recorded_program(tmp_path / "elsewhere.pt2") is None


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", ".hidden", "a/b", "", "x" * 90])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    place = made(tmp_path / "r")
    text = (place / beside.INDEX).read_text().replace('"1-Net"', f'"{name}"')
    (place / beside.INDEX).write_text(text)
    with pytest.raises(ModelError, match="is no name of a program"):
        folder.read(place)


@pytest.mark.parametrize("file", ["1-Net.pt2", "1-Net.settings.toml", beside.INDEX])
def test_a_link_is_refused(tmp_path: Path, file: str) -> None:
    place = made(tmp_path / "r")
    (tmp_path / "outside").write_bytes((place / file).read_bytes())
    (place / file).unlink()
    (place / file).symlink_to(tmp_path / "outside")
    with pytest.raises(ModelError, match="is not a regular file"):
        folder.read(place)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"min_block_size": 0}, "min_block_size is at least 1"),
        ({"min_block_size": 2**60}, "out of bounds"),
        ({"optimization_level": 9}, "0 to 5"),
        ({"min_block_size": "2"}, "Expected `int`"),
        ({"unheard_of": True}, "there is no setting 'unheard_of'"),
        ({"torch_executed_ops": ["__import__('os')"]}, "is not an operator"),
        ({"engine_capability": "fast"}, "choose from standard"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        folder.read(made(tmp_path / "r", settings=settings))


HOSTILE: list[bytes | str] = [
    "front = 3",
    'front = "fx"',
    'front = "export"\nsettings = 3',
    'front = "export"\nsettings = []',
    'front = "export"\n[[settings]]\na = 1',
    'front = "export"\n[settings]\nmin_block_size = 2.5',
    'front = "export"\n[settings]\nmin_block_size = true',
    'front = "export"\n[settings]\nmin_block_size = nan',
    'front = "export"\n[settings]\ntorch_executed_ops = [1]',
    'front = "export"\n[settings]\npartitioner = {a = 1}',
    'front = "export"\nweights = [1]\n[settings]',
    'front = "export"\ninputs = "x"\n[settings]',
    'front = "export"\nmore = 1\n[settings]',
    'front = "export"\n[settings]\n[noted]\na = 1',
    'front = "export"\n[settings]\n[noted]\na = {b = "c"}',
    b"\xff\xfe",
    b"front = \x00",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_settings_file_of_another_shape_is_refused_in_one_line(
    tmp_path: Path, text: bytes | str
) -> None:
    place = made(tmp_path / "r")
    data = text if isinstance(text, bytes) else text.encode()
    (place / "1-Net.settings.toml").write_bytes(data)
    with pytest.raises(ModelError) as refused:
        folder.read(place)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("file", ["1-Net.pt2", "1-Net.settings.toml", beside.INDEX])
@pytest.mark.parametrize("kind", ["gone", "folder", "pipe"])
def test_a_file_that_is_none_is_refused_and_not_waited_for(
    tmp_path: Path, file: str, kind: str
) -> None:
    place = made(tmp_path / "r")
    (place / file).unlink()
    if kind == "folder":
        (place / file).mkdir()
    elif kind == "pipe":
        os.mkfifo(place / file)
    with pytest.raises(ModelError, match=r"is not a regular file|cannot read"):
        folder.read(place)


@pytest.mark.parametrize(
    "text",
    [
        "schema = ",
        "a = " + "[" * 50_000,
        "a = " + "9" * 10_000,
        'schema = "trtdbg.recording/2"',
        'schema = "trtdbg.recording/1"\nscript = 1\nended = ""',
        'schema = "trtdbg.recording/1"\nscript = ""\nended = ""\nmore = 1',
        'schema = "trtdbg.recording/1"\nscript = ""\nended = "' + "x" * 5000 + '"',
    ],
)
def test_an_index_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    place = made(tmp_path / "r")
    (place / beside.INDEX).write_text(text)
    with pytest.raises(ModelError) as refused:
        folder.read(place)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_recording_with_too_many_programs_is_refused(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    one = '[[program]]\nname="n"\ncall="c"\nfile="f"\nline=1\nnodes=1\n'
    text = (place / beside.INDEX).read_text() + one * (folder.MOST_PROGRAMS + 1)
    (place / beside.INDEX).write_text(text)
    with pytest.raises(ModelError, match="more than"):
        folder.read(place)


def test_a_large_file_is_not_read_through(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    (place / "1-Net.settings.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(ModelError, match="larger than"):
        folder.read(place)


@pytest.mark.parametrize("file", [beside.INDEX, "1-Net.settings.toml"])
def test_keys_that_are_nested_for_ever_are_refused(tmp_path: Path, file: str) -> None:
    place = made(tmp_path / "r")
    (place / file).write_text("a" + ".a" * 50_000 + " = 1\n")
    with pytest.raises(ModelError, match="a line with more than 1000 dots"):
        folder.read(place)


def test_a_program_that_is_gone_is_told(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    (place / "1-Net.pt2").unlink()
    with pytest.raises(ModelError, match=r"cannot read .*1-Net\.pt2"):
        folder.read(place)


def test_a_recording_is_known_by_its_folder_and_by_its_index(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    assert folder.folder_of(place) == place
    assert folder.folder_of(place / beside.INDEX) == place
    assert folder.folder_of(tmp_path) is None
    assert folder.folder_of(place / "1-Net.pt2") is None
