"""Measures the ratios of the table, prints each with its spread, and adds them to the history.

python -m benchmarks                      all rows
python -m benchmarks analysis memory      some rows
python -m benchmarks --quick              the first subject of each row, one round
python -m benchmarks --processor          processor time, where others use the machine too
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.models import ROOT

# The UI stands in a folder of its own, which an installed trtdbg or pytest knows anyway.
sys.path[:0] = [str(ROOT), str(ROOT / "ui")]

from benchmarks import history  # noqa: E402
from benchmarks.measure import CLOCK, compare  # noqa: E402
from benchmarks.table import ROWS, Row  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the chosen rows and returns 1 if one of them misses its goal."""
    options = _options(arguments)
    CLOCK.processor = options.processor
    rows = [row for row in ROWS if not options.rows or row.name in options.rows]
    results = []
    print(f"{'':52} {'ratio':>7} {'least':>7} {'most':>7} {'goal':>6}   ours, against")
    with _own_cache():
        for row in rows:
            print(f"{row.name}: {row.what}, against {row.against}")
            for subject in row.subjects[: 1 if options.quick else None]:
                result = _measured(row, subject, 1 if options.quick else options.rounds)
                print(_line(result), flush=True)
                results.append(result)
    if options.record:
        history.append(history.describe(tuple(results)), options.history)
    missed = sorted({result.row for result in results if not result.reached})
    if missed:
        print(f"over their goals: {', '.join(missed)}")
    return 1 if missed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [row.name for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(names))
    parser.add_argument("--rounds", type=_positive, default=5, help="default: 5")
    parser.add_argument(
        "--quick", action="store_true", help="one round of each row's first subject"
    )
    parser.add_argument(
        "--no-record", dest="record", action="store_false", help="keep the history as it is"
    )
    parser.add_argument("--history", type=Path, default=history.FILE, help=argparse.SUPPRESS)
    parser.add_argument(
        "--processor", action="store_true", help="count processor time in place of wall time"
    )
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.rows) - set(names))
    if unknown:
        parser.error(f"no row is called {unknown[0]!r}; there are {', '.join(names)}")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than one round")
    return number


def _measured(row: Row, subject: str, rounds: int) -> history.Result:
    spread = compare(row.sides(subject), rounds, row.warm_up)
    return history.Result.of(row.name, subject, row.goal, spread)


def _line(result: history.Result) -> str:
    sign = " " if result.reached else "!"
    return (
        f"{sign}   {result.subject:48} {result.median:7.3f} {result.least:7.3f} "
        f"{result.most:7.3f} {result.goal:6.2f}   "
        f"{result.ours:.4g} {result.unit}, {result.reference:.4g} {result.unit}"
    )


@contextlib.contextmanager
def _own_cache() -> Iterator[None]:
    """Keeps what the user's trtdbg remembers out of the figures, and the other way round."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("CACHE", "STATE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(folder) / name.lower())
        yield


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
