"""Networks as ONNX models: one function per type of layer, `demitasse.onnx.table.TABLE` lists them."""

from demitasse.onnx.export import EXTERNAL_ABOVE, is_large, to_onnx
from demitasse.onnx.selection import selected
from demitasse.onnx.writer import OPSET, Exported

__all__ = ["EXTERNAL_ABOVE", "OPSET", "Exported", "is_large", "selected", "to_onnx"]
