"""Pooling: the largest element, the average or the p-norm of each window of an image, and max unpooling.

The windows of a dim are three lists: where each starts, where it stops, and by how much an average divides. Sliding and
adaptive windows differ in nothing else.
"""

from __future__ import annotations

import functools
from math import prod

from numtape import dtypes
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.record import recorded, wanted
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous, tensor_of
from numtape.ops.creation import tensor
from numtape.ops.define import composite
from numtape.ops.index import _error_cell, gather, scatter_into_zeros
from numtape.ops.scan import run_lines
from numtape.ops.spatial import batched, listed, three, unbatched
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty


# ------------------------------------------------------------------------------------------------ windows
def _places(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> int:
    """How many windows a dim has; with `ceil` also one that hangs over the end, if it starts inside."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-span // stride) if ceil else span // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + padding else count


@functools.lru_cache(1024)
def _sliding(image, kernel, stride, padding, dilation, result, include_pad):
    """The table of sliding windows, as one tensor: for each dim its starts, stops and divisors; then the windows of each element of a line."""
    words: list[int] = []
    for n, k, s, p, d, count in zip(image, kernel, stride, padding, dilation, result):
        starts = [i * s - p for i in range(count)]
        stops = [min(a + d * (k - 1) + 1, n) for a in starts]
        inside = [a if a >= 0 else a % d for a in starts]
        divisors = [min(a + k, n + p) - a if include_pad else b - c for a, b, c in zip(starts, stops, inside)]
        words += inside + stops + divisors
    # For each element of a window in the innermost dim, the windows that have it inside of the image: from, before.
    n, s, count, shifts = image[2], stride[2], result[2], [t * dilation[2] - padding[2] for t in range(kernel[2])]
    low = [min(-(min(a, 0) // s), count) for a in shifts]
    words += low + [max(min(-((a - n) // s), count), b) for a, b in zip(shifts, low)]
    return tensor(words, dtype=dtypes.int64)


def _geometry(image, kernel, stride, padding, dilation):
    """How windows slide in the innermost dim: step, padding, elements in a window. None where they lie far apart or are wide, or positions need
    more than 31 bits: then kernels go through the windows of the table."""
    slides = stride[-1] <= 32 and (kernel[-1] - 1) * dilation[-1] <= 1 << 12 and prod(image) < 1 << 31
    return (stride[-1], padding[-1], kernel[-1]) if slides else None


@functools.lru_cache(1024)
def _adaptive(image, result):
    """The table of windows that cut each dim into as many parts, overlapping where they do not divide it."""
    words: list[int] = []
    for n, count in zip(image, result):
        starts = [i * n // count for i in range(count)]
        stops = [-(-(i + 1) * n // count) for i in range(count)]
        words += starts + stops + [b - a for a, b in zip(starts, stops)]
    return tensor(words, dtype=dtypes.int64)


def _result(x: Tensor, kind, result) -> Tensor:
    s = x._spec
    return empty(spec_of(kind, s.device, (*s.shape[:2], *result[5 - s.ndim :])), "pool")


@functools.lru_cache(1024)
def _table(kernel: str, spec, image, result, *settings):
    with placing(spec.device):
        return getattr(pattern(spec.device, "window"), kernel)(spec.dtype.code, prod(spec.shape[:2]), image, result, *settings)


@functools.lru_cache(1024)
def _sliding_table(kind: str, spec, image, result, *settings):
    with placing(spec.device):
        return pattern(spec.device, "window").sliding(kind, spec.dtype.code, prod(spec.shape[:2]), image, result, *settings)


def largest(x: Tensor, windows: Tensor, result: tuple, step: tuple, sliding: tuple | None = None, positions: bool = True) -> tuple:
    """The largest element of each window and its position in the plane (None unless `positions` are asked for or needed).

    `sliding`: where windows slide, the step, the padding and the size of windows in the innermost dim.
    """
    s, dense = x._spec, contiguous(x.detach())
    values = _result(x, s.dtype, result)
    positions = positions or sliding is None or wanted(x)
    indices = _result(x, dtypes.int64, result) if positions else None
    if values._spec.numel and sliding:
        table = _sliding_table("largest" if positions else "values", dense._spec, three(s.shape[2:]), result, step, sliding)
        launch(table.address, values._address, indices._address if positions else 0, dense._address, windows._address)
    elif values._spec.numel:
        table = _table("largest", dense._spec, three(s.shape[2:]), result, step)
        launch(table.address, values._address, indices._address, dense._address, windows._address)
    if indices is None:
        return values, None

    def pull(node, g):
        (index,) = node.unpack()
        flat = spec_of(s.dtype, s.device, (*s.shape[:2], prod(s.shape[2:])))
        return (scatter_into_zeros(g.reshape(*s.shape[:2], -1), 2, index.reshape(*s.shape[:2], -1), flat).reshape(s.shape),)

    return recorded(values, "max_pool", (x,), pull, save=(indices,)), indices


def average(x: Tensor, windows: Tensor, result: tuple, step: tuple, divisor: int, sliding: tuple | None = None) -> Tensor:
    """The sum of each window, divided by `divisor`, or by the window's own where that is 0."""
    if x._spec.dtype.is_half:  # a window's sum may be more than it holds
        return average(x.float(), windows, result, step, divisor, sliding).to(x._spec.dtype)
    s, dense = x._spec, contiguous(x.detach())
    out = _result(x, s.dtype, result)
    if out._spec.numel:
        rest = (divisor,) if sliding is None else (sliding, divisor)
        table = (_sliding_table if sliding else _table)("average", dense._spec, three(s.shape[2:]), result, step, *rest)
        launch(table.address, out._address, dense._address, windows._address)
    image = three(s.shape[2:])
    return recorded(out, "avg_pool", (x,), lambda node, g: (_spread(g, *node.unpack(), image, result, step, divisor, sliding),), save=(windows,))


def _spread(g: Tensor, windows: Tensor, image: tuple, result: tuple, step: tuple, divisor: int, sliding: tuple | None) -> Tensor:
    """The adjoint of `average`."""
    s, dense = g._spec, contiguous(g.detach())
    out = _result(g, s.dtype, image)
    if out._spec.numel:
        rest = (divisor,) if sliding is None else (sliding, divisor)
        table = (_sliding_table if sliding else _table)("spread", dense._spec, image, result, step, *rest)
        launch(table.address, out._address, dense._address, windows._address)
    return recorded(out, "avg_pool_adjoint", (g,), lambda node, gg: (average(gg, *node.unpack(), result, step, divisor, sliding),), save=(windows,))


# ------------------------------------------------------------------------------------------------ arguments
def _kernel_sizes(name: str, nd: int, kernel_size, stride, padding, dilation=1):
    kernel = listed(name, "kernel_size", kernel_size, nd)
    stride = kernel if stride is None or isinstance(stride, (tuple, list)) and not stride else listed(name, "stride", stride, nd)
    padding, dilation = listed(name, "padding", padding, nd), listed(name, "dilation", dilation, nd)
    for label, sizes, least in (("kernel_size", kernel, 1), ("stride", stride, 1), ("dilation", dilation, 1), ("padding", padding, 0)):
        if min(sizes) < least:
            raise RuntimeError(f"{name}: {label} must be {'greater than zero' if least else 'non-negative'}, but got {list(sizes)}")
    if any(2 * p > k + (k - 1) * (d - 1) for k, p, d in zip(kernel, padding, dilation)):
        raise RuntimeError(f"{name}: pad should be at most half of effective kernel size, but got pad={list(padding)}, kernel_size={list(kernel)} and dilation={list(dilation)}")
    return kernel, stride, padding, dilation


def _pooled_sizes(name: str, x: Tensor, sizes, ceil: bool) -> tuple:
    if min(x._spec.shape[1:]) == 0:
        raise RuntimeError(f"{name}: Expected a tensor with non-zero size for the dims other than the batch, but got input of size: {list(x.shape)}")
    result = tuple(_places(n, *rest, ceil) for n, *rest in zip(x._spec.shape[2:], *sizes))
    if min(result) < 1:
        raise RuntimeError(f"{name}: Given input size: {tuple(x.shape[1:])}. Calculated output size: {(x.shape[1], *result)}. Output size is too small")
    return result


def _refuse(name: str, x: Tensor, *kinds) -> None:
    if not x._spec.dtype.is_floating_point and x._spec.dtype not in kinds:
        raise RuntimeError(f'"{name}" not implemented for {x._spec.dtype.name}; convert with .float()')


def _whole(result: Tensor, indices: Tensor | None, single: bool) -> tuple:
    return unbatched(result, single), None if indices is None else unbatched(indices, single)


_INTEGERS = (dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)


# ------------------------------------------------------------------------------------------------ max
def max_pool(name: str, nd: int, input, kernel_size, stride, padding, dilation, ceil_mode, indices=False) -> tuple:
    x, single = batched(name, input, nd)
    sizes = _kernel_sizes(name, nd, kernel_size, stride, padding, dilation)
    _refuse(name, x, *(() if name == "max_pool1d" else _INTEGERS))
    result = _pooled_sizes(name, x, sizes, ceil_mode)
    kernel, stride, padding, dilation = sizes
    windows = _sliding(three(x._spec.shape[2:]), three(kernel), three(stride), three(padding, 0), three(dilation), three(result), False)
    sliding = _geometry(x._spec.shape[2:], kernel, stride, padding, dilation)
    positions = name not in ("max_pool1d", "max_pool2d", "max_pool3d") or indices
    return _whole(*largest(x, windows.to(x._spec.device), three(result), three(dilation), sliding, positions), single)


@composite
def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    "The largest element of each window of (N, C, L)."
    return max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)[0]


