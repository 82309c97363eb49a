import pytest

from demitasse import files
from demitasse.cli import main
from demitasse.deep_compression import import_net
from demitasse.errors import NetError, WeightsError
from demitasse.evaluate.weights import identical
from networks import CLASSIFIER

UNKNOWN = CLASSIFIER.replace('"Convolution"', '"HomeMade"')
NORMALISED = CLASSIFIER + 'layer { name: "bn" type: "BatchNorm" bottom: "fc" top: "bn" }\n'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (UNKNOWN, NetError, "conv1"),
        (NORMALISED, NetError, "3 blobs"),
        (CLASSIFIER, WeightsError, "x.net"),
    ],
)
def test_what_cannot_be_imported_is_said(tmp_path, text, error, message):
    (tmp_path / "deploy.prototxt").write_text(text)
    (tmp_path / "x.net").write_bytes(b"\1\0\0\0")
    with pytest.raises(error, match=message):
        import_net(tmp_path / "deploy.prototxt", tmp_path / "x.net")


@pytest.mark.zoo
@pytest.mark.parametrize("form", ["x.demi", "out/"])
def test_the_published_squeezenet_comes_out_to_the_bit(zoo, tmp_path, monkeypatch, form):
    folder = zoo / "models" / "squeezenet_deep_compression"
    monkeypatch.chdir(tmp_path)
    published = [str(folder / "deploy.prototxt"), str(folder / "compressed_SqueezeNet.net")]
    assert main(["import-net", *published, "-o", form, "-q"]) == 0
    written = ["x.demi"] if form == "x.demi" else [str(path) for path in sorted((tmp_path / "out").iterdir())][::-1]
    reference = files.load(folder / "deploy.prototxt", folder / "squeezenet_deep_compression.caffemodel")
    assert identical(reference, files.load(*written))
