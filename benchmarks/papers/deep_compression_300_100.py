"""LeNet-300-100 by Deep Compression's own pipeline (Han et al., arXiv 1510.00149, table 1).

python -m benchmarks.papers.deep_compression_300_100
"""

from benchmarks.papers.deep_compression import Pipeline, compressed
from benchmarks.papers.reproduction import Row, reproduce

PLAN = Pipeline(
    network="lenet_300_100",
    batch=128,
    epochs=50,
    rate=0.1,
    decay=0.0001,
    dropout={"data": 0.2, "ip1": 0.3, "ip2": 0.1},
    densities=[{"ip1": 0.25, "ip2": 0.3, "ip3": 0.6}, {"ip1": 0.1, "ip2": 0.13, "ip3": 0.5}],
    retrained=20,
    again=0.5,
    values={"*": 16, "ip3": 32},
    tuned=5,
    finely=0.002,
)

ROWS = [
    Row("LeNet-300-100", 4 * 266_610, {"error, %": 1.58, "bytes": 27_000, "ratio": 40.0}, PLAN),
]

if __name__ == "__main__":
    reproduce("deep_compression_300_100", "LeNet-300-100, Deep Compression's own pipeline", ROWS, compressed)
