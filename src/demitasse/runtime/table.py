"""The table of operations: what computes each type of layer."""

from __future__ import annotations

from collections.abc import Mapping

from demitasse.layers import LayerType
from demitasse.layers.layertype import refuse
from demitasse.layers.python import Python
from demitasse.runtime import (
    classification_loss,
    convolution,
    detection,
    detection_evaluate,
    distance_loss,
    elementwise,
    hard_examples,
    inner_product,
    measures,
    multibox,
    normalize,
    pooling,
    proposals,
    python_layers,
    rearrange,
    recurrent,
    regions,
    resize,
    ristretto,
    rows,
    sources,
    yolo,
)
from demitasse.runtime.operation import Operation

__all__ = ["OPERATIONS", "REFUSED", "operation"]

OPERATIONS: dict[str, Operation] = {
    # BVLC Caffe 1.0
    "AbsVal": elementwise.absolute,
    "Accuracy": measures.accuracy,
    "ArgMax": measures.argmax,
    "BNLL": elementwise.softplus,
    "BatchNorm": normalize.batch_norm,
    "BatchReindex": rows.batch_reindex,
    "Bias": normalize.bias,
    "Clip": elementwise.clip,
    "Concat": rearrange.concat,
    "ContrastiveLoss": distance_loss.contrastive,
    "Convolution": convolution.convolution,
    "Crop": rearrange.crop,
    "Data": sources.missing,
    "Deconvolution": convolution.deconvolution,
    "Dropout": elementwise.dropout,
    "DummyData": sources.dummy_data,
    "ELU": elementwise.elu,
    "Eltwise": elementwise.eltwise,
    "Embed": inner_product.embed,
    "EuclideanLoss": distance_loss.euclidean,
    "Exp": elementwise.exponential,
    "Filter": rows.filter_rows,
    "Flatten": rearrange.reshape,
    "HDF5Data": sources.missing,
    "HDF5Output": rows.nothing,
    "HingeLoss": classification_loss.hinge,
    "Im2col": convolution.im2col,
    "ImageData": sources.missing,
    "InfogainLoss": classification_loss.infogain,
    "InnerProduct": inner_product.inner_product,
    "Input": sources.missing,
    "LRN": normalize.local_response,
    "LSTM": recurrent.lstm,
    "LSTMUnit": recurrent.lstm_unit,
    "Log": elementwise.logarithm,
    "MVN": normalize.mean_variance,
    "MemoryData": sources.missing,
    "MultinomialLogisticLoss": classification_loss.multinomial_logistic,
    "PReLU": elementwise.prelu,
    "Parameter": sources.parameter,
    "Pooling": pooling.pooling,
    "Power": elementwise.power,
    "Python": python_layers.python_layer,
    "RNN": recurrent.rnn,
    "ReLU": elementwise.relu,
    "Reduction": measures.reduction,
    "Reshape": rearrange.reshape,
    "SPP": pooling.spatial_pyramid,
    "Scale": normalize.scale,
    "Sigmoid": elementwise.sigmoid,
    "SigmoidCrossEntropyLoss": classification_loss.sigmoid_cross_entropy,
    "Silence": rows.nothing,
    "Slice": rearrange.slices,
    "Softmax": elementwise.softmax,
    "SoftmaxWithLoss": classification_loss.softmax_loss,
    "Split": elementwise.split,
    "Swish": elementwise.swish,
    "TanH": elementwise.tanh,
    "Threshold": elementwise.threshold,
    "Tile": rearrange.tile,
    "WindowData": sources.missing,
    # SSD
    "AnnotatedData": sources.missing,
    "DetectionEvaluate": detection_evaluate.detection_evaluate,
    "DetectionOutput": detection.detection_output,
    "MultiBoxLoss": multibox.multibox_loss,
    "Normalize": normalize.normalize,
    "Permute": rearrange.permute,
    "PriorBox": detection.prior_box,
    # Fast and Faster R-CNN, R-FCN
    "BoxAnnotatorOHEM": hard_examples.box_annotator,
    "PSROIPooling": regions.position_sensitive_roi_pooling,
    "Proposal": proposals.proposal,
    "ROIAlign": regions.roi_align,
    "ROIPooling": regions.roi_pooling,
    "SmoothL1Loss": distance_loss.smooth_l1,
    "SmoothL1LossOHEM": distance_loss.smooth_l1_per_region,
    "SoftmaxWithLossOHEM": classification_loss.softmax_loss_per_region,
    # Segmentation: SegNet, DeepLab, PSPNet, ENet, ICNet
    "BN": normalize.bn,
    "DenseImageData": sources.missing,
    "ImageSegData": sources.missing,
    "Interp": resize.interp,
    "MatWrite": rows.nothing,
    "Padding": resize.padding,
    "ResizeBilinear": resize.resize_bilinear,
    "SegAccuracy": measures.segmentation_accuracy,
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
    # Face recognition
    "CenterLoss": distance_loss.center,
    "MarginInnerProduct": inner_product.margin_inner_product,
    # Super-resolution and others
    "BilinearInterpolate": resize.bilinear,
    "CConvolution": convolution.masked_convolution,
    "CInnerProduct": inner_product.masked_inner_product,
    "ConvolutionRistretto": ristretto.rounded_convolution,
    "CropCenter": rearrange.crop_center,
    "DeconvolutionRistretto": ristretto.rounded_deconvolution,
    "FcRistretto": ristretto.rounded_inner_product,
    "L1Loss": distance_loss.l1,
    "MaxUnPool": resize.unpool,
    "Pad": resize.pad,
    "PixelShuffle": rearrange.pixel_shuffle,
    "Resize": resize.resize,
    "Unsqueeze": rearrange.reshape,
}

PLUGINS = "compare and evaluate can be told how, with --plugin FILE.py"
"""Who else may know."""

REFUSED: dict[str, str] = {
    "DetectNetTransformation": "it distorts training pictures at random; deploy networks of DetectNet do without it",
    "LRNRistretto": "it rounds every step inside the normalisation, in an order that only Ristretto's GPU code tells",
    "RegionLoss": "YOLOv2's loss depends on how many pictures it has seen; networks are run without it",
    "Yolov3": "MobileNet-YOLO's training loss; networks are run without it",
}
"""Types that are known and not computed, and why."""


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
    if layer.type in REFUSED:
        refuse(layer, f"cannot be run: {REFUSED[layer.type]}; {PLUGINS}")
    if layer.type not in OPERATIONS:
        refuse(layer, f'type "{layer.type}" is not known and cannot be run; {PLUGINS}')
    return OPERATIONS[layer.type]
