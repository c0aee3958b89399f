"""ONNX files as torch modules (the extra `onnx`)."""

from relu.network.onnx.network import OnnxNetwork
from relu.network.onnx.reader import read_onnx

__all__ = ["OnnxNetwork", "read_onnx"]
