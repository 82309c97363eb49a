"""The table of operations: what computes each type of layer."""

from __future__ import annotations

from collections.abc import Mapping

from demitasse.layers import LayerType
from demitasse.layers.layertype import refuse
from demitasse.layers.python import Python
from demitasse.runtime import (
    convolution,
    elementwise,
    inner_product,
    normalize,
    pooling,
    rearrange,
    resize,
    sources,
)
from demitasse.runtime.operation import Operation

__all__ = ["OPERATIONS", "operation"]

OPERATIONS: dict[str, Operation] = {
    # BVLC Caffe 1.0
    "AbsVal": elementwise.absolute,
    "BNLL": elementwise.softplus,
    "BatchNorm": normalize.batch_norm,
    "Bias": normalize.bias,
    "Clip": elementwise.clip,
    "Concat": rearrange.concat,
    "Convolution": convolution.convolution,
    "Crop": rearrange.crop,
    "Data": sources.missing,
    "Deconvolution": convolution.deconvolution,
    "Dropout": elementwise.dropout,
    "DummyData": sources.dummy_data,
    "ELU": elementwise.elu,
    "Eltwise": elementwise.eltwise,
    "Embed": inner_product.embed,
    "Exp": elementwise.exponential,
    "Flatten": rearrange.reshape,
    "HDF5Data": sources.missing,
    "Im2col": convolution.im2col,
    "ImageData": sources.missing,
    "InnerProduct": inner_product.inner_product,
    "Input": sources.missing,
    "LRN": normalize.local_response,
    "Log": elementwise.logarithm,
    "MVN": normalize.mean_variance,
    "MemoryData": sources.missing,
    "PReLU": elementwise.prelu,
    "Parameter": sources.parameter,
    "Pooling": pooling.pooling,
    "Power": elementwise.power,
    "ReLU": elementwise.relu,
    "Reshape": rearrange.reshape,
    "SPP": pooling.spatial_pyramid,
    "Scale": normalize.scale,
    "Sigmoid": elementwise.sigmoid,
    "Slice": rearrange.slices,
    "Softmax": elementwise.softmax,
    "Split": elementwise.split,
    "Swish": elementwise.swish,
    "TanH": elementwise.tanh,
    "Threshold": elementwise.threshold,
    "Tile": rearrange.tile,
    "WindowData": sources.missing,
    # SSD
    "AnnotatedData": sources.missing,
    "Normalize": normalize.normalize,
    "Permute": rearrange.permute,
    # Fast and Faster R-CNN, R-FCN
    # Segmentation: SegNet, DeepLab, PSPNet, ENet, ICNet
    "BN": normalize.bn,
    "DenseImageData": sources.missing,
    "ImageSegData": sources.missing,
    "Interp": resize.interp,
    "Padding": resize.padding,
    "ResizeBilinear": resize.resize_bilinear,
    "Upsample": resize.upsample,
    # MobileNet, ShuffleNet, SENet
    "Axpy": elementwise.axpy,
    "ConvolutionDepthwise": convolution.convolution,
    "DepthwiseConvolution": convolution.convolution,
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": elementwise.hard_swish,
    "ReLU6": elementwise.relu6,
    "ShuffleChannel": rearrange.shuffle_channel,
    # YOLO
    "Reorg": rearrange.reorg,
    # Face recognition
    "MarginInnerProduct": inner_product.margin_inner_product,
    # Super-resolution and others
    "BilinearInterpolate": resize.bilinear,
    "CConvolution": convolution.masked_convolution,
    "CInnerProduct": inner_product.masked_inner_product,
    "CropCenter": rearrange.crop_center,
    "MaxUnPool": resize.unpool,
    "Pad": resize.pad,
    "PixelShuffle": rearrange.pixel_shuffle,
    "Resize": resize.resize,
    "Unsqueeze": rearrange.reshape,
}


def operation(placed: LayerType, plugins: Mapping[str, Operation]) -> Operation:
    """What computes a layer: a plugin for its type, or for its class (``module.Class`` or ``Class``) if it is a Python
    layer, else our own. NetError for a type that neither knows."""
    layer = placed.layer
    names = [layer.type]
    if isinstance(placed, Python):
        module, kind = placed.kind
        names = [f"{module}.{kind}", kind, layer.type]
    for name in names:
        if name in plugins:
            return plugins[name]
    if layer.type not in OPERATIONS:
        refuse(layer, f'type "{layer.type}" is not known and cannot be run; a file named with --plugin can supply it')
    return OPERATIONS[layer.type]
