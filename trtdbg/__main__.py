"""Makes `python -m trtdbg` the command line."""

import sys

from trtdbg.cli import main

if __name__ == "__main__":
    sys.exit(main())
