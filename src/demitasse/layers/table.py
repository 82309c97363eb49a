"""The table of layer types: one row per type, everything about a type in its class."""

from __future__ import annotations

from demitasse.layers.convolution import Convolution, Deconvolution, DepthwiseByChannels, Im2col, MaskedConvolution
from demitasse.layers.data import (
    AnnotatedData,
    Data,
    DenseImageData,
    DummyData,
    HDF5Data,
    ImageData,
    Input,
    MemoryData,
    Parameter,
    SegmentationData,
    WindowData,
)
from demitasse.layers.detection import Boxes, DetectionEvaluate, DetectionOutput, MultiBoxLoss, PriorBox, Proposal
from demitasse.layers.elementwise import AbsVal, Axpy, Dropout, Eltwise, Logarithmic, Neuron, PReLU, Softmax, Split
from demitasse.layers.inner_product import Embed, InnerProduct, MarginInnerProduct, MaskedInnerProduct
from demitasse.layers.layertype import LayerType
from demitasse.layers.loss import (
    Accuracy,
    ArgMax,
    BoxAnnotator,
    CenterLoss,
    ContrastiveLoss,
    CountLoss,
    EuclideanLoss,
    InfogainLoss,
    Loss,
    MultinomialLogisticLoss,
    PairLoss,
    Reduction,
    SegAccuracy,
    Sink,
    SmoothL1Loss,
    SmoothL1LossPerRegion,
    SoftmaxWithLoss,
    SoftmaxWithLossPerRegion,
)
from demitasse.layers.normalize import BN, LRN, MVN, BatchNorm, Bias, Normalize, Scale
from demitasse.layers.opaque import Opaque
from demitasse.layers.pooling import Pooling, PositionSensitiveROIPooling, ROIAlign, ROIPooling, SpatialPyramidPooling
from demitasse.layers.python import Python
from demitasse.layers.recurrent import LSTM, RNN, LSTMUnit
from demitasse.layers.resize import (
    BilinearInterpolate,
    Interp,
    MaxUnPool,
    Pad,
    Padding,
    Resize,
    ResizeBilinear,
    Upsample,
)
from demitasse.layers.shape import (
    BatchReindex,
    Concat,
    Crop,
    CropCenter,
    Filter,
    Flatten,
    Permute,
    PixelShuffle,
    Reorg,
    Reshape,
    ShuffleChannel,
    Silence,
    Slice,
    Tile,
    Unsqueeze,
)

__all__ = ["LAYERS", "layer_type"]

LAYERS: dict[str, type[LayerType]] = {
    # BVLC Caffe 1.0
    "AbsVal": AbsVal,
    "Accuracy": Accuracy,
    "ArgMax": ArgMax,
    "BNLL": Neuron,
    "BatchNorm": BatchNorm,
    "BatchReindex": BatchReindex,
    "Bias": Bias,
    "Clip": Neuron,
    "Concat": Concat,
    "ContrastiveLoss": ContrastiveLoss,
    "Convolution": Convolution,
    "Crop": Crop,
    "Data": Data,
    "Deconvolution": Deconvolution,
    "Dropout": Dropout,
    "DummyData": DummyData,
    "ELU": Neuron,
    "Eltwise": Eltwise,
    "Embed": Embed,
    "EuclideanLoss": EuclideanLoss,
    "Exp": Logarithmic,
    "Filter": Filter,
    "Flatten": Flatten,
    "HDF5Data": HDF5Data,
    "HDF5Output": Sink,
    "HingeLoss": PairLoss,
    "Im2col": Im2col,
    "ImageData": ImageData,
    "InfogainLoss": InfogainLoss,
    "InnerProduct": InnerProduct,
    "Input": Input,
    "LRN": LRN,
    "LSTM": LSTM,
    "LSTMUnit": LSTMUnit,
    "Log": Logarithmic,
    "MVN": MVN,
    "MemoryData": MemoryData,
    "MultinomialLogisticLoss": MultinomialLogisticLoss,
    "PReLU": PReLU,
    "Parameter": Parameter,
    "Pooling": Pooling,
    "Power": Neuron,
    "Python": Python,
    "RNN": RNN,
    "ReLU": Neuron,
    "Reduction": Reduction,
    "Reshape": Reshape,
    "SPP": SpatialPyramidPooling,
    "Scale": Scale,
    "Sigmoid": Neuron,
    "SigmoidCrossEntropyLoss": CountLoss,
    "Silence": Silence,
    "Slice": Slice,
    "Softmax": Softmax,
    "SoftmaxWithLoss": SoftmaxWithLoss,
    "Split": Split,
    "Swish": Neuron,
    "TanH": Neuron,
    "Threshold": Neuron,
    "Tile": Tile,
    "WindowData": WindowData,
    # SSD
    "AnnotatedData": AnnotatedData,
    "DetectionEvaluate": DetectionEvaluate,
    "DetectionOutput": DetectionOutput,
    "MultiBoxLoss": MultiBoxLoss,
    "Normalize": Normalize,
    "Permute": Permute,
    "PriorBox": PriorBox,
    # Fast and Faster R-CNN, R-FCN
    "BoxAnnotatorOHEM": BoxAnnotator,
    "PSROIPooling": PositionSensitiveROIPooling,
    "Proposal": Proposal,
    "ROIAlign": ROIAlign,
    "ROIPooling": ROIPooling,
    "SmoothL1Loss": SmoothL1Loss,
    "SmoothL1LossOHEM": SmoothL1LossPerRegion,
    "SoftmaxWithLossOHEM": SoftmaxWithLossPerRegion,
    # Segmentation: SegNet, DeepLab, PSPNet, ENet, ICNet
    "BN": BN,
    "DenseImageData": DenseImageData,
    "ImageSegData": SegmentationData,
    "Interp": Interp,
    "MatWrite": Sink,
    "Padding": Padding,
    "ResizeBilinear": ResizeBilinear,
    "SegAccuracy": SegAccuracy,
    "Upsample": Upsample,
    # MobileNet, ShuffleNet, SENet
    "Axpy": Axpy,
    "ConvolutionDepthwise": DepthwiseByChannels,
    "DepthwiseConvolution": Convolution,
    "HardSigmoid": Neuron,
    "HardSwish": Neuron,
    "ReLU6": Neuron,
    "ShuffleChannel": ShuffleChannel,
    # YOLO
    "RegionLoss": Loss,
    "Reorg": Reorg,
    "Yolov3": Loss,
    "Yolov3DetectionOutput": Boxes,
    # Face recognition
    "CenterLoss": CenterLoss,
    "MarginInnerProduct": MarginInnerProduct,
    # Super-resolution and others
    "BilinearInterpolate": BilinearInterpolate,
    "CConvolution": MaskedConvolution,
    "CInnerProduct": MaskedInnerProduct,
    "ConvolutionRistretto": Convolution,
    "CropCenter": CropCenter,
    "DeconvolutionRistretto": Deconvolution,
    "FcRistretto": InnerProduct,
    "L1Loss": CountLoss,
    "LRNRistretto": LRN,
    "MaxUnPool": MaxUnPool,
    "Pad": Pad,
    "PixelShuffle": PixelShuffle,
    "Resize": Resize,
    "Unsqueeze": Unsqueeze,
}


def layer_type(name: str) -> type[LayerType]:
    """The class of a type; `Opaque` for one that is not in the table."""
    return LAYERS.get(name, Opaque)
