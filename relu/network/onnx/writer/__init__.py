"""Torch modules as ONNX files (the extra `onnx`)."""

from relu.network.onnx.writer.file import INPUT, OUTPUT
from relu.network.onnx.writer.writer import write_onnx

__all__ = ["INPUT", "OUTPUT", "write_onnx"]
