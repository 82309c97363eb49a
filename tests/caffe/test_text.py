import time

import pytest

from demitasse.caffe.text import dump, parse


@pytest.mark.zoo
def test_every_file_of_the_zoo_comes_back_byte_for_byte(zoo):
    files = sorted(zoo.rglob("*.prototxt"))
    assert len(files) > 100
    changed = [file.name for file in files if dump(parse(file.read_bytes(), file.name)) != file.read_bytes()]
    assert changed == []


@pytest.mark.zoo
def test_a_megabyte_is_read_in_a_moment(zoo):
    # 0.1 s where this was written; the limit leaves room for slow machines
    data = (zoo / "prototxt" / "intel_resnet50_int8.prototxt").read_bytes()
    times = []
    for _ in range(3):
        start = time.process_time()
        parse(data)
        times.append(time.process_time() - start)
    assert min(times) / len(data) <= 0.3 / 1e6
