import subprocess
import sys
import time

import click
import pytest

from demitasse.cli import app
from demitasse.errors import FileError, VerificationError


def demitasse(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from demitasse.cli import main; sys.exit(main())", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_help_lists_every_command_under_its_heading():
    done = demitasse("--help")
    assert done.returncode == 0
    for name, entry in app.COMMANDS.items():
        assert f"{entry.section}:" in done.stdout
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_listed_command_has_help(name):
    done = demitasse(name, "--help")
    assert done.returncode == 0
    assert "--debug" in done.stdout


def test_help_is_there_at_once():
    """The heavy libraries are not imported for it."""
    heavy = "[m for m in ('cv2', 'rich', 'numpy') if m in sys.modules]"
    code = f"import sys; from demitasse.cli import main; main(['--help']); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
    start = time.perf_counter()
    demitasse("--help")
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shrinkwrap"], "No such command"),
        (["inspect"], "Missing argument"),
        (["inspect", "--frobnicate", "x"], "No such option"),
        (["inspect", "no-such-file"], "no-such-file: cannot be read: No such file"),
        (["compress", "a", "b"], "'-o'"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments, message):
    done = demitasse(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (FileError("x: cut\nshort"), 2, "error: x: cut"),
        (VerificationError("off"), 1, "error: off"),
        (PermissionError(13, "Permission denied", "y"), 2, "error: y: Permission denied"),
        (MemoryError(), 2, "error: out of memory"),
        (ZeroDivisionError("oops"), 2, "error: internal: ZeroDivisionError: oops"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
    ],
)
def test_what_becomes_of_errors(monkeypatch, capsys, error, status, message):
    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(app.Group, "get_command", lambda self, context, name: command)
    assert app.run(["anything"]) == status
    assert capsys.readouterr().err.strip().startswith(message)


def test_debug_shows_the_traceback():
    done = demitasse("inspect", "no-such-file", "--debug")
    assert "Traceback" in done.stderr
    assert "FileError" in done.stderr


def test_json_says_errors_too():
    done = demitasse("inspect", "no-such-file", "--json")
    assert '"status": 2' in done.stdout
