"""``demitasse import-net``: Deep Compression's .net, as a .demi or as plain Caffe files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from demitasse import files
from demitasse.cli.model import Source, check_output, form
from demitasse.cli.options import debugging, dry_run, json_output, output, quiet
from demitasse.cli.staging import scratch, staged
from demitasse.cli.terminal import Terminal
from demitasse.deep_compression import import_net
from demitasse.errors import OptionError, VerificationError
from demitasse.evaluate.weights import identical
from demitasse.files import content
from demitasse.report.quantities import count, ratio, size

__all__ = ["command"]


@click.command("import-net")
@click.argument("deploy", metavar="DEPLOY", type=click.Path(path_type=Path))
@click.argument("net", metavar="FILE.net", type=click.Path(path_type=Path))
@output("NAME.demi, or a folder for NAME.prototxt and NAME.caffemodel.")
@dry_run
@json_output
@quiet
@debugging
def command(**options: Any) -> int:
    """Read weights stored by Deep Compression (.net).

    The file has no shapes: DEPLOY is the prototxt of the same network. Codebooks and weights are kept to the bit.
    """
    return Request(**options)()


def check_kinds(deploy: Path, net: Path) -> None:
    """OptionError if the two are plainly something else, or the wrong way round. A .net has no mark of its own."""
    if content(deploy) != "text":
        raise OptionError(f"{deploy} is not a prototxt: give DEPLOY FILE.net")
    if net.suffix == ".caffemodel" or content(net) == "demi":
        raise OptionError(f"{net} is no .net of Deep Compression: `demitasse compress` takes other networks")


@dataclass(frozen=True, slots=True)
class Request:
    """The options, by name."""

    deploy: Path
    net: Path
    output: str
    dry: bool
    as_json: bool
    quiet: bool

    def __call__(self) -> int:
        """Do it. The exit status."""
        terminal = Terminal(self.quiet, self.as_json)
        suffixes = (".prototxt", ".caffemodel")
        if form(self.output) == "demi":
            targets = [Path(self.output)]
        else:
            targets = [Path(self.output) / (self.net.stem + suffix) for suffix in suffixes]
        check_output(targets, Source(self.deploy, self.net))
        check_kinds(self.deploy, self.net)
        net = import_net(self.deploy, self.net)
        read = self.net.stat().st_size
        terminal.step("read", f"{net.name or self.net.name} · {count(net.parameters)} parameters · {size(read)}")
        with (scratch if self.dry else staged)(targets) as paths:
            if len(paths) == 1:
                files.save_container(net, paths[0])
            else:
                files.save_pair(net, *paths)
            if not identical(net, files.load(*paths)):
                raise VerificationError(f"{self.output}: other weights were read than were written")
            sizes = [path.stat().st_size for path in paths]
        for target, nbytes in zip(targets, sizes, strict=True):
            smaller = f" · {ratio(read, nbytes)} smaller" if len(targets) == 1 and nbytes < read else ""
            terminal.step("would write" if self.dry else "wrote", f"{target} · {size(nbytes)}{smaller}")
        terminal.step("verified", "read again: every weight is that of the .net file, to the bit")
        terminal.result(
            {
                "command": "import-net",
                "input": {"prototxt": self.deploy, "file": self.net, "bytes": read},
                "output": [{"file": file, "bytes": nbytes} for file, nbytes in zip(targets, sizes, strict=True)],
                "parameters": net.parameters,
                "written": not self.dry,
                "verified": True,
            }
        )
        return 0
