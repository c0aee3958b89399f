"""A network's outputs as its users compute them: in float32, by ONNX Runtime where it is there."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from relu.errors import InputError

NO_RUNTIME = (
    "onnxruntime is missing, so witnesses rest on torch's float32: pip install 'relu-bench[onnx]'"
)

Runtime = Callable[[Float[Tensor, " *shape"]], Float[Tensor, " k"]]
"""the outputs of one input, both in float32"""


def onnx_runtime(content: bytes) -> Runtime | None:
    """ONNX Runtime on the CPU, with one thread; None where the library is missing. InputError."""
    try:
        import onnxruntime
    except ImportError:
        return None
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(
            content, settings, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the library has a class of its own for each reason
        raise InputError(f"ONNX Runtime refuses the network: {_line(error)}") from error
    initializers = {node.name for node in session.get_overridable_initializers()}
    inputs = [node for node in session.get_inputs() if node.name not in initializers]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        types = ", ".join(node.type for node in inputs)
        raise InputError(f"expected a network with one input, of type float, got {types}")
    (declared,) = inputs
    shape = [side if isinstance(side, int) else 1 for side in declared.shape]

    def outputs(x: Float[Tensor, " *shape"]) -> Float[Tensor, " k"]:
        values = x.float().numpy().reshape(shape)
        (y, *_) = session.run(None, {declared.name: values})
        return torch.from_numpy(np.asarray(y, dtype=np.float32).ravel())

    return outputs


def torch_runtime(net: nn.Module) -> Runtime:
    """Torch in float32."""

    @torch.no_grad()
    def outputs(x: Float[Tensor, " *shape"]) -> Float[Tensor, " k"]:
        y: Tensor = net(x.float().unsqueeze(0))
        return y.flatten()

    return outputs


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
