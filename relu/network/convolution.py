"""Convolutions between flat vectors, channels last, and their transposes."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SMALL_KERNEL = 64  # entries of a transposed kernel up to which a matrix product beats torch's own

Pair = int | tuple[int, int]
"""of height and width; a number stands for both"""


def convolved(
    g: Float[Tensor, "m n_in"],
    shape: tuple[int, int, int],
    weight: Float[Tensor, "c_out c_in kh kw"],
    bias: Float[Tensor, " c_out"] | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair = 1,
    groups: int = 1,
) -> Float[Tensor, "m n_out"]:
    """The convolution of images of that shape."""
    images = channels_first(g, shape)
    z: Tensor = F.conv2d(images, weight, bias, stride, padding, dilation, groups)
    return channels_last(z)


def evenly_padded(
    weight: Float[Tensor, "c_out c_in kh kw"], widths: tuple[int, int, int, int]
) -> tuple[Float[Tensor, "c_out c_in kh2 kw2"], tuple[int, int]]:
    """A kernel and padding, alike on both sides, for one padded (left, right, top, bottom).

    Where the sides differ, zeros at the border of the kernel see what is padded too much; the
    convolution is not dilated.
    """
    left, right, top, bottom = widths
    zeros = [
        max(right - left, 0),
        max(left - right, 0),
        max(bottom - top, 0),
        max(top - bottom, 0),
    ]
    kernel = F.pad(weight, zeros) if any(zeros) else weight
    return kernel, (max(top, bottom), max(left, right))


def channels_last(images: Float[Tensor, "m c h w"]) -> Float[Tensor, "m size"]:
    """Images as vectors: the inverse of `channels_first`."""
    return images.permute(0, 2, 3, 1).flatten(1)


def channels_first(
    vectors: Float[Tensor, "m size"], shape: tuple[int, ...]
) -> Float[Tensor, "m c h w"]:
    """Vectors of channels x height x width entries as images, in torch's channels_last layout."""
    channels, height, width = shape
    return vectors.view(len(vectors), height, width, channels).permute(0, 3, 1, 2)


def conv_transposed(
    r: Float[Tensor, "m c_out h w"],
    weight: Float[Tensor, "c_out c_in k k"],
    stride: int,
    padding: int,
    size: tuple[int, int],
) -> Float[Tensor, "m c_in h2 w2"]:
    """The transpose of the convolution of images of that size (height, width).

    With few entries per kernel, all phases of the stride are one matrix product, and what is left
    are a few shifted sums: three to four times faster on a CPU than torch's own.
    """
    c_out, c_in, kernel, _ = weight.shape
    if c_in * kernel * kernel > SMALL_KERNEL or kernel % stride:
        least = [(side - 1) * stride + kernel - 2 * padding for side in r.shape[2:]]
        more = [side - reached for side, reached in zip(size, least, strict=True)]
        weight = weight.contiguous(memory_format=torch.channels_last)
        r = r.contiguous(memory_format=torch.channels_last)
        return F.conv_transpose2d(r, weight, None, stride, padding, more)
    shifts = kernel // stride
    (m, _, h, w) = r.shape
    phases = weight.view(c_out, c_in, shifts, stride, shifts, stride).permute(0, 2, 4, 3, 5, 1)
    flat = r.permute(0, 2, 3, 1).reshape(-1, c_out) @ phases.reshape(c_out, -1)
    parts = flat.view(m, h, w, shifts, shifts, stride, stride, c_in)
    total = r.new_zeros(m, h + shifts - 1, stride, w + shifts - 1, stride, c_in)
    phased = total.transpose(2, 3)
    for i in range(shifts):
        for j in range(shifts):
            phased[:, i : i + h, j : j + w].add_(parts[:, :, :, i, j])
    height = total.shape[1] * stride
    width = total.shape[3] * stride
    images = total.view(m, height, width, c_in).permute(0, 3, 1, 2)
    unseen = [0, size[1] + padding - width, 0, size[0] + padding - height]
    images = F.pad(images, [max(0, count) for count in unseen]) if max(unseen) > 0 else images
    return images[:, :, padding : padding + size[0], padding : padding + size[1]]
