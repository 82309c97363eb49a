"""AlexNet, VGG16, a ResNet of 50 layers and LeNet as one writes them with ``torch.nn``, with the weights of a `Net`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from demitasse.net import Net


def alexnet(net: Net) -> nn.Module:
    def response() -> nn.Module:
        return nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    features = [nn.Conv2d(3, 96, 11, 4), nn.ReLU(True), response(), pool()]
    features += [nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True), response(), pool()]
    features += [nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(True)]
    features += [nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(True)]
    features += [nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(True), pool()]
    return with_weights(nn.Sequential(*features, *classifier(256 * 6 * 6)), net)


def vgg16(net: Net) -> nn.Module:
    features: list[nn.Module] = []
    channels = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            features += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(True)]
            channels = width
        features.append(nn.MaxPool2d(2, 2))
    return with_weights(nn.Sequential(*features, *classifier(512 * 7 * 7)), net)


def classifier(inputs: int) -> list[nn.Module]:
    hidden = [nn.Linear(inputs, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout()]
    return [nn.Flatten(), *hidden, nn.Linear(4096, 1000), nn.Softmax(1)]


def lenet(net: Net) -> nn.Module:
    layers = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2, 2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2, 2)]
    return with_weights(
        nn.Sequential(*layers, nn.Flatten(), nn.Linear(800, 500), nn.ReLU(True), nn.Linear(500, 10)), net
    )


class Unit(nn.Sequential):
    """Convolution, batch normalisation with its scale, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2)
        super().__init__(convolution, nn.BatchNorm2d(outputs), *([nn.ReLU(True)] if relu else []))


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int, stride: int, project: bool) -> None:
        super().__init__()
        self.shortcut = Unit(inputs, outputs, 1, stride, relu=False) if project else nn.Identity()
        self.branch = nn.Sequential(
            Unit(inputs, width, 1, stride), Unit(width, width, 3), Unit(width, outputs, 1, relu=False)
        )
        self.relu = nn.ReLU(True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.shortcut(x) + self.branch(x))


def resnet50_1by2(net: Net) -> nn.Module:
    """Yahoo's open_nsfw: ResNet-50 with half as many channels."""
    layers: list[nn.Module] = [Unit(3, 64, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True)]
    channels = 64
    for stage, (width, depth) in enumerate(((32, 3), (64, 4), (128, 6), (256, 3))):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(channels, width, 4 * width, stride, project=not block))
            channels = 4 * width
    tail = [nn.AvgPool2d(7, 1), nn.Flatten(), nn.Linear(channels, 2), nn.Softmax(1)]
    return with_weights(nn.Sequential(*layers, *tail), net)


def with_weights(module: nn.Module, net: Net) -> nn.Module:
    """The module with a network's weights, which follow in the same order. Caffe's Scale is BatchNorm's own here."""
    blobs = iter([layer for layer in net.layers if layer.tensors])
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                copy((part.weight, part.bias), next_tensors(blobs))
            elif isinstance(part, nn.BatchNorm2d):
                mean, variance, factor = next_tensors(blobs)
                copy((part.running_mean, part.running_var), (mean / factor, variance / factor))
                copy((part.weight, part.bias), next_tensors(blobs))
    return module.eval()


def next_tensors(blobs: Iterator[object]) -> list[torch.Tensor]:
    return [torch.from_numpy(tensor.array().copy()).float() for tensor in next(blobs).tensors]


def copy(targets: tuple[torch.Tensor, ...], values: object) -> None:
    for target, value in zip(targets, values, strict=True):
        target.copy_(value.reshape(target.shape))
