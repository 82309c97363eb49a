from demitasse import files, originals
from demitasse.report.footprint import before_and_after, footprint
from demitasse.report.stored import stored_bytes
from networks import small_classifier


def test_stored_bytes_add_up_to_the_file(tmp_path):
    paths = (tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small_classifier(*paths)
    files.save(files.load(*paths), tmp_path / "x.demi")
    found = stored_bytes(tmp_path / "x.demi")
    assert set(found) == {("conv1", 0), ("conv1", 1), ("fc", 0), ("fc", 1)}
    assert 0.8 < sum(found.values()) / (tmp_path / "x.demi").stat().st_size < 1
    originals.store(*paths, tmp_path / "y.demi")
    assert stored_bytes(tmp_path / "y.demi") is None


def test_four_numbers_before_and_after(tmp_path):
    paths = (tmp_path / "deploy.prototxt", tmp_path / "x.caffemodel")
    small_classifier(*paths)
    net = files.load(*paths)
    found = footprint(net, 80_000)
    assert (found.file_bytes, found.parameters) == (80_000, 16 * 28 + 19370)
    assert (found.macs, found.peak_memory_bytes) == (
        22 * 22 * 16 * 27 + 19360,
        4 * (found.parameters + 16 * (22 * 22 + 11 * 11)),
    )
    rows = before_and_after(found, footprint(net, 10_000))
    assert rows[0] == ["file", "80 KB", "10 KB", "8.0×"]
    assert [row[0] for row in rows] == ["file", "parameters", "MACs", "peak memory"]
    assert [row[3] for row in rows[1:]] == ["", "", ""]
