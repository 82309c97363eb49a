"""The group of commands, and what becomes of errors.

A command's module is imported when the command is used, so that ``--help`` is there at once.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import click

from demitasse.errors import DemitasseError, VerificationError

__all__ = ["COMMANDS", "app", "run"]

MALLOC_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of malloc.h."""

Section = Literal["Look", "Make smaller", "Train", "Leave"]


class Entry(NamedTuple):
    """Where a command is, under which heading it stands, and what it does in a line."""

    module: str
    section: Section
    summary: str


COMMANDS: dict[str, Entry] = {
    "inspect": Entry("demitasse.cli.inspect", "Look", "What is in a network, and what makes it large."),
    "compare": Entry("demitasse.cli.compare", "Look", "Two networks side by side: weights, outputs, boxes, layers."),
    "evaluate": Entry("demitasse.cli.evaluate", "Look", "How often a network is right, on labelled pictures."),
    "sensitivity": Entry("demitasse.cli.sensitivity", "Look", "What each layer's channels are worth to the outputs."),
    "compress": Entry("demitasse.cli.compress", "Make smaller", "Store a network as one small .demi, verified."),
    "expand": Entry("demitasse.cli.expand", "Make smaller", "Turn a .demi back into plain Caffe files."),
    "shrink": Entry("demitasse.cli.shrink", "Make smaller", "Remove for good what the outputs do not depend on."),
    "prune": Entry("demitasse.cli.prune", "Make smaller", "Remove the channels that matter least."),
    "strip": Entry("demitasse.cli.strip", "Make smaller", "Leave out what only training needs."),
    "fold": Entry("demitasse.cli.fold", "Make smaller", "BatchNorm, Scale, Bias into their neighbours: exact."),
    "factorize": Entry("demitasse.cli.factorize", "Make smaller", "Low rank: one layer as two or three thin ones."),
    "half": Entry("demitasse.cli.half", "Make smaller", "Weights as float16."),
    "apply": Entry("demitasse.cli.apply", "Make smaller", "Apply the transforms of a recipe."),
    "import-net": Entry("demitasse.cli.import_net", "Make smaller", "Read weights stored by Deep Compression (.net)."),
    "train": Entry("demitasse.cli.train", "Train", "Train a network as Caffe would, from its solver file."),
    "recover": Entry("demitasse.cli.recover", "Train", "Let a smaller network learn from the original."),
    "dataset": Entry("demitasse.cli.dataset", "Train", "Turn labelled pictures into an LMDB."),
    "export": Entry("demitasse.cli.export", "Leave", "Write a network as ONNX, verified."),
}


class Group(click.Group):
    """Commands under headings, imported when used."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name, from its module."""
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, by heading; no module is imported for it."""
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl([(name, e.summary) for name, e in COMMANDS.items() if e.section == section])


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A network is given as DEPLOY MODEL (prototxt, then caffemodel), one FILE.demi, or a folder with both. "
    "Exit status: 0 done and verified, 1 beyond tolerance, 2 bad input or options.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, option, wanted: say_version(context, wanted),
    help="Show the version and exit.",
)
def app() -> None:
    """Trained Caffe networks, made physically smaller, and shown to compute the same thing."""


def say_version(context: click.Context, wanted: bool) -> None:
    """Print the version and leave, if that is wanted."""
    if not wanted:
        return
    from demitasse.version import version

    click.echo(f"demitasse {version()}")
    context.exit()


def give_memory_back() -> None:
    """Have large blocks returned to the system when they are freed.

    glibc otherwise keeps them once it has seen some, and a large network ends up in memory twice.
    """
    with suppress(OSError, AttributeError, TypeError):  # elsewhere than on glibc there is no such function
        ctypes.CDLL(None).mallopt(MALLOC_MMAP_THRESHOLD, 1 << 22)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; every error ends as one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        given = ["--help"]
    debug = "--debug" in given
    if debug and given[:1] == ["--debug"]:
        given.remove("--debug")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    terminated_as_exit()
    give_memory_back()
    try:
        # Not app.main(): it has its own idea of what becomes of a closed pipe and of Ctrl-C.
        with app.make_context("demitasse", given) as context:
            status = app.invoke(context)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left (``| head``): nothing to say, and nothing to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        if debug:
            raise
        message = worded(error)
        colour = None if "NO_COLOR" not in os.environ else False
        click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True, color=colour)
        status = 1 if isinstance(error, VerificationError) else 2
        if "--json" in given:
            from demitasse.cli.terminal import json_ready

            details = error.details if isinstance(error, VerificationError) else {}
            click.echo(json.dumps(json_ready({**details, "error": message, "status": status}), ensure_ascii=False))
        return status


def terminated_as_exit() -> None:
    """``kill`` unwinds like Ctrl-C does, so that temporary files leave; a second one kills."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    try:
        signal.signal(signal.SIGTERM, stop)
    except ValueError:
        return  # Not in the main thread: whoever runs us there has the say over signals.


def worded(error: Exception) -> str:
    """One line for any error."""
    if isinstance(error, click.UsageError):
        context = error.ctx
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        return one_line(error.format_message()).rstrip(".") + hint
    if isinstance(error, click.ClickException):
        return one_line(error.format_message())
    if isinstance(error, DemitasseError):
        return one_line(str(error))
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return where + (error.strerror or one_line(str(error)))
    return f"internal: {type(error).__name__}: {one_line(str(error))} (a defect: run again with --debug and report it)"


def one_line(text: str) -> str:
    """With line breaks as spaces."""
    return " ".join(text.split("\n")).strip()
