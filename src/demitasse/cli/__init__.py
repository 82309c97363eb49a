"""The command line: the only place that prints, and the only place that catches errors."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command (from ``sys.argv`` if no arguments are given) and return the exit status."""
    from demitasse.cli.app import run

    return run(arguments)
