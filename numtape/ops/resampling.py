"""Images at other sizes (interpolate) and at other places (grid_sample).

Interpolation weighs a few elements of each dim for each result. Where they lie and what they weigh is a table for each dim,
so that nearest, linear and cubic interpolation are one kernel.
"""

from __future__ import annotations

import functools
from itertools import product
from math import prod

from numtape import dtypes
from numtape.autograd import mode as recording
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous, tensor_of
from numtape.ops.creation import arange, linspace, ones, zeros
from numtape.ops.define import composite
from numtape.ops.index import gather, stack
from numtape.ops.linalg import matmul
from numtape.ops.pooling import adaptive_avg
from numtape.ops.select import where
from numtape.ops.spatial import three
from numtape.spec import spec_of
from numtape.tensor import Tensor, empty


# ------------------------------------------------------------------------------------------------ tables
def _cubic(t: Tensor, a: float) -> list[Tensor]:
    """The weights of the four neighbours of a place that lies t after the second (Keys 1981)."""
    near = lambda x: ((a + 2) * x - (a + 3)) * x * x + 1
    far = lambda x: ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@functools.lru_cache(1024)
def _table(mode: str, size: int, count: int, scale: float, align: bool, kind) -> tuple[Tensor, Tensor]:
    """For `count` results from a dim of `size`: the positions (count, taps) of what is weighed, and the weights."""
    with recording.no_grad():
        computed = kind if kind.is_floating_point else dtypes.float32
        i = arange(count, dtype=computed)
        if mode in ("nearest", "nearest-exact"):
            at = (i + 0.5) * scale if mode == "nearest-exact" else i * scale
            return at.floor().clamp(0, size - 1).to(dtypes.int64).reshape(count, 1), ones(count, 1, dtype=kind)
        at = i * scale if align else (i + 0.5) * scale - 0.5
        if mode == "linear":
            at = at.clamp(0)
            low = at.floor().clamp(0, size - 1)
            t = (at - low).clamp(0, 1)
            found, weights = [low, (low + 1).clamp(0, size - 1)], [1 - t, t]
        else:
            low = at.floor()
            found, weights = [(low + k).clamp(0, size - 1) for k in (-1, 0, 1, 2)], _cubic((at - low).clamp(0, 1), -0.75)
        return stack(found, 1).to(dtypes.int64), stack(weights, 1).contiguous()


@functools.lru_cache(256)
def _smooth_table(mode: str, size: int, count: int, scale: float, kind) -> tuple[Tensor, Tensor]:
    """The same for antialiasing: where the result is smaller, its window is as much wider."""
    with recording.no_grad():
        reach, wide = (1.0 if mode == "linear" else 2.0), max(scale, 1.0)
        center = (arange(count, dtype=kind) + 0.5) * scale
        first = (center - reach * wide + 0.5).to(dtypes.int64).clamp(0)
        stop = (center + reach * wide + 0.5).to(dtypes.int64).clamp(0, size)
        taps = int((stop - first).max())
        at = first.unsqueeze(1) + arange(taps, dtype=dtypes.int64)
        x = ((at.to(kind) - center.unsqueeze(1) + 0.5) / wide).abs()
        if mode == "linear":
            weights = (1 - x).clamp(0)
        else:
            near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
            weights = where(x < 1, near, where(x < 2, far, 0.0))
        weights = where(at < stop.unsqueeze(1), weights, 0.0)
        return at.clamp(0, size - 1), (weights / weights.sum(1, keepdim=True)).contiguous()


@functools.lru_cache(64)
def _whole(size: int, kind) -> tuple[Tensor, Tensor]:
    return _table("nearest", size, size, 1.0, False, kind)


@functools.lru_cache(1024)
def _launch(spec, image, result, taps, adjoint):
    with placing(spec.device):
        return pattern(spec.device, "window").resample(spec.dtype.code, prod(spec.shape[:2]), image, result, taps, adjoint)


def _resampled(x: Tensor, tables: tuple, image: tuple, result: tuple, adjoint: bool) -> Tensor:
    """x (N, C, *image) weighed by a table for each of three dims to (N, C, *result); with `adjoint` the other way round."""
    s, dense = x._spec, contiguous(x.detach())
    nd = s.ndim - 2
    out = empty(spec_of(s.dtype, s.device, (*s.shape[:2], *(image if adjoint else result)[3 - nd :])), "interpolate")
    if out._spec.numel:
        taps = tuple(at._spec.shape[1] for at, _ in tables)
        table = _launch(dense._spec, image, result, taps, adjoint)
        launch(table.address, out._address, dense._address, *[t._address for pair in tables for t in pair])
    return recorded(out, "interpolate", (x,), lambda node, g: (_resampled(g, tables, image, result, not adjoint),))


