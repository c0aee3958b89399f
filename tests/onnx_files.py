"""Small networks, as torch has them and as ONNX files."""

from pathlib import Path

import torch
from torch import nn


def tiny_net(seed: int, inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer with weights of a normal distribution, in evaluation mode."""
    draw = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
    return net.requires_grad_(False).eval()


def save_onnx(net: nn.Sequential, file: Path) -> None:
    """A chain of Linear and ReLU as an ONNX file with one input and one output."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    sizes = layers[0].in_features, layers[-1].out_features
    nodes, weights = [], []
    value = "input"
    for i, layer in enumerate(net):
        if isinstance(layer, nn.Linear):
            names = [f"weight_{i}", f"bias_{i}"]
            for name, tensor in zip(names, (layer.weight, layer.bias), strict=True):
                weights.append(numpy_helper.from_array(tensor.detach().numpy(), name))
            nodes.append(helper.make_node("Gemm", [value, *names], [f"value_{i}"], transB=1))
        else:
            nodes.append(helper.make_node("Relu", [value], [f"value_{i}"]))
        value = f"value_{i}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("input", sizes[0]), (value, sizes[1]))
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(file))
