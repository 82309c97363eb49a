"""``demitasse inspect``: what is in a network, and what makes it large."""

from __future__ import annotations

from pathlib import Path

import click

from demitasse import files
from demitasse.cli.model import mention_slips, slips_in_words, source
from demitasse.cli.options import debugging, json_output, model_argument, quiet, threads, worker_threads
from demitasse.cli.terminal import Terminal
from demitasse.report.inspection_text import COLUMNS, closing, headline, table_rows
from demitasse.report.look import inspect_net
from demitasse.report.stored import stored_bytes

__all__ = ["command"]

NOTES = 6
"""Of what is not known, this much is printed: the rest mostly follows from it."""


@click.command("inspect")
@model_argument("DEPLOY [MODEL] | FILE.demi | DIR")
@click.option("--all", "every", is_flag=True, help="Show layers without weights, too.")
@json_output
@threads
@quiet
@debugging
def command(model: tuple[Path, ...], every: bool, as_json: bool, threads: int | None, quiet: bool) -> int:
    """What is in a network, and what makes it large.

    For every layer: output shape, multiply-accumulates, bytes, zeros, output channels that are dead (weights and bias
    all zero), input channels that are read by nothing but zeros, channels that are computed twice, and how many bits a
    weight an entropy coder would need.
    """
    terminal = Terminal(quiet, as_json)
    given = source(model, weights=False)
    net = files.load(*given.files)
    with terminal.progress("look") as progress:
        found = inspect_net(
            net,
            file_bytes=given.bytes,
            stored=None if given.demi is None else stored_bytes(given.demi),
            threads=worker_threads(threads),
            progress=progress,
        )
    every = every or not any(row.weighted for row in found.layers)
    terminal.line(headline(found, given.files[-1].name))
    terminal.table(COLUMNS, table_rows(found, every))
    for text in closing(found, [str(path) for path in given.files], given.demi is not None, every):
        terminal.line("  " + text)
    mention_slips(net, terminal)
    for text in found.notes[:NOTES]:
        terminal.note(text)
    if len(found.notes) > NOTES:
        terminal.note(f"and {len(found.notes) - NOTES} more of the kind (all of them with --json)")
    names = [str(path) for path in given.files]
    terminal.result({"command": "inspect", "files": names, **found.as_dict(), "slips": slips_in_words(net)})
    return 0
