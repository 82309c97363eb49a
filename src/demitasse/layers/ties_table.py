"""The table of ties: one row per type of layer."""

from __future__ import annotations

from demitasse.layers import ties_fixed as fixed
from demitasse.layers import ties_pointwise as pointwise
from demitasse.layers import ties_rearrange as rearrange
from demitasse.layers import ties_weighted as weighted
from demitasse.layers.tying import Rule

__all__ = ["TIES", "tie_rule"]

TIES: dict[str, Rule] = {
    # BVLC Caffe 1.0
    "AbsVal": pointwise.same,
    "Accuracy": fixed.reads,
    "ArgMax": fixed.reads,
    "BNLL": pointwise.same,
    "BatchNorm": pointwise.batch_norm,
    "BatchReindex": pointwise.with_indices,
    "Bias": pointwise.scale,
    "Clip": pointwise.same,
    "Concat": rearrange.concat,
    "ContrastiveLoss": fixed.reads,
    "Convolution": weighted.convolution,
    "Crop": rearrange.crop,
    "Data": fixed.source,
    "Deconvolution": weighted.deconvolution,
    "Dropout": pointwise.same,
    "DummyData": fixed.source,
    "ELU": pointwise.same,
    "Eltwise": pointwise.branches,
    "Embed": weighted.embed,
    "EuclideanLoss": fixed.reads,
    "Exp": pointwise.same,
    "Filter": rearrange.filter_rows,
    "Flatten": rearrange.reshape,
    "HDF5Data": fixed.source,
    "HDF5Output": fixed.reads,
    "HingeLoss": fixed.reads,
    "Im2col": rearrange.im2col,
    "ImageData": fixed.source,
    "InfogainLoss": fixed.reads,
    "InnerProduct": weighted.inner_product,
    "Input": fixed.source,
    "LRN": pointwise.local_response,
    "LSTM": weighted.lstm,
    "LSTMUnit": fixed.reads,
    "Log": pointwise.same,
    "MVN": pointwise.mean_variance,
    "MemoryData": fixed.source,
    "MultinomialLogisticLoss": fixed.reads,
    "PReLU": pointwise.prelu,
    "Parameter": fixed.source,
    "Pooling": pointwise.channelwise,
    "Power": pointwise.same,
    "Python": fixed.opaque,
    "RNN": weighted.rnn,
    "ReLU": pointwise.same,
    "Reduction": fixed.reads,
    "Reshape": rearrange.reshape,
    "SPP": rearrange.pyramid,
    "Scale": pointwise.scale,
    "Sigmoid": pointwise.same,
    "SigmoidCrossEntropyLoss": fixed.reads,
    "Silence": pointwise.dropping,
    "Slice": rearrange.slices,
    "Softmax": pointwise.softmax,
    "SoftmaxWithLoss": fixed.reads,
    "Split": pointwise.same,
    "Swish": pointwise.same,
    "TanH": pointwise.same,
    "Threshold": pointwise.same,
    "Tile": rearrange.tile,
    "WindowData": fixed.source,
    # SSD
    "AnnotatedData": fixed.source,
    "DetectionEvaluate": fixed.reads,
    "DetectionOutput": fixed.reads,
    "MultiBoxLoss": fixed.reads,
    "Normalize": pointwise.normalize,
    "Permute": rearrange.permute,
    "PriorBox": fixed.anchors,
    # Fast and Faster R-CNN, R-FCN
    "BoxAnnotatorOHEM": fixed.reads,
    "PSROIPooling": rearrange.position_sensitive,
    "Proposal": fixed.reads,
    "ROIAlign": pointwise.with_indices,
    "ROIPooling": pointwise.with_indices,
    "SmoothL1Loss": fixed.reads,
    "SmoothL1LossOHEM": fixed.reads,
    "SoftmaxWithLossOHEM": fixed.reads,
    # Segmentation: SegNet, DeepLab, PSPNet, ENet, ICNet
    "BN": pointwise.fork_batch_norm,
    "DenseImageData": fixed.source,
    "ImageSegData": fixed.source,
    "Interp": pointwise.shape_of_second,
    "MatWrite": fixed.reads,
    "Padding": pointwise.channelwise,
    "ResizeBilinear": fixed.reads,
    "SegAccuracy": fixed.reads,
    "Upsample": pointwise.with_places,
    # MobileNet, ShuffleNet, SENet
    "Axpy": pointwise.axpy,
    "ConvolutionDepthwise": weighted.convolution,
    "DepthwiseConvolution": weighted.convolution,
    "HardSigmoid": pointwise.same,
    "HardSwish": pointwise.same,
    "Mish": pointwise.same,
    "ReLU6": pointwise.same,
    "ShuffleChannel": rearrange.shuffle,
    # YOLO
    "RegionLoss": fixed.reads,
    "Reorg": fixed.reads,
    "Yolov3": fixed.reads,
    "Yolov3DetectionOutput": fixed.reads,
    # DetectNet
    "DetectNetTransformation": fixed.reads,
    # Face recognition
    "CenterLoss": fixed.opaque,
    "MarginInnerProduct": fixed.opaque,
    # Super-resolution and others
    "BilinearInterpolate": pointwise.channelwise,
    "CConvolution": weighted.masked_convolution,
    "CInnerProduct": weighted.masked_inner_product,
    "ConvolutionRistretto": weighted.convolution,
    "CropCenter": rearrange.crop_center,
    "DeconvolutionRistretto": weighted.deconvolution,
    "FcRistretto": weighted.inner_product,
    "L1Loss": fixed.reads,
    "LRNRistretto": pointwise.local_response,
    "MaxUnPool": pointwise.with_places,
    "Pad": pointwise.channelwise,
    "PixelShuffle": rearrange.pixel_shuffle,
    "Resize": pointwise.channelwise,
    "Unsqueeze": rearrange.unsqueeze,
}


def tie_rule(name: str) -> Rule:
    """The rule of a type; that of opaque layers for one that is not in the table."""
    return TIES.get(name, fixed.opaque)
