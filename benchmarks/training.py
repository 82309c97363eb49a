"""Training speed: our executor with Caffe's solver beside plain PyTorch modules of the same nets, in one run.

LeNet at batch 64 and CIFAR-10 quick at batch 100, on random data in memory, so that only computing is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from demitasse.caffe.read import parse_net
from demitasse.train.settings import parse_solver
from demitasse.train.solver import Solver
from table import publish

SOLVER = (
    b'base_lr: 0.001 momentum: 0.9 weight_decay: 0.0005 lr_policy: "inv" gamma: 0.0001 power: 0.75 max_iter: 100000'
)


def conv(name: str, bottom: str, outputs: int, pad: int) -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
  convolution_param {{ num_output: {outputs} kernel_size: 5 pad: {pad} weight_filler {{ type: "xavier" }} }} }}"""


def pool(name: str, bottom: str, kind: str, size: int) -> str:
    return f"""layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}"
  pooling_param {{ pool: {kind} kernel_size: {size} stride: 2 }} }}"""


def dense(name: str, bottom: str, outputs: int) -> str:
    return f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
  inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}"""


def relu(name: str) -> str:
    return f'layer {{ name: "relu_{name}" type: "ReLU" bottom: "{name}" top: "{name}" }}'


def whole(shape: tuple[int, ...], *layers: str) -> str:
    dims = " ".join(f"dim: {size}" for size in shape)
    return "\n".join(
        (
            f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}',
            f'layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: {shape[0]} }} }} }}',
            *layers,
            'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }',
        )
    )


NETS: dict[str, tuple[tuple[int, ...], str, Callable[[], nn.Module]]] = {
    "LeNet, batch 64": (
        (64, 1, 28, 28),
        whole(
            (64, 1, 28, 28),
            conv("conv1", "data", 20, 0),
            pool("pool1", "conv1", "MAX", 2),
            conv("conv2", "pool1", 50, 0),
            pool("pool2", "conv2", "MAX", 2),
            dense("ip1", "pool2", 500),
            relu("ip1"),
            dense("ip2", "ip1", 10),
        ),
        lambda: nn.Sequential(
            nn.Conv2d(1, 20, 5),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2, 2),
            nn.Flatten(),
            nn.Linear(800, 500),
            nn.ReLU(),
            nn.Linear(500, 10),
        ),
    ),
    "CIFAR-10 quick, batch 100": (
        (100, 3, 32, 32),
        whole(
            (100, 3, 32, 32),
            conv("conv1", "data", 32, 2),
            pool("pool1", "conv1", "MAX", 3),
            relu("pool1"),
            conv("conv2", "pool1", 32, 2),
            relu("conv2"),
            pool("pool2", "conv2", "AVE", 3),
            conv("conv3", "pool2", 64, 2),
            relu("conv3"),
            pool("pool3", "conv3", "AVE", 3),
            dense("ip1", "pool3", 64),
            dense("ip2", "ip1", 10),
        ),
        lambda: nn.Sequential(
            nn.Conv2d(3, 32, 5, padding=2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.ReLU(),
            nn.Conv2d(32, 32, 5, padding=2),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(32, 64, 5, padding=2),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(1024, 64),
            nn.Linear(64, 10),
        ),
    ),
}


def plain(net: nn.Module) -> Callable[[np.ndarray, np.ndarray], None]:
    """A training step as one writes it by hand."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: (1 + 0.0001 * i) ** -0.75)

    def step(data: np.ndarray, label: np.ndarray) -> None:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(torch.from_numpy(data)), torch.from_numpy(label).long())
        loss.backward()
        optimizer.step()
        schedule.step()
        loss.item()

    return step


def ours(text: str) -> Callable[[np.ndarray, np.ndarray], None]:
    """One of Caffe's iterations."""
    solver = Solver(parse_solver(SOLVER, net=parse_net(text.encode())))
    return lambda data, label: solver.step(lambda number: {"data": data, "label": label}) and None


def seconds(step: Callable[[np.ndarray, np.ndarray], None], data: np.ndarray, label: np.ndarray, count: int) -> float:
    """Processor seconds of one step."""
    begun = time.process_time()
    for _ in range(count):
        step(data, label)
    return (time.process_time() - begun) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    random = np.random.default_rng(0)
    rows = []
    for name, (shape, text, module) in NETS.items():
        data = random.standard_normal(shape, np.float32)
        label = random.integers(0, 10, shape[0]).astype(np.float32)
        steps = {"demitasse": ours(text), "plain PyTorch": plain(module())}
        best = {kind: float("inf") for kind in steps}
        for _ in range(options.rounds):  # In turns, so that what else the machine does touches both.
            for kind, step in steps.items():
                best[kind] = min(best[kind], seconds(step, data, label, options.steps))
        times = {f"{kind}, ms": 1000 * value for kind, value in best.items()}
        rows.append({"net": name, **times, "ratio": best["demitasse"] / best["plain PyTorch"]})
    title = f"One training step, processor time, {options.threads} thread(s)"
    publish("training", title, rows, {"largest ratio": max(row["ratio"] for row in rows)})


if __name__ == "__main__":
    main()
