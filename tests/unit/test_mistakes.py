# ruff: noqa: E501
"""What newcomers type wrong: each with its exact line and exit code, before a worker starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trtdbg import cli
from trtdbg.worker import client

ROOT = Path(__file__).parents[2]

MISTAKES: tuple[tuple[str, str], ...] = (
    (
        "nosuch.pt2",
        "nosuch.pt2 does not exist; check the path, or export the model with torch.export.export and torch.export.save",
    ),
    (
        "raport net.pt2",
        "Got unexpected extra argument (net.pt2); see `trtdbg --help`; or did you mean the command `report`?",
    ),
    ("report", "Missing argument 'MODEL...'; see `trtdbg report --help`"),
    (
        "report nosuch.pt2",
        "nosuch.pt2 does not exist; check the path, or export the model with torch.export.export and torch.export.save",
    ),
    ("report folder.pt2", "folder.pt2 is a folder; name a .pt2 file in it"),
    ("report empty.pt2", "empty.pt2 is empty; export the model again"),
    (
        "report text.pt2",
        "text.pt2 is a text file, not a torch.export archive; export the model with torch.export.export and torch.export.save",
    ),
    (
        "report model.onnx",
        "model.onnx is an ONNX model; trtdbg reads PyTorch programs: export the model with torch.export.export and torch.export.save from the PyTorch model",
    ),
    (
        "report w.safetensors",
        "w.safetensors is a safetensors file: weights without the program; load it into its model in Python and export the model with torch.export.export and torch.export.save",
    ),
    (
        "report m.gguf",
        "m.gguf is a GGUF model: weights for llama.cpp, without a PyTorch program; load the original model in Python and export the model with torch.export.export and torch.export.save",
    ),
    (
        "report list.json",
        "list.json holds a list of reports; save one report a file to open it",
    ),
    (
        "report old.json",
        "old.json has the schema 'trtdbg.report/9', this trtdbg reads 'trtdbg.report/1'; make the report again with this version, or open it with the other one",
    ),
    ("report no.json", "no.json is not a saved report: it names no schema"),
    ("report bad.json", "bad.json is not a saved report: Input data was truncated"),
    (
        "report net.pt2 --timing lat",
        "Invalid value for '--timing': 'lat' is not one of 'off', 'early', 'upstream', 'late' (did you mean late?); see `trtdbg report --help`",
    ),
    (
        "report net.pt2 --timming late",
        "No such option '--timming'. (Did you mean one of: '--settings', '--time-limit', '--timing'?); see `trtdbg report --help`",
    ),
    (
        "report net.pt2 --inputs float46",
        "--inputs: 'float46' is not a wide dtype; write none or a comma-separated list of float64, int64",
    ),
    (
        "report net.pt2 --inputs int8",
        "--inputs: 'int8' is not a wide dtype; write none or a comma-separated list of float64, int64",
    ),
    (
        "report net.pt2 --min-block-size 0",
        "Invalid value for '--min-block-size': 0 is not in the range x>=1; see `trtdbg report --help`",
    ),
    (
        "report net.pt2 --min-block-size x",
        "Invalid value for '--min-block-size': 'x' is not a valid integer range; see `trtdbg report --help`",
    ),
    (
        "report net.pt2 --partitioner quick",
        "Invalid value for '--partitioner': 'quick' is not one of 'global', 'fast'; see `trtdbg report --help`",
    ),
    (
        "report net.pt2 --torch-executed-ops mul",
        "'mul' is not an operator; spell it like aten.cumsum.default",
    ),
    (
        "report net.pt2 --target sm9x",
        "'sm9x' is not a compute capability; write it like sm86; `trtdbg doctor` lists those possible here",
    ),
    (
        "report net.pt2 --policy nosuch.toml",
        "cannot read nosuch.toml: No such file or directory",
    ),
    ("report net.pt2 --policy p.toml", "p.toml: there is no key 'timings'; use timing"),
    (
        "report net.pt2 --settings s.toml",
        "s.toml: there is no key 'min_block'; use min_block_size",
    ),
    (
        "report net.pt2 --policy x.toml",
        "x.toml is not TOML: Invalid value (at end of document)",
    ),
    (
        "report net.pt2 --json kept.json",
        "kept.json exists and is kept; pass --force to replace it",
    ),
    (
        "report net.pt2 --json nodir/x.json",
        "cannot write nodir/x.json: there is no folder nodir; create it first",
    ),
    (
        "report net.pt2 --format pdf",
        "Invalid value for '--format': 'pdf' is not one of 'text', 'markdown', 'html', 'model-explorer'; see `trtdbg report --help`",
    ),
    (
        "report net.pt2 -o x.txt",
        "--output takes a page, and --format text is for a terminal; add --format markdown, html or model-explorer",
    ),
    (
        "report net.pt2 --format html --json -",
        "--format html and --json - both write to stdout; give one of them a file",
    ),
    (
        "report net.pt2 --seed 1",
        "--input-values, --seed, --atol, --rtol and --accumulate say how to run; add --numerics",
    ),
    (
        "report net.pt2 --by node",
        "Invalid value for '--by': 'node' is not one of 'line', 'module', 'operator'; see `trtdbg report --help`",
    ),
    ("report net.pt2 --watch --json -", "--watch shows text; leave --json and --format out"),
    (
        "report net.pt2 --redact --trace x",
        "--trace and --bisect quote the source; leave --redact out",
    ),
    (
        "report net.pt2 --trace x --json -",
        "--trace and --bisect are text, and --json - leaves no room for it; give --json a file",
    ),
    ("check", "Missing argument 'MODEL...'; see `trtdbg check --help`"),
    (
        "check net.pt2 --select XX9",
        "--select: 'XX9' begins no code; `trtdbg explain` lists all of them",
    ),
    (
        "check net.pt2 --fail-on bad",
        "Invalid value for '--fail-on': 'bad' is not one of 'note', 'warning', 'error'; see `trtdbg check --help`",
    ),
    (
        "check net.pt2 --format xml",
        "Invalid value for '--format': 'xml' is not one of 'text', 'json', 'github', 'sarif', 'junit'; see `trtdbg check --help`",
    ),
    (
        "check net.pt2 --baseline nosuch.json",
        "cannot read the baseline nosuch.json: No such file or directory; --write-baseline FILE writes one",
    ),
    (
        "diff net.pt2",
        "nothing says what to make of the two; add -o FILE for a picture, or --by cause for what changed as text",
    ),
    (
        "diff net.pt2 -o x.bmp",
        "cannot write x.bmp: its ending says no format; end it with one of .dot, .svg, .png, .pdf, .html",
    ),
    ("diff net.pt2 --by cause", "--by cause compares two; name a second .pt2 or saved report"),
    ("diff net.pt2 -o x.dot --depth 2", "--depth says how far from a node; add --around NODE"),
    ("explain TD999", "there is no finding 'TD999'; `trtdbg explain` lists all of them"),
    (
        "explain needles-rejection",
        "there is no finding 'needles-rejection'; did you mean needless-rejection?",
    ),
    ("repro net.pt2", "Missing option '-o' / '--output'; see `trtdbg repro --help`"),
    ("build net.pt2 --save kept.json", "cannot write kept.json: Not a directory"),
    ("build no.json", "no.json is a saved report; give the .pt2 file to build"),
    (
        "compare net.pt2 --jobs 0",
        "Invalid value for '--jobs': 0 is not in the range x>=1; see `trtdbg compare --help`",
    ),
    ("doctor extra", "Got unexpected extra argument (extra); see `trtdbg doctor --help`"),
    (
        "--verson",
        "No such option '--verson' (did you mean --version?); see `trtdbg --help`",
    ),
    ("help nosuch", "there is no command 'nosuch'; `trtdbg --help` lists them"),
    (
        "report net.pt2 --probe-seconds -1",
        "Invalid value for '--probe-seconds': -1.0 is not in the range x>=0; see `trtdbg report --help`",
    ),
    (
        "report net.pt2 --memory-limit big",
        "--memory-limit: 'big' is not a size; write it like 8G",
    ),
)
"""What is typed behind `trtdbg`, and what it says behind `trtdbg: error: `."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("net.pt2", "w") as made:
        made.writestr("archive_format", "pt2")
        made.writestr("models/model.json", "{}")
    for name, data in {
        "empty.pt2": b"",
        "text.pt2": b"hello",
        "model.onnx": b"\x08\x07\x12\x07pytorch",
        "w.safetensors": (10).to_bytes(8, "little") + b'{"a": {}} ',
        "m.gguf": b"GGUF" + bytes(20),
        "list.json": b"[]",
        "old.json": b'{"schema":"trtdbg.report/9"}',
        "no.json": b"{}",
        "bad.json": b'{"a"',
        "kept.json": b"{}",
        "p.toml": b'timings = "late"',
        "s.toml": b"min_block = 3",
        "x.toml": b"timing = ",
    }.items():
        Path(name).write_bytes(data)
    Path("folder.pt2").mkdir()
    return tmp_path