@composite
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    "The largest element of each window of (N, C, H, W)."
    return max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)[0]


@composite
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    "The largest element of each window of (N, C, D, H, W)."
    return max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)[0]


@composite
def max_pool1d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    "The largest element of each window of (N, C, L), and its position."
    return max_pool("max_pool1d_with_indices", 1, input, kernel_size, stride, padding, dilation, ceil_mode)


@composite
def max_pool2d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    "The largest element of each window of (N, C, H, W), and its position in the plane."
    return max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, True)


@composite
def max_pool3d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    "The largest element of each window of (N, C, D, H, W), and its position in the plane."
    return max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def adaptive_sizes(name: str, x: Tensor, output_size, nd: int) -> tuple:
    """The result's sizes; None keeps the input's."""
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * nd
    given = given * nd if len(given) == 1 else given
    sizes = [n if m is None else m for n, m in zip(x._spec.shape[2:], given)] if len(given) == nd else given
    sizes = listed(name, "output_size", tuple(sizes), nd)
    if min(sizes) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0, but got {list(sizes)}")
    if min(x._spec.shape[1:]) == 0:
        raise RuntimeError(f"{name}: Expected input to have non-zero size for non-batch dimensions, but input has sizes {list(x.shape)}")
    return sizes


def _parts(image: tuple, result: tuple) -> tuple:
    """The windows that cut an image into parts, how they slide, and the size of a part, if all parts are equal."""
    if min(result) and not any(n % m for n, m in zip(image, result)):
        part = tuple(n // m for n, m in zip(image, result))
        windows = _sliding(image, part, part, (0, 0, 0), (1, 1, 1), result, True)
        return windows, _geometry(image, part, part, (0, 0, 0), (1, 1, 1)), prod(part)
    return _adaptive(image, result), None, 0


def adaptive_max(name: str, nd: int, input, output_size) -> tuple[Tensor, Tensor]:
    x, single = batched(name, input, nd)
    result = three(adaptive_sizes(name, x, output_size, nd))
    _refuse(name, x)
    windows, sliding, _ = _parts(three(x._spec.shape[2:]), result)
    return _whole(*largest(x, windows.to(x._spec.device), result, (1, 1, 1), sliding), single)


@composite
def adaptive_max_pool1d(input, output_size):
    "The largest element of each of `output_size` parts of (N, C, L), and its position."
    return adaptive_max("adaptive_max_pool1d", 1, input, output_size)


@composite
def adaptive_max_pool2d(input, output_size):
    "The largest element of each of `output_size` parts of (N, C, H, W), and its position in the plane."
    return adaptive_max("adaptive_max_pool2d", 2, input, output_size)


@composite
def adaptive_max_pool3d(input, output_size):
    "The largest element of each of `output_size` parts of (N, C, D, H, W), and its position in the plane."
    return adaptive_max("adaptive_max_pool3d", 3, input, output_size)


# ------------------------------------------------------------------------------------------------ average
def avg_pool(name: str, nd: int, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor=None) -> Tensor:
    x, single = batched(name, input, nd)
    if divisor == 0:
        raise RuntimeError(f"{name}: divisor must be not zero")
    sizes = _kernel_sizes(name, nd, kernel_size, stride, padding)
    _refuse(name, x, dtypes.int64)
    result = _pooled_sizes(name, x, sizes, ceil_mode)
    kernel, stride, padding, dilation = sizes
    windows = _sliding(three(x._spec.shape[2:]), three(kernel), three(stride), three(padding, 0), three(dilation), three(result), bool(count_include_pad))
    sliding = _geometry(x._spec.shape[2:], kernel, stride, padding, dilation)
    if divisor is None and not ceil_mode and (count_include_pad or not any(padding)):
        divisor = prod(kernel)  # that of every window
    return unbatched(average(x, windows.to(x._spec.device), three(result), (1, 1, 1), divisor or 0, sliding), single)


@composite
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    "The average of each window of (N, C, L)."
    return avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


@composite
def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    "The average of each window of (N, C, H, W)."
    return avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@composite
def avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    "The average of each window of (N, C, D, H, W)."
    return avg_pool("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg(name: str, nd: int, input, output_size) -> Tensor:
    x, single = batched(name, input, nd)
    result = three(adaptive_sizes(name, x, output_size, nd))
    _refuse(name, x, *((dtypes.complex64, dtypes.complex128) if prod(result) == 1 else ()))
    if prod(result) == 1:
        out = x.mean(list(range(2, nd + 2)), keepdim=True)
    else:
        windows, sliding, divisor = _parts(three(x._spec.shape[2:]), result)
        out = average(x, windows.to(x._spec.device), result, (1, 1, 1), divisor, sliding)
    return unbatched(out, single)


@composite
def adaptive_avg_pool1d(input, output_size):
    "The average of each of `output_size` parts of (N, C, L)."
    return adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


@composite
def adaptive_avg_pool2d(input, output_size):
    "The average of each of `output_size` parts of (N, C, H, W)."
    return adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


@composite
def adaptive_avg_pool3d(input, output_size):
    "The average of each of `output_size` parts of (N, C, D, H, W)."
    return adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


# ------------------------------------------------------------------------------------------------ p-norms
def lp_pool(name: str, nd: int, input, norm_type, kernel_size, stride, ceil_mode) -> Tensor:
    p = float(norm_type)
    if p in (float("inf"), -float("inf")):
        x = tensor_of(name, input).abs()
        values = max_pool(name, nd, x if p > 0 else -x, kernel_size, stride, 0, 1, ceil_mode)[0]
        return values if p > 0 else -values
    sums = avg_pool(name, nd, tensor_of(name, input) ** p, kernel_size, stride, 0, ceil_mode, True)
    return (sums.sign() * sums.abs().relu() * prod(listed(name, "kernel_size", kernel_size, nd))) ** (1.0 / p)


@composite
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    "The p-norm of each window of (N, C, L)."
    return lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


@composite
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    "The p-norm of each window of (N, C, H, W)."
    return lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


@composite
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    "The p-norm of each window of (N, C, D, H, W)."
    return lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


# ------------------------------------------------------------------------------------------------ unpooling
def max_unpool(name: str, nd: int, input, indices, kernel_size, stride, padding, output_size) -> Tensor:
    """Zeros with the input at the positions that max pooling gave."""
    x, single = batched(name, input, nd)
    _refuse(name, x)
    if not isinstance(indices, Tensor) or indices._spec.dtype is not dtypes.int64:
        raise RuntimeError(f"{name}: elements in indices should be type int64 but got: {indices.dtype.name if isinstance(indices, Tensor) else type(indices).__name__}")
    same_device(name, input, indices)
    if indices._spec.shape != input._spec.shape:
        raise RuntimeError(f"{name}: Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}")
    kernel = listed(name, "kernel_size", kernel_size, nd)
    stride = kernel if stride is None else listed(name, "stride", stride, nd)
    padding, s = listed(name, "padding", padding, nd), x._spec
    sizes = tuple((n - 1) * st + k - 2 * p for n, st, k, p in zip(s.shape[2:], stride, kernel, padding))
    if output_size is not None:
        given = tuple(output_size)[-nd:] if len(output_size) in (nd + 1, nd + 2) else tuple(output_size)
        if len(given) != nd:
            raise ValueError(f"{name}: output_size should be a sequence containing {nd} or {nd + 2} elements, but it has a length of {len(output_size)!r}")
        for d, (n, m, st) in enumerate(zip(sizes, given, stride)):
            if not n - st < m < n + st:
                raise ValueError(f"{name}: invalid output_size {list(given)} (dim {d} must be between {n - st} and {n + st})")
        sizes = given
    if min(sizes) < 1:
        raise RuntimeError(f"{name}: Calculated output size {list(sizes)} is too small")
    out = empty(spec_of(s.dtype, s.device, (*s.shape[:2], prod(sizes))), name)
    out.fill_(0)
    index, values = contiguous(indices.detach()).reshape(*s.shape[:2], -1), contiguous(x.detach()).reshape(*s.shape[:2], -1)
    if s.numel:
        code, error = s.dtype.code, _error_cell(name, s.device, prod(sizes), 2)
        body, lines = pattern(s.device, "window").PLACE, pattern(s.device, "lines")
        text = lines.text("place", s.dtype.name, (code,), (code, "i64"), body, extra=2, setup=("size, bad = p[3], out_i64(p[4])",))
        run_lines("place", text, (out, alias(values), index), 2, index._spec.shape[2], (prod(sizes), error.address))
        error.check()

    def pull(node, g):
        (index,) = node.unpack()
        return (gather(g, 2, index).reshape(s.shape),)

    recorded(out, name, (x,), pull, save=(index,))
    return unbatched(out.reshape(*s.shape[:2], *sizes), single)


@composite
def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    "Zeros with the elements of (N, C, L) where max pooling found them."
    return max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@composite
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    "Zeros with the elements of (N, C, H, W) where max pooling found them."
    return max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@composite
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    "Zeros with the elements of (N, C, D, H, W) where max pooling found them."
    return max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
