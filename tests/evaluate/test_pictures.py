import numpy as np
import pytest

from demitasse.evaluate.pictures import generated


def test_generated_pictures_depend_on_the_seed_only():
    first, again, other = (generated(2, 40, 60, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][1], other[0][1])
    assert not np.array_equal(first[0][1], first[1][1])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (12, 12), (39, 200)])
def test_any_size_can_be_generated(height, width):
    ((_, picture),) = generated(1, height, width)
    assert (picture.shape, picture.dtype) == ((height, width, 3), np.uint8)


def test_generated_pictures_have_the_spectrum_of_photographs():
    """Amplitude falls about as 1/f: between the spectra of white noise (slope 0) and of a ramp (-2)."""
    slopes = []
    for _, picture in generated(4, 128, 128):
        grey = picture.mean(axis=-1)
        amplitude = np.abs(np.fft.fft2(grey - grey.mean()))
        frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
        middle = (frequency > 0.03) & (frequency < 0.4)
        slopes.append(np.polyfit(np.log(frequency[middle]), np.log(amplitude[middle] + 1e-9), 1)[0])
    assert -1.6 < np.mean(slopes) < -0.7