# ------------------------------------------------------------------------------------------------ interpolate
_DIMS = {"linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}


def _whole_number(n) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) or hasattr(n, "__index__") and not isinstance(n, Tensor)


def _sizes(x: Tensor, size, scale_factor, recompute) -> tuple[list, list]:
    """The result's sizes, and the scale factors that were given, or None for each dim."""
    nd = x._spec.ndim - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    label, value = ("size", size) if size is not None else ("scale_factor", scale_factor)
    if isinstance(value, (tuple, list)):
        if len(value) != nd:
            raise ValueError(
                f"Input and {label} must have the same number of spatial dimensions, but got input with spatial dimensions of {list(x.shape[2:])} and {label} of {value}. "
                "Please provide input tensor in (N, C, d1, d2, ...,dK) format."
            )
        values = list(value)
    else:
        values = [value] * nd
    if size is not None:
        if not all(_whole_number(n) for n in values):
            raise TypeError(f"expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but got size with types {[type(n) for n in values]}")
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return [n.__index__() for n in values], [None] * nd
    factors = [float(f) for f in values]
    return [int(n * f) for n, f in zip(x._spec.shape[2:], factors)], [None] * nd if recompute else factors


@composite
def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False):
    "The image (N, C, ...) at another size, by elements near each new one."
    x = tensor_of("interpolate", input)
    s, nd = x._spec, x._spec.ndim - 2
    if mode not in ("nearest", "nearest-exact", "area", *_DIMS):
        raise NotImplementedError(f"interpolate: mode {mode!r} is none of 'nearest', 'nearest-exact', 'linear', 'bilinear', 'bicubic', 'trilinear', 'area'")
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear")
    sizes, factors = _sizes(x, size, scale_factor, recompute_scale_factor or mode == "area" and scale_factor is not None)
    if antialias and not (mode in ("bilinear", "bicubic") and s.ndim == 4):
        raise ValueError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input")
    if s.ndim not in (3, 4, 5) or s.ndim not in _DIMS.get(mode, (s.ndim,)):
        raise NotImplementedError(
            f"interpolate: mode {mode!r} takes {' or '.join(f'{d}D' for d in _DIMS.get(mode, (3, 4, 5)))} input, got {s.ndim}D input of shape {list(x.shape)}; "
            "3D goes with linear, 4D with bilinear and bicubic, 5D with trilinear"
        )
    if mode == "area":
        return adaptive_avg("interpolate", nd, x, tuple(sizes))
    if min(sizes) < 1 or min(s.shape[1:]) == 0:
        raise RuntimeError(f"interpolate: Input and output sizes should be greater than 0, but got input {list(x.shape)} and output {sizes}")
    if not s.dtype.is_floating_point and not (s.dtype is dtypes.uint8 and mode.startswith("nearest")):
        raise RuntimeError(f"interpolate: mode {mode!r} is not implemented for {s.dtype.name}; convert with .float()")
    way, align, tables = {"bicubic": "cubic"}.get(mode, "linear" if mode in _DIMS else mode), bool(align_corners), []
    for n, count, factor in zip(s.shape[2:], sizes, factors):
        scale = 1.0 / factor if factor is not None and factor > 0 else n / count
        if align:
            scale = (n - 1) / (count - 1) if count > 1 else 0.0
        pair = _smooth_table(way, n, count, scale, s.dtype) if antialias else _table(way, n, count, scale, align, s.dtype)
        tables.append(tuple(t.to(s.device) for t in pair))
    ones_before = [tuple(t.to(s.device) for t in _whole(1, s.dtype))] * (3 - nd)
    return _resampled(x, (*ones_before, *tables), three(s.shape[2:]), three(sizes), False)


# ------------------------------------------------------------------------------------------------ grids
@composite
def affine_grid_generator(theta, size, align_corners):
    "The places (N, H, W, 2) or (N, D, H, W, 3) that the affine maps theta (N, 2, 3) or (N, 3, 4) take from an image of `size` (N, C, ...)."
    spatial, n = tuple(size[2:]), theta._spec.shape[0]
    nd, columns = len(spatial), []
    if n != size[0]:
        raise RuntimeError(f"affine_grid: expected theta to hold {size[0]} maps, for size {list(size)}, got {list(theta.shape)}")
    with recording.no_grad():
        for d in range(nd - 1, -1, -1):
            count = spatial[d]
            line = linspace(-1, 1, count, dtype=theta.dtype, device=theta.device) if count > 1 else zeros(1, dtype=theta.dtype, device=theta.device)
            line = line if align_corners else line * ((count - 1) / count)
            columns.append(line.reshape([-1 if k == d else 1 for k in range(nd)]).expand(*spatial).reshape(-1))
        base = stack([*columns, ones(prod(spatial), dtype=theta.dtype, device=theta.device)], 1)
    return matmul(base.unsqueeze(0).expand(n, *base.shape), theta.transpose(1, 2)).reshape(n, *spatial, nd)


