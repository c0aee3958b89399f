"""The windows of convolutions and poolings, as attributes say them."""

from collections.abc import Sequence
from dataclasses import dataclass

from relu.network.onnx.call import Call
from relu.network.onnx.limits import shown

LARGEST_SIDE = 2**20  # of kernels, strides, paddings

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Of convolutions and poolings, by height and width. begin, end: the padding on both sides."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    begin: Pair
    end: Pair
    beyond: Pair = (0, 0)
    """how far the last window reaches over the padding"""

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Left, right, top, bottom."""
        return self.begin[1], self.end[1], self.begin[0], self.end[0]

    @property
    def larger_kernel(self) -> Pair:
        """The kernel, were its padding alike on both sides."""
        height, width = (
            k + abs(a - b) for k, a, b in zip(self.kernel, self.begin, self.end, strict=True)
        )
        return height, width


def window_of(call: Call, sides: Sequence[int], kernel: Sequence[int]) -> Window:
    """The attributes of a window on an image of these sides. Raises InputError where they lie."""
    axes = len(kernel)
    dilations = _sides(call, "dilations", axes, 1, 1)
    strides = _sides(call, "strides", axes, 1, 1)
    pads = _sides(call, "pads", 2 * axes, 0, 0)
    if min(kernel) < 1 or max(kernel) > LARGEST_SIDE:
        raise call.error(f"has a kernel of {list(kernel)[:8]}")
    reaches = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    kind = call.text("auto_pad", "NOTSET") or "NOTSET"
    if kind != "NOTSET" and any(pads):
        raise call.error(f"has pads beside auto_pad {shown(kind)}")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(sides, reaches, strides, upper=kind == "SAME_UPPER")
    elif kind not in ("NOTSET", "VALID"):
        raise call.error(f"has auto_pad {shown(kind)}, which is not known")
    begin, end = pads[:axes], pads[axes:]
    beyond = (0,) * axes
    if call.integer("ceil_mode", 0):
        beyond = tuple(map(_beyond, sides, reaches, strides, begin, end))
    window = [_pair(part, 1) for part in (kernel, strides, dilations)]
    return Window(*window, *(_pair(part, 0) for part in (begin, end, beyond)))


def _sides(call: Call, name: str, count: int, default: int, least: int) -> tuple[int, ...]:
    values = call.integers(name)
    values = (default,) * count if values is None else values
    if len(values) != count or min(values) < least or max(values) > LARGEST_SIDE:
        raise call.error(f"has {name} {list(values)[:8]}, expected {count} of at least {least}")
    return values


def _same(
    sides: Sequence[int], reaches: Sequence[int], strides: Sequence[int], *, upper: bool
) -> tuple[int, ...]:
    """Padding with which there is a window for each stride; an odd one is behind, or before."""
    totals = [
        max((-(-side // stride) - 1) * stride + reach - side, 0)
        for side, reach, stride in zip(sides, reaches, strides, strict=False)
    ]
    less = [total // 2 for total in totals]
    more = [total - total // 2 for total in totals]
    return (*less, *more) if upper else (*more, *less)


def _beyond(side: int, reach: int, stride: int, begin: int, end: int) -> int:
    """How far the last window reaches where their number is rounded up.

    It must begin in the image, or before.
    """
    count = -(-(side + begin + end - reach) // stride) + 1
    if (count - 1) * stride >= side + begin:
        count -= 1
    return max((count - 1) * stride + reach - side - begin - end, 0)


def _pair(values: Sequence[int], other: int) -> Pair:
    return (values[0], values[1]) if len(values) == 2 else (values[0], other)
