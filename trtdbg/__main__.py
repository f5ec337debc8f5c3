"""The program's entry point, which answers Ctrl-C while the rest of it is being imported."""

import os
import sys


def run() -> int:
    """Runs the command line and returns its exit code."""
    _fill_closed_descriptors()
    try:
        from trtdbg.cli import main

        return main()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("trtdbg: interrupted\n")
        return 130


def _fill_closed_descriptors() -> None:
    """Keeps files from being opened as stdin, stdout or stderr where those are closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(run())
