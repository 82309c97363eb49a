"""The table of exporters: what expresses each type of layer in ONNX. What is not in it is refused by name."""

from __future__ import annotations

from typing import Final

from demitasse.onnx import (
    convolution,
    detection,
    elementwise,
    normalize,
    pooling,
    proposal,
    rearrange,
    recurrent,
    reduction,
    regions,
    resize,
    sources,
    yolo,
)
from demitasse.onnx.call import Export

__all__ = ["HALF", "MOVING", "PYTHON", "TABLE"]

TABLE: dict[str, Export] = {
    # BVLC Caffe 1.0
    "AbsVal": elementwise.absolute,
    "ArgMax": reduction.argmax,
    "BNLL": elementwise.bnll,
    "BatchNorm": normalize.batch_norm,
    "BatchReindex": rearrange.batch_reindex,
    "Bias": normalize.bias,
    "Clip": elementwise.clip,
    "Concat": rearrange.concat,
    "Convolution": convolution.convolution,
    "Crop": rearrange.crop,
    "Deconvolution": convolution.deconvolution,
    "Dropout": elementwise.dropout,
    "DummyData": sources.dummy_data,
    "ELU": elementwise.elu,
    "Eltwise": elementwise.eltwise,
    "Embed": convolution.embed,
    "Exp": elementwise.exp,
    "Filter": rearrange.filter_rows,
    "Flatten": rearrange.flatten,
    "Im2col": convolution.im2col,
    "InnerProduct": convolution.inner_product,
    "LRN": normalize.lrn,
    "LSTM": recurrent.lstm,
    "LSTMUnit": recurrent.lstm_unit,
    "Log": elementwise.log,
    "MVN": normalize.mvn,
    "PReLU": elementwise.prelu,
    "Parameter": sources.parameter,
    "Pooling": pooling.pooling,
    "Power": elementwise.power,
    "RNN": recurrent.rnn,
    "ReLU": elementwise.relu,
    "Reduction": reduction.reduction,
    "Reshape": rearrange.reshape,
    "SPP": pooling.spatial_pyramid,
    "Scale": normalize.scale,
    "Sigmoid": elementwise.sigmoid,
    "Slice": rearrange.slices,
    "Softmax": elementwise.softmax,
    "Split": elementwise.same,
    "Swish": elementwise.swish,
    "TanH": elementwise.tanh,
    "Threshold": elementwise.threshold,
    "Tile": rearrange.tile,
    # SSD
    "DetectionOutput": detection.detection_output,
    "Normalize": normalize.normalize,
    "Permute": rearrange.permute,
    "PriorBox": detection.prior_box,
    # Fast and Faster R-CNN, R-FCN
    "PSROIPooling": regions.position_sensitive_roi_pooling,
    "Proposal": proposal.proposal,
    "Python": proposal.python,
    "ROIAlign": regions.roi_align,
    "ROIPooling": regions.roi_pooling,
    # Segmentation: SegNet, DeepLab, PSPNet, ENet, ICNet
    "BN": normalize.bn,
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
    "Mish": elementwise.mish,
    "ReLU6": elementwise.relu6,
    "ShuffleChannel": rearrange.shuffle_channel,
    # YOLO
    "Reorg": rearrange.reorg,
    "Yolov3DetectionOutput": yolo.yolov3_detection_output,
    # Super-resolution and others
    "BilinearInterpolate": resize.bilinear,
    "CConvolution": convolution.convolution,
    "CInnerProduct": convolution.inner_product,
    "CropCenter": rearrange.crop_center,
    "MaxUnPool": resize.unpool,
    "Pad": resize.pad,
    "PixelShuffle": rearrange.pixel_shuffle,
    "Resize": resize.resize,
    "Unsqueeze": rearrange.unsqueeze,
}

PYTHON: Final = frozenset({"ProposalLayer"})
"""Classes of Python layers that are known."""

HALF: Final = frozenset(
    {
        *("AbsVal", "Axpy", "BN", "BatchNorm", "Bias", "CConvolution", "CInnerProduct", "Clip", "Convolution"),
        *("ConvolutionDepthwise", "Deconvolution", "DepthwiseConvolution", "ELU", "Eltwise", "HardSigmoid"),
        *("HardSwish", "InnerProduct", "Mish", "PReLU", "Pooling", "Power", "ReLU", "ReLU6", "Scale", "Sigmoid"),
        *("Softmax", "Swish", "TanH"),
    }
)
"""Types that compute in float16 where that is asked for. Others need the range or the precision of float32."""

MOVING: Final = frozenset(
    {
        *("Concat", "Crop", "CropCenter", "Dropout", "Filter", "Flatten", "Permute", "PixelShuffle", "Reorg"),
        *("Reshape", "ShuffleChannel", "Slice", "Split", "Tile", "Unsqueeze"),
    }
)
"""Types that give what they get, in the precision in which they get it."""
