"""Networks as ONNX models: one function per type of layer, `demitasse.onnx.table.TABLE` lists them."""

from demitasse.onnx.export import EXTERNAL_ABOVE, OPSET, Exported, export

__all__ = ["EXTERNAL_ABOVE", "OPSET", "Exported", "export"]
