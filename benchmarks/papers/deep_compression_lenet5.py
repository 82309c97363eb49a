"""LeNet-5 (Caffe's, 20-50-500) by Deep Compression's own pipeline (Han et al., arXiv 1510.00149, table 1).

python -m benchmarks.papers.deep_compression_lenet5
"""

from benchmarks.papers.deep_compression import Pipeline, compressed
from benchmarks.papers.reproduction import Row, reproduce

PLAN = Pipeline(
    network="lenet5",
    batch=64,
    epochs=18,
    rate=0.03,
    decay=0.0005,
    dropout={"pool2": 0.2, "ip1": 0.5},
    densities=[
        {"conv1": 0.8, "conv2": 0.3, "ip1": 0.2, "ip2": 0.5},
        {"conv1": 0.66, "conv2": 0.14, "ip1": 0.08, "ip2": 0.25},
    ],
    retrained=9,
    again=0.5,
    values={"*": 16, "conv*": 32},
    tuned=3,
    finely=0.002,
)

ROWS = [
    Row("LeNet-5", 4 * 431_080, {"error, %": 0.74, "bytes": 44_000, "ratio": 39.0}, PLAN),
]

if __name__ == "__main__":
    reproduce("deep_compression_lenet5", "LeNet-5, Deep Compression's own pipeline", ROWS, compressed)
