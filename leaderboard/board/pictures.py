"""Images as PNG: an input, the adversarial input, and what was changed."""

import io

import torch
from jaxtyping import Float
from torch import Tensor

from relu.errors import InputError

MIDDLE = 128  # the grey of a pixel that was not changed
HEIGHT = 224  # pixels of a picture in a file, at least
GAP = 8  # pixels between two of them
PAPER = 255


def png(pixels: Float[Tensor, "c h w"]) -> bytes:
    """Pixels of 1 or 3 channels, from 0 to 255, as a PNG."""
    from PIL import Image

    array = pixels.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def difference(
    x: Float[Tensor, "c h w"], witness: Float[Tensor, "c h w"]
) -> Float[Tensor, "c h w"]:
    """What was changed, from 0 to 255: MIDDLE is nothing, 127 more or less the largest change."""
    moved = witness.double() - x.double()
    scale = float(moved.abs().max())
    return MIDDLE + (moved * (127 / scale if scale else 0.0)).round()


def triptych(x: Float[Tensor, "c h w"], witness: Float[Tensor, "c h w"] | None) -> bytes:
    """The input, the adversarial input and the difference side by side, enlarged, as a PNG.

    Without a witness the input alone. Raises InputError for inputs that are no images.
    """
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise InputError(f"inputs of shape {tuple(x.shape)} are no images: there is no picture")
    parts = [(x.double() * 255).round()]
    if witness is not None:
        parts += [(witness.double() * 255).round(), difference(x, witness)]
    factor = max(1, -(-HEIGHT // x.shape[1]))
    large = [part.repeat_interleave(factor, 1).repeat_interleave(factor, 2) for part in parts]
    gap = torch.full((x.shape[0], large[0].shape[1], GAP), float(PAPER), dtype=torch.float64)
    row = [large[0]]
    for part in large[1:]:
        row += [gap, part]
    return png(torch.cat(row, 2))
