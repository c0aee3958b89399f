"""torchvision's data sets, also beside a torch without CUDA."""

import importlib
from types import ModuleType

import torch

# torchvision's registry wheel is linked against CUDA. Beside a CPU build of torch its compiled
# operators do not load, and its import then fails because it annotates two operators that do not
# exist. Declaring their schemas is enough: the data sets never call them.
_SCHEMAS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def datasets() -> ModuleType:
    """The module torchvision.datasets."""
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for name, schema in _SCHEMAS.items():
        torch.library.define(name, schema)
    return importlib.import_module("torchvision.datasets")
