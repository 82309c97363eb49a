import numpy as np
import pytest

from demitasse.datasets.mean import read_mean
from demitasse.errors import FileError
from networks import field, varint


def binaryproto(values: np.ndarray) -> bytes:
    """As compute_image_mean writes it: legacy dimensions, unnamed."""
    dims = b"".join(varint(n << 3) + varint(size) for n, size in enumerate((1, *values.shape), start=1))
    return dims + field(5, values.astype("<f4").tobytes())


def test_both_forms(tmp_path):
    mean = np.random.default_rng(0).uniform(0, 255, (3, 4, 5)).astype(np.float32)
    (tmp_path / "mean.binaryproto").write_bytes(binaryproto(mean))
    np.save(tmp_path / "mean.npy", mean)
    assert np.array_equal(read_mean(tmp_path / "mean.binaryproto"), mean)
    assert np.array_equal(read_mean(tmp_path / "mean.npy"), mean)


@pytest.mark.parametrize("data", [b"", b"nonsense", binaryproto(np.ones((3, 4, 5)))[:-7]])
def test_what_is_none(tmp_path, data):
    for name in ("mean.binaryproto", "mean.npy"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FileError, match=name):
            read_mean(tmp_path / name)
    with pytest.raises(FileError, match="No such file"):
        read_mean(tmp_path / "nowhere")


@pytest.mark.zoo
def test_real_ones(zoo):
    means = {path.name: read_mean(path).mean(axis=(1, 2)) for path in sorted((zoo / "data" / "mean").iterdir())}
    assert means["imagenet_mean.binaryproto"] == pytest.approx([104, 117, 123], abs=1)
    assert len(means) == 2
