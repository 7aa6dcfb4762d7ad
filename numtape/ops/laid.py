"""The plans of convolutions whose kernels read images that are laid out for them (`kernels/cpu/convolution_plan.py`).

The gradient of an image is a convolution of the result's gradient by the turned weight. With a stride it is one for each phase of the
image, that is for the elements p, p + stride, p + 2 stride, ... of a dim, each by the taps that meet it.
"""

from __future__ import annotations

import functools
from itertools import product
from math import gcd, prod
from typing import NamedTuple

from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous
from numtape.ops.spatial import three
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, empty

LAID = 2 << 20  # bytes of images that are laid out at a time: what stays in the caches
PARTS = 8  # how many sums of a weight's gradient grow side by side, where one has too few rows to share among threads


class Plan(NamedTuple):
    """The laid out images, and launches in order: (table, ((operand, offset in bytes), ...)); the last operand are the laid out images."""

    laid: Spec
    steps: list


def run(plan: Plan, *tensors: Tensor) -> None:
    addresses = [t._address for t in tensors]
    laid = empty(plan.laid, "convolution")
    addresses.append(laid._address)
    for table, operands in plan.steps:
        launch(table.address, *[addresses[k] + offset for k, offset in operands])


def _chunks(samples: int, nbytes: int):
    """Runs of samples whose laid out images are few enough."""
    count = max(1, LAID // max(nbytes, 1))
    count = -(-samples // -(-samples // count))  # of even length
    return [(first, min(count, samples - first)) for first in range(0, samples, count)]


@functools.lru_cache(1024)
def forward_plan(x: Spec, out: Spec, kernel, stride, front, dilation, groups: int) -> Plan:
    """Operands: the result, x, the weight. `front`: zeros before the image, or, below zero, elements that are left out."""
    samples, channels = x.shape[:2]
    image, result, item = three(x.shape[2:]), three(out.shape[2:]), x.dtype.itemsize
    sizes = tuple(n + (k - 1) * d // s for n, k, d, s in zip(result, kernel, dilation, stride))
    elements = channels * prod(sizes) * prod(stride)
    steps, chunks = [], _chunks(samples, elements * item)
    with placing(x.device):
        plan = pattern(x.device, "convolution_plan")
        for first, count in chunks:
            table = plan.lay(x.dtype.code, count * channels, image, sizes, stride, front)
            steps.append((table, ((3, 0), (1, first * channels * prod(image) * item))))
            outer = out.shape[1] // groups
            table = plan.forward(x.dtype.code, count, groups, channels // groups, outer, result, kernel, dilation, sizes, stride)
            steps.append((table, ((0, first * out.shape[1] * prod(result) * item), (3, 0), (2, 0))))
        slack = plan.SLACK // item
    return Plan(spec_of(x.dtype, x.device, (chunks[0][1] * elements + slack,)), steps)


@functools.lru_cache(1024)
def weight_plan(g: Spec, x: Spec, kernel, stride, front, dilation, groups: int) -> tuple[int, Plan]:
    """How many sums, and the plan to make them. Operands: the sums (parts, groups, inner * taps, outer), g, x."""
    samples, channels = x.shape[:2]
    image, result, item = three(x.shape[2:]), three(g.shape[2:]), x.dtype.itemsize
    sizes = tuple(n + (k - 1) * d // s for n, k, d, s in zip(result, kernel, dilation, stride))
    elements = channels * prod(sizes) * prod(stride)
    steps, chunks = [], _chunks(samples, elements * item)
    inner, outer = channels // groups, g.shape[1] // groups
    with placing(x.device):
        plan = pattern(x.device, "convolution_plan")
        units = groups * -(-inner * prod(kernel) // plan.ROWS)
        parts = max(1, min(-(-PARTS // units), chunks[0][1]))
        for first, count in chunks:
            table = plan.lay(x.dtype.code, count * channels, image, sizes, stride, front)
            steps.append((table, ((3, 0), (2, first * channels * prod(image) * item))))
            table = plan.weights(x.dtype.code, count, parts, groups, inner, outer, result, kernel, dilation, sizes, stride, first > 0)
            steps.append((table, ((0, 0), (1, first * g.shape[1] * prod(result) * item), (3, 0))))
        slack = plan.SLACK // item
    return parts, Plan(spec_of(x.dtype, x.device, (chunks[0][1] * elements + slack,)), steps)


class Phase(NamedTuple):
    """The taps that meet phase p of a dim: the first of them and the step to the next, their number, and how the gradient lies."""

    size: int
    first: int
    step: int
    taps: int
    dilation: int
    front: int


@functools.lru_cache(1024)
def phases(image: int, kernel: int, stride: int, padding: int, dilation: int) -> list[Phase]:
    """A dim of an image of that size, phase by phase. Tap k meets element h at position (h + padding - k * dilation) / stride."""
    step = stride // gcd(stride, dilation)
    found = []
    for p in range(min(stride, image)):
        taps = [k for k in range(kernel) if (p + padding - k * dilation) % stride == 0]
        front = (taps[-1] * dilation - p - padding) // stride if taps else 0
        found.append(Phase(-(-(image - p) // stride), taps[0] if taps else 0, step, len(taps), max(dilation * step // stride, 1), front))
    return found


def spread_into(out: Tensor, g: Tensor, w: Tensor, geometry, groups: int) -> None:
    """The transposed convolution of g by w (O, C / groups, ...) into `out`; all of them contiguous."""
    kernel, stride, _, _ = geometry
    s, image = out._spec, three(out._spec.shape[2:])
    whole = prod(stride) == 1
    planes = out.reshape(*s.shape[:2], *image)
    turned = w.reshape(groups, -1, w._spec.shape[1], *kernel).flip(3, 4, 5).transpose(1, 2)  # (groups, inner, outer, taps backwards)
    for corner in product(*(enumerate(phases(*n)) for n in zip(image, *geometry))):
        here = [phase for _, phase in corner]
        target = planes if whole else planes[(..., *(slice(i, None, n) for (i, _), n in zip(corner, stride)))]
        taps = tuple(p.taps for p in here)
        if not prod(taps):
            target.fill_(0)
            continue
        last = [k - 1 - p.first - (p.taps - 1) * p.step for k, p in zip(kernel, here)]
        weight = contiguous(turned[(..., *(slice(i, None, p.step) for i, p in zip(last, here)))])
        result = planes if whole else empty(spec_of(s.dtype, s.device, (*s.shape[:2], *(p.size for p in here))), "convolution")
        run(forward_plan(g._spec, result._spec, taps, (1, 1, 1), tuple(p.front for p in here), tuple(p.dilation for p in here), groups), result, g, weight)
        if not whole:
            target.copy_(result)
