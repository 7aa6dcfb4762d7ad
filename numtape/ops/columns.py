"""Convolutions: columns of the elements under each window (`unfold`), and matrix products of them.

With x the input, w the weight and g a gradient of the result, three linear ops are each other's derivatives:
`convolve(x, w)`, `spread(g, w)`, which is also the transposed convolution, and `weight_gradient(g, x)`. So derivatives of any order exist.
Each works through a plan: launches over chunks of samples, of channels or of positions, so that the columns stay small.
"""

from __future__ import annotations

import functools
from math import prod
from typing import NamedTuple

from numtape import dtypes, layout
from numtape.autograd import mode
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous
from numtape.ops.linalg import _kept
from numtape.ops.spatial import positions, three
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, empty

COLUMNS = 2 << 20  # bytes of columns made at a time: what stays in a core's cache
PARTS = 8  # how many sums of a weight's gradient grow side by side
PARTS_BYTES = 8 << 20


class Geometry(NamedTuple):
    """How a kernel lies on an image, in three dims each."""

    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple

    @property
    def plain(self) -> bool:
        """Whether the columns are the image itself."""
        return prod(self.kernel) == 1 and prod(self.stride) == 1 and not any(self.padding)


class Plan(NamedTuple):
    """Launches in order: (table, ((operand, offset in bytes), ...)); the operands are those given to `_run`, then the columns."""

    columns: Spec | None
    steps: list


def _run(plan: Plan, *tensors: Tensor) -> None:
    addresses = [t._address for t in tensors]
    if plan.columns is not None:
        columns = empty(plan.columns, "convolution")
        addresses.append(columns._address)
    for table, operands in plan.steps:
        launch(table.address, *[addresses[k] + offset for k, offset in operands])


def _product(s: Spec, m, n, k, strides, batch, c_steps, a_steps, b_steps):
    """The launch of products of (m, k) by (k, n); `strides`: of A's rows and columns, of B's, and of C's rows."""
    sizes, (c, a, b) = layout.coalesce(batch, c_steps, a_steps, b_steps)
    return pattern(s.device, "matmul_plan").table(s.dtype.code, m, n, k, list(strides), sizes, c, a, b, 0)


