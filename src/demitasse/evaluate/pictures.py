"""Pictures to run networks on when there are no photographs: generated, with the statistics of photographs.

They have the 1/f amplitude spectrum of natural scenes (Field, 1987), strongly correlated colours, and
edges from occluding discs (the dead-leaves model; Lee, Mumford and Huang, 2001): noise without these excites a
network quite differently from a photograph. They depend on the seed only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from demitasse.datasets.pictures import Picture

__all__ = ["generated"]


def generated(count: int, height: int, width: int, seed: int = 0) -> list[tuple[str, Picture]]:
    """That many pictures of that size, the same ones for the same seed."""
    out = []
    for i in range(count):
        random = np.random.default_rng([seed, i, height, width])
        colour = leaves(random, height, width) + 30.0 * coloured_noise(random, height, width)
        out.append((f"generated {i + 1}", np.clip(np.rint(colour), 0, 255).astype(np.uint8)))
    return out


def coloured_noise(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Unit-variance 1/f noise, height × width × 3: one luminance shared by the channels, and a little of their own."""
    shared = pink(random, height, width)
    return np.stack([0.95 * shared + 0.3 * pink(random, height, width) for _ in range(3)], axis=-1)


def pink(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Unit-variance noise whose amplitude falls as 1/f."""
    spectrum = np.fft.rfft2(random.standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise: npt.NDArray[np.float64] = np.fft.irfft2(spectrum / frequency, s=(height, width))
    return noise / max(float(noise.std()), 1e-12)


def leaves(random: np.random.Generator, height: int, width: int, count: int = 60) -> npt.NDArray[np.float64]:
    """Discs of one colour over one another, radii by a power law, height × width × 3."""
    size = min(height, width)
    rows, columns = np.mgrid[0:height, 0:width]
    canvas = np.full((height, width, 3), random.uniform(60, 180, 3))
    for share in np.sort(1.0 / random.uniform(2.0, 20.0, count))[::-1]:
        row, column = random.uniform(0, height), random.uniform(0, width)
        tint = random.uniform(20, 235) + random.normal(0, 20, 3)
        canvas[(rows - row) ** 2 + (columns - column) ** 2 <= (share * size) ** 2] = tint
    return canvas
