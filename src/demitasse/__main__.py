"""``python -m demitasse``: the command line."""

import sys

from demitasse.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