class _Sizes:
    """The sizes of a convolution, by the specs of its input (or gradient) and weight."""

    def __init__(self, x: Spec, w: Spec, g: Spec, geometry: Geometry, groups: int):
        self.samples, self.channels = x.shape[:2]
        self.image, self.result = three(x.shape[2:]), three(g.shape[2:])
        self.taps, self.positions, self.groups = prod(geometry.kernel), prod(self.result), groups
        self.inner, self.outer = self.channels // groups, w.shape[0] // groups  # channels of a group: of the input, of the result
        self.rows = self.inner * self.taps
        self.item = x.dtype.itemsize
        self.sample = self.channels * self.taps * self.positions  # elements of one sample's columns
        self.chunk = max(1, COLUMNS // max(self.sample * self.item, 1))  # samples at a time
        self.whole = self.sample * self.item <= COLUMNS
        self.alone = groups > 1 and self.inner == 1 and x.dtype.is_floating_point  # a channel to itself: a product has nothing to add up

    def channel_ranges(self):
        """Runs of a group's channels whose columns are few enough: (group, first, last)."""
        count = max(1, COLUMNS // (self.taps * self.positions * self.item))
        for group in range(self.groups):
            for first in range(0, self.inner, count):
                yield group, first, min(first + count, self.inner)


def _depthwise(kind: str, x: Spec, s: _Sizes, geometry: Geometry):
    """The launch of a convolution in which every channel is alone."""
    with placing(x.device):
        return pattern(x.device, "window").depthwise(kind, x.dtype.code, s.samples, s.channels, s.outer, s.image, s.result, geometry)


# ------------------------------------------------------------------------------------------------ the plans
@functools.lru_cache(1024)
def _forward_plan(x: Spec, w: Spec, g: Spec, geometry: Geometry, groups: int) -> Plan:
    """Operands: result, x, w."""
    s, steps, largest = _Sizes(x, w, g, geometry, groups), [], 0
    if s.alone:
        return Plan(None, [(_depthwise("forward", x, s, geometry), ((0, 0), (1, 0), (2, 0)))])
    L, item = s.positions, s.item
    chunk = s.samples if geometry.plain else s.chunk
    width = L if geometry.plain or s.whole else max(256, COLUMNS // (s.channels * s.taps * item))
    with placing(x.device):
        window = pattern(x.device, "window")
        for first in range(0, s.samples, chunk):
            count = min(chunk, s.samples - first)
            for start in range(0, L, width):
                n = min(width, L - start)
                source, offset = 1, first * s.channels * L * item
                if not geometry.plain:
                    source, offset = 3, 0
                    largest = max(largest, count * s.channels * s.taps * n)
                    table = window.unfold(x.dtype.code, count * s.channels, s.image, s.result, geometry, start, start + n)
                    steps.append((table, ((3, 0), (1, first * s.channels * prod(s.image) * item))))
                batch, rows = (count, groups), s.rows
                c, a, b = (groups * s.outer * L, s.outer * L), (0, s.outer * rows), (groups * rows * n, rows * n)
                product = _product(x, s.outer, n, rows, (rows, 1, n, 1, L), batch, c, a, b)
                steps.append((product, ((0, (first * groups * s.outer * L + start) * item), (2, 0), (source, offset))))
    return Plan(spec_of(x.dtype, x.device, (largest,)) if largest else None, steps)


@functools.lru_cache(1024)
def _backward_plan(g: Spec, w: Spec, x: Spec, geometry: Geometry, groups: int) -> Plan:
    """Operands: the gradient of x, g, w."""
    s, steps, largest = _Sizes(x, w, g, geometry, groups), [], 0
    if s.alone:
        return Plan(None, [(_depthwise("backward", x, s, geometry), ((0, 0), (1, 0), (2, 0)))])
    L, item, rows = s.positions, s.item, s.rows
    chunk = s.samples if geometry.plain else s.chunk
    with placing(x.device):
        window = pattern(x.device, "window")
        for first in range(0, s.samples, chunk):
            count = min(chunk, s.samples - first)
            of_g, of_x = first * groups * s.outer * L * item, first * s.channels * prod(s.image) * item
            if geometry.plain or s.whole:
                batch, steps_b = (count, groups), (groups * s.outer * L, s.outer * L)
                target = (0, of_x) if geometry.plain else (3, 0)
                table = _product(x, rows, L, s.outer, (1, rows, L, 1, L), batch, (groups * rows * L, rows * L), (0, s.outer * rows), steps_b)
                steps.append((table, (target, (2, 0), (1, of_g))))
                if not geometry.plain:
                    largest = max(largest, count * s.sample)
                    table = window.fold(x.dtype.code, count * s.channels, s.image, s.result, geometry)
                    steps.append((table, ((0, of_x), (3, 0))))
                continue
            for group, start, stop in s.channel_ranges():
                m = (stop - start) * s.taps
                largest = max(largest, m * L)
                table = _product(x, m, L, s.outer, (1, rows, L, 1, L), (), (), (), ())
                of_w = (group * s.outer * rows + start * s.taps) * item
                steps.append((table, ((3, 0), (2, of_w), (1, of_g + group * s.outer * L * item))))
                table = window.fold(x.dtype.code, stop - start, s.image, s.result, geometry)
                steps.append((table, ((0, of_x + (group * s.inner + start) * prod(s.image) * item), (3, 0))))
    return Plan(spec_of(x.dtype, x.device, (largest,)) if largest else None, steps)


@functools.lru_cache(1024)
def _weight_plan(g: Spec, x: Spec, w: Spec, geometry: Geometry, groups: int) -> tuple[int, Plan]:
    """How many sums, and the plan to make them. Operands: the sums (parts, *w.shape), g, x."""
    s, steps, largest = _Sizes(x, w, g, geometry, groups), [], 0
    if s.alone:
        return 1, Plan(None, [(_depthwise("weights", x, s, geometry), ((0, 0), (1, 0), (2, 0)))])
    L, item, rows = s.positions, s.item, s.rows
    parts = max(1, min(PARTS, s.samples, PARTS_BYTES // max(w.nbytes, 1), s.samples if geometry.plain else s.chunk))
    with placing(x.device):
        window = pattern(x.device, "window")
        for first in range(0, s.samples, parts):
            count = min(parts, s.samples - first)
            of_g, of_x = first * groups * s.outer * L * item, first * s.channels * prod(s.image) * item
            if geometry.plain or s.whole:
                source = (2, of_x) if geometry.plain else (3, 0)
                if not geometry.plain:
                    largest = max(largest, count * s.sample)
                    table = window.unfold(x.dtype.code, count * s.channels, s.image, s.result, geometry, 0, L)
                    steps.append((table, ((3, 0), (2, of_x))))
                batch, c = (count, groups), (groups * s.outer * rows, s.outer * rows)
                a, b = (groups * s.outer * L, s.outer * L), (groups * rows * L, rows * L)
                table = _product(x, s.outer, rows, L, (L, 1, 1, L, rows), batch, c, a, b)
                steps.append((window.adding(table) if first else table, ((0, 0), (1, of_g), source)))
                continue
            for group, start, stop in s.channel_ranges():
                n = (stop - start) * s.taps
                largest = max(largest, n * L)
                table = window.unfold(x.dtype.code, stop - start, s.image, s.result, geometry, 0, L)
                steps.append((table, ((3, 0), (2, of_x + (group * s.inner + start) * prod(s.image) * item))))
                table = _product(x, s.outer, n, L, (L, 1, 1, L, rows), (), (), (), ())
                of_c = (group * s.outer * rows + start * s.taps) * item
                steps.append((window.adding(table) if first else table, ((0, of_c), (1, of_g + group * s.outer * L * item), (3, 0))))
    return parts, Plan(spec_of(x.dtype, x.device, (largest,)) if largest else None, steps)


# ------------------------------------------------------------------------------------------------ the three ops
def _add_bias(out: Tensor, bias) -> None:
    if bias is not None:
        with mode.no_grad():
            out.add_(bias.detach().reshape(1, -1, *[1] * (out._spec.ndim - 2)))
        out._storage.version = 0


def _bias_gradient(g: Tensor):
    return g.sum([0, *range(2, g._spec.ndim)])


def _wide(*tensors):
    """Halves as float32, which products are computed in."""
    return tuple(None if t is None else t.float() for t in tensors)


def convolve(x: Tensor, w: Tensor, bias, geometry: Geometry, groups: int, sizes=None) -> Tensor:
    """The convolution of x (N, C, ...) by w (O, C / groups, ...); `sizes` of the result where they are not the most windows that fit."""
    if x._spec.dtype.is_half:
        return convolve(*_wide(x, w, bias), geometry, groups, sizes).to(x._spec.dtype)
    dense, weight = contiguous(x.detach()), contiguous(w.detach())
    s, nd = x._spec, x._spec.ndim - 2
    if sizes is None:
        sizes = [positions(n, *rest) for n, *rest in zip(three(s.shape[2:]), *geometry)][3 - nd :]
    out = empty(spec_of(s.dtype, s.device, (s.shape[0], w._spec.shape[0], *sizes)), "convolution")
    if out._spec.numel and weight._spec.numel:
        _run(_forward_plan(dense._spec, weight._spec, out._spec, geometry, groups), out, dense, weight)
    else:
        out.fill_(0)
    _add_bias(out, bias)

    def pull(node, g):
        x, w = node.unpack()
        left, right, *rest = node.inputs
        return (
            None if left is None else spread(g, w, None, geometry, groups, s.shape[2:]),
            None if right is None else weight_gradient(g, x, geometry, groups),
            *[None if edge is None else _bias_gradient(g) for edge in rest],
        )

    return recorded(out, "convolution", (x, w) if bias is None else (x, w, bias), pull, save=_kept(x, w))


def spread(g: Tensor, w: Tensor, bias, geometry: Geometry, groups: int, image) -> Tensor:
    """The adjoint of `convolve` in x: the transposed convolution of g by w, onto an image of that size."""
    if g._spec.dtype.is_half:
        return spread(*_wide(g, w, bias), geometry, groups, image).to(g._spec.dtype)
    dense, weight, s = contiguous(g.detach()), contiguous(w.detach()), g._spec
    out = empty(spec_of(s.dtype, s.device, (s.shape[0], w._spec.shape[1] * groups, *image)), "conv_transpose")
    if dense._spec.numel and weight._spec.numel:
        _run(_backward_plan(dense._spec, weight._spec, out._spec, geometry, groups), out, dense, weight)
    else:
        out.fill_(0)
    _add_bias(out, bias)

    def pull(node, gg):
        g, w = node.unpack()
        left, right, *rest = node.inputs
        return (
            None if left is None else convolve(gg, w, None, geometry, groups, s.shape[2:]),
            None if right is None else weight_gradient(g, gg, geometry, groups),
            *[None if edge is None else _bias_gradient(gg) for edge in rest],
        )

    return recorded(out, "conv_transpose", (g, w) if bias is None else (g, w, bias), pull, save=_kept(g, w))


def weight_gradient(g: Tensor, x: Tensor, geometry: Geometry, groups: int) -> Tensor:
    """The adjoint of `convolve` in w."""
    given, dense, s, sizes = contiguous(g.detach()), contiguous(x.detach()), x._spec, g._spec.shape[2:]
    spec = spec_of(s.dtype, s.device, (g._spec.shape[1], s.shape[1] // groups, *geometry.kernel[5 - s.ndim :]))
    if given._spec.numel and dense._spec.numel:
        parts, plan = _weight_plan(given._spec, dense._spec, spec, geometry, groups)
        out = empty(spec_of(s.dtype, s.device, (parts, *spec.shape)), "convolution")
        _run(plan, out, given, dense)
        with mode.no_grad():
            out = out.sum(0) if parts > 1 else out.reshape(spec.shape)
    else:
        out = empty(spec, "convolution")
        out.fill_(0)

    def pull(node, gw):
        g, x = node.unpack()
        left, right = node.inputs
        return (
            None if left is None else convolve(x, gw, None, geometry, groups, sizes),
            None if right is None else spread(g, gw, None, geometry, groups, s.shape[2:]),
        )

    return recorded(out, "conv_weight", (g, x), pull, save=_kept(g, x))


# ------------------------------------------------------------------------------------------------ columns
def columns_of(x: Tensor, geometry: Geometry) -> Tensor:
    """The columns (N, C * taps, L) of an image (N, C, H, W)."""
    s, dense = x._spec, contiguous(x.detach())
    result = [positions(n, *rest) for n, *rest in zip(three(s.shape[2:]), *geometry)]
    out = empty(spec_of(s.dtype, s.device, (s.shape[0], s.shape[1] * prod(geometry.kernel), prod(result))), "im2col")
    if out._spec.numel:
        with placing(s.device):
            code = "u8" if s.dtype is dtypes.bool else s.dtype.code
            table = pattern(s.device, "window").unfold(code, s.shape[0] * s.shape[1], three(s.shape[2:]), result, geometry, 0, prod(result))
        launch(table.address, out._address, dense._address)
    return recorded(out, "im2col", (x,), lambda n, g: (image_of(g, geometry, s.shape[2:]),))


def image_of(x: Tensor, geometry: Geometry, image) -> Tensor:
    """The sum of columns (N, C * taps, L) where they lie in an image (N, C, H, W): the adjoint of `columns_of`."""
    s, dense = x._spec, contiguous(x.detach())
    out = empty(spec_of(s.dtype, s.device, (s.shape[0], s.shape[1] // prod(geometry.kernel), *image)), "col2im")
    if out._spec.numel:
        result = [positions(n, *rest) for n, *rest in zip(three(image), *geometry)]
        with placing(s.device):
            table = pattern(s.device, "window").fold(s.dtype.code, prod(out._spec.shape[:2]), three(image), result, geometry)
        launch(table.address, out._address, dense._address)
    return recorded(out, "col2im", (x,), lambda n, g: (columns_of(g, geometry),))
