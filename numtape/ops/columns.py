"""Convolutions, and columns of the elements under each window (im2col, col2im).

With x the input, w the weight and g a gradient of the result, three linear ops are each other's derivatives:
`convolve(x, w)`, `spread(g, w)`, which is also the transposed convolution, and `weight_gradient(g, x)`. So derivatives of any order exist.
A convolution by 1 x 1 is a matrix product; all others read windows from images that are laid out for them (`laid`).
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
from numtape.ops import laid
from numtape.ops.copy import contiguous
from numtape.ops.linalg import _kept
from numtape.ops.spatial import positions, three
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, empty


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


def _product(s: Spec, m, n, k, strides, batch, c_steps, a_steps, b_steps):
    """The launch of products of (m, k) by (k, n); `strides`: of A's rows and columns, of B's, and of C's rows."""
    sizes, (c, a, b) = layout.coalesce(batch, c_steps, a_steps, b_steps)
    return pattern(s.device, "matmul_plan").table(s.dtype.code, m, n, k, list(strides), sizes, c, a, b, 0)


@functools.lru_cache(1024)
def _depthwise_weights(x: Spec, w: Spec, g: Spec, geometry: Geometry):
    """The launch for the weights of a convolution in which every channel is alone."""
    samples, channels = x.shape[:2]
    with placing(x.device):
        window, multiplier = pattern(x.device, "window"), w.shape[0] // channels
        return window.depthwise_weights(x.dtype.code, samples, channels, multiplier, three(x.shape[2:]), three(g.shape[2:]), geometry)


def _alone(x: Spec, groups: int) -> bool:
    return groups > 1 and x.shape[1] == groups and x.dtype.is_floating_point


@functools.lru_cache(1024)
def _plain(kind: str, x: Spec, w: Spec, g: Spec, groups: int):
    """The launch of a convolution whose windows are the elements: products of each sample and group."""
    samples, channels = x.shape[:2]
    L, inner, outer = prod(g.shape[2:]), channels // groups, w.shape[0] // groups
    batch, of_x, of_g, of_w = (samples, groups), (channels * L, inner * L), (groups * outer * L, outer * L), (0, outer * inner)
    with placing(x.device):
        if kind == "forward":
            return _product(x, outer, L, inner, (inner, 1, L, 1, L), batch, of_g, of_w, of_x)
        return _product(x, inner, L, outer, (1, inner, L, 1, L), batch, of_x, of_w, of_g)


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
        if geometry.plain:
            launch(_plain("forward", dense._spec, weight._spec, out._spec, groups).address, out._address, weight._address, dense._address)
        else:
            kernel, stride, padding, dilation = geometry
            laid.run(laid.forward_plan(dense._spec, out._spec, kernel, stride, padding, dilation, groups), out, dense, weight)
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
        if geometry.plain:
            launch(_plain("backward", out._spec, weight._spec, dense._spec, groups).address, out._address, weight._address, dense._address)
        else:
            with mode.no_grad():
                laid.spread_into(out, dense, weight, geometry, groups)
            out._storage.version = 0
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


def _weight_sums(g: Tensor, x: Tensor, spec: Spec, geometry: Geometry, groups: int) -> Tensor:
    """The gradient of a weight; what stands for several samples is added up last."""
    if _alone(x._spec, groups):
        out = empty(spec, "convolution")
        launch(_depthwise_weights(x._spec, spec, g._spec, geometry).address, out._address, g._address, x._address)
        return out
    with mode.no_grad():
        kernel, stride, padding, dilation = geometry
        parts, plan = laid.weight_plan(g._spec, x._spec, kernel, stride, padding, dilation, groups)
        rows, outer = prod(spec.shape[1:]), spec.shape[0] // groups
        out = empty(spec_of(spec.dtype, spec.device, (parts, groups, rows, outer)), "convolution")
        laid.run(plan, out, g, x)
        return contiguous((out.sum(0) if parts > 1 else out[0]).transpose(1, 2)).reshape(spec.shape)


def weight_gradient(g: Tensor, x: Tensor, geometry: Geometry, groups: int) -> Tensor:
    """The adjoint of `convolve` in w."""
    given, dense, s, sizes = contiguous(g.detach()), contiguous(x.detach()), x._spec, g._spec.shape[2:]
    spec = spec_of(s.dtype, s.device, (g._spec.shape[1], s.shape[1] // groups, *geometry.kernel[5 - s.ndim :]))
    if given._spec.numel and dense._spec.numel:
        out = _weight_sums(given, dense, spec, geometry, groups)
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
