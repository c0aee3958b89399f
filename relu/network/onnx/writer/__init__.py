"""Torch modules as ONNX files (the extra `onnx`)."""

from relu.network.onnx.writer.writer import write_onnx

__all__ = ["write_onnx"]