class NoWorker:
    def __init__(self, *arguments: object) -> None:
        raise AssertionError("a worker was started, which imports torch")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("typed", "said"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_one_line_that_says_what_to_do(
    typed: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(client, "Worker", NoWorker)
    before = "torch" in sys.modules
    assert cli.main(typed.split()) == 2
    shown = capsys.readouterr()
    assert shown.err == f"trtdbg: error: {said}\n"
    assert shown.out == ""
    assert len(shown.err) <= 400
    assert ("torch" in sys.modules) == before


@pytest.mark.usefixtures("folder")
def test_torch_is_never_imported_before_the_line_is_printed() -> None:
    """All of them, one after the other, in a process that has not imported torch before."""
    code = """
import json, sys
from trtdbg import cli
for typed in json.load(sys.stdin):
    ended = cli.main(typed.split())
    loaded = [name for name in ("torch", "torch_tensorrt", "tensorrt") if name in sys.modules]
    print(json.dumps([typed, ended, loaded]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([typed for typed, _ in MISTAKES]),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [typed, 2, []] for typed, _ in MISTAKES
    ]
    assert done.stderr.splitlines() == [f"trtdbg: error: {said}" for _, said in MISTAKES]


def test_there_are_as_many_as_were_made() -> None:
    assert len(MISTAKES) >= 43
    assert len({typed for typed, _ in MISTAKES}) == len(MISTAKES)