def _unnormalised(t: Tensor, n: int, align: bool) -> Tensor:
    return (t + 1) * ((n - 1) / 2) if align else ((t + 1) * n - 1) * 0.5


def _inside(t: Tensor, n: int, padding: int, align: bool) -> Tensor:
    """A coordinate, brought into the image where padding is 1 (border) or 2 (reflection)."""
    if padding == 2:
        low, span = (0.0, float(n - 1)) if align else (-0.5, float(n))
        if not span:
            return t * 0
        t = (t - low).abs()
        turns = (t / span).floor().detach()
        rest = t - turns * span
        t = where(turns - 2 * (turns / 2).floor() == 0, rest, span - rest) + low
    return t.clamp(0, n - 1) if padding else t


def _picked(x: Tensor, at: list[Tensor], sizes) -> tuple[Tensor, Tensor]:
    """The elements of x (N, C, -1) at whole coordinates, slowest first, of shape (N, 1, L); and where those are in the image."""
    inside, flat = None, None
    for t, n in zip(at, sizes):
        t = t.detach()
        here = (t >= 0) & (t <= n - 1)
        inside = here if inside is None else inside & here
        flat = t.clamp(0, n - 1) if flat is None else flat * n + t.clamp(0, n - 1)
    assert inside is not None and flat is not None
    index = where(inside, flat, 0.0).to(dtypes.int64)
    return gather(x, 2, index.expand(x.shape[0], x.shape[1], index.shape[2])), inside


@composite
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    "The image (N, C, ...) at the places of grid (N, ..., 2 or 3), -1 to 1; modes: 0 bilinear, 1 nearest, 2 bicubic; padding: 0 zeros, 1 border, 2 reflection."
    x = tensor_of("grid_sampler", input)
    nd = x._spec.ndim - 2
    if not isinstance(grid, Tensor):
        raise TypeError(f"grid_sampler(): argument 'grid' must be Tensor, not {type(grid).__name__}")
    same_device("grid_sampler", x, grid)
    if grid._spec.dtype is not x._spec.dtype or not x._spec.dtype.is_floating_point:
        raise RuntimeError(f"grid_sampler(): expected input and grid to have the same floating dtype, but input has {x._spec.dtype.name} and grid has {grid._spec.dtype.name}")
    if nd not in (2, 3) or grid._spec.ndim != x._spec.ndim:
        raise RuntimeError(f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}")
    if grid._spec.shape[0] != x._spec.shape[0] or grid._spec.shape[-1] != nd:
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size and grid to have size {nd} in last dimension, "
            f"but got input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if min(x._spec.shape[2:]) == 0:
        raise RuntimeError(f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes {list(x.shape)}")
    if interpolation_mode == 2 and nd == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    n, c, *sizes = x._spec.shape
    places = grid.reshape(n, 1, -1, nd)
    coordinates = [_unnormalised(places.select(3, nd - 1 - d), size, align_corners) for d, size in enumerate(sizes)]  # the grid lists the last dim first
    flat = x.reshape(n, c, -1)
    if interpolation_mode != 2:
        coordinates = [_inside(t, size, padding_mode, align_corners) for t, size in zip(coordinates, sizes)]
    if interpolation_mode == 1:
        values, inside = _picked(flat, [t.detach().round() for t in coordinates], sizes)
        return where(inside, values, 0.0).reshape(n, c, *grid.shape[1:-1])
    low = [t.detach().floor() for t in coordinates]
    past = [t - a for t, a in zip(coordinates, low)]
    if interpolation_mode == 2:
        taps, weights = (-1, 0, 1, 2), [_cubic(t, -0.75) for t in past]
    else:
        taps, weights = (0, 1), [[1 - t, t] for t in past]
    total = None
    for choice in product(range(len(taps)), repeat=nd):
        at = [a + taps[k] for a, k in zip(low, choice)]
        if interpolation_mode == 2:
            at = [_inside(t, size, padding_mode, align_corners) for t, size in zip(at, sizes)]
        values, inside = _picked(flat, at, sizes)
        weight = weights[0][choice[0]]
        for w, k in zip(weights[1:], choice[1:]):
            weight = weight * w[k]
        part = where(inside, values, 0.0) * weight
        total = part if total is None else total + part
    assert total is not None
    return total.reshape(n, c, *grid.shape[1:-1])
