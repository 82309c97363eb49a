"""Networks that run: our own executor, on torch; and OpenCV beside it, in this process or in one of its own.

>>> outputs = run(net, {"data": pictures})  # doctest: +SKIP

The executor needs torch, which is an extra: it is imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from demitasse.errors import MissingExtraError
from demitasse.net import Net

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from demitasse.runtime.operation import Operation

__all__ = ["have_torch", "require_torch", "run"]


def have_torch() -> bool:
    """Whether the optional dependency is installed (it is not imported)."""
    return find_spec("torch") is not None


def require_torch(purpose: str) -> None:
    """MissingExtraError unless torch is installed. ``purpose``: what needs it, as the start of a sentence."""
    if not have_torch():
        raise MissingExtraError("torch", "torch", purpose)


def run(
    net: Net,
    inputs: Mapping[str, npt.NDArray[Any]],
    wanted: str | Sequence[str] | None = None,
    *,
    phase: str = "TEST",
    plugins: Mapping[str, Operation] | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """One pass of a network over arrays, by blob name: its outputs, those ``wanted``, or, for ``"*"``, all blobs.

    Weights stay in their file until a layer needs them, and a blob is forgotten after its last reader. ``threads`` is
    for this pass alone; ``None`` leaves the choice to torch. NetError for inputs or layers that do not fit,
    MissingExtraError without torch. For more than one pass, keep a `demitasse.runtime.network.Network`.
    """
    require_torch("running a network")
    from demitasse.layers import build
    from demitasse.runtime.network import Network
    from demitasse.runtime.threads import infer

    network = Network(build(net, phase), device=device, plugins=plugins)
    with infer(threads):
        return {name: value.cpu().numpy() for name, value in network(inputs, wanted).items()}
