"""Damaged files end in an answer or in one line: no bug of ours, no hang, no hoard."""

import functools
import random
import warnings
from pathlib import Path

import mutations
import pytest

from trtdbg.errors import ExitCode, LimitError, TrtdbgError
from trtdbg.outputs.report import decode, encode
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Report
from trtdbg.worker.client import Client
from trtdbg.worker.messages import Access, Analyze, Job

SAMPLES = Path(__file__).parents[2] / "samples"
MODELS = ("batchnorm_float64.pt2", "boundary_mixed.pt2", "ids_float64_island.pt2")
POLICY = TruncationPolicy()
ACCESS = Access(memory_limit=4 << 30, time_limit=20)
"""What no input may take."""

DOCUMENTED = frozenset(ExitCode) - {ExitCode.BUG, ExitCode.INTERRUPTED}


@pytest.fixture(scope="module")
def client():
    with Client() as made:
        yield made


def analyse(client, path):
    job = Job(model=str(path), settings=Settings(), probe_seconds=0, access=ACCESS)
    return client.submit(Analyze(job=job, policy=POLICY)).result(60)


@pytest.fixture(scope="module")
def report(client):
    return encode([analyse(client, SAMPLES / MODELS[1])])


def problem(ask):
    """Returns what is wrong with how something ended, None if nothing is."""
    try:
        answer = ask()
    except LimitError as error:
        return str(error)
    except TrtdbgError as error:
        if error.exit_code not in DOCUMENTED:
            return f"{error}\n{getattr(error, 'traceback', '')}"
        return None if "\n" not in str(error) else f"several lines: {error}"
    return None if isinstance(answer, Report) else f"answered {type(answer)}"


def archives(client, folder, seeds):
    """Returns what is wrong with mutated archives, by the seed that makes them again."""
    originals = [(SAMPLES / name).read_bytes() for name in MODELS]
    path = folder / "mutated.pt2"
    wrong = {}
    for seed in seeds:
        chance = random.Random(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # zipfile's, on a repeated entry
            path.write_bytes(mutations.mutated_archive(chance.choice(originals), chance))
        found = problem(lambda: analyse(client, path))
        if found is not None:
            wrong[seed] = found
    return wrong


def shown(data):
    """Returns a report that is decoded, and shown in every form that a command has."""
    from rich.console import Console

    from trtdbg.outputs import pages

    opened = decode(data, "report.json")
    with open("/dev/null", "w") as nowhere:
        console = Console(file=nowhere, width=100)
        console.print(pages.ControlCharsStripped(pages.report(opened, all_nodes=True)))
        console.print(pages.ControlCharsStripped(pages.build(opened)))
    return opened


def reports(original, seeds):
    """Returns what is wrong with mutated reports, by the seed that makes them again."""
    wrong = {}
    for seed in seeds:
        data = mutations.mutated_report(original, random.Random(seed))
        try:
            found = problem(functools.partial(shown, data))
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        if found is not None:
            wrong[seed] = found
    return wrong


def test_damaged_archives_are_answered_or_refused(client, tmp_path):
    assert archives(client, tmp_path, range(120)) == {}


def test_damaged_reports_are_shown_or_refused(report):
    assert reports(report, range(80)) == {}


@pytest.mark.slow
def test_many_damaged_archives_are_answered_or_refused(client, tmp_path):
    assert archives(client, tmp_path, range(1000, 2400)) == {}


@pytest.mark.slow
def test_many_damaged_reports_are_shown_or_refused(report):
    assert reports(report, range(1000, 1600)) == {}
