"""The program's entry point, which answers Ctrl-C while the rest of it is being imported."""

import sys


def run() -> int:
    """Runs the command line and returns its exit code."""
    try:
        from trtdbg.cli import main

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("trtdbg: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(run())
