"""Padding of tensors at their edges, and shuffles of pixels and channels."""

from __future__ import annotations

from numtape import dtypes
from numtape.dispatch.record import recorded
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import copying, tensor_of, write_into
from numtape.ops.creation import arange
from numtape.ops.define import composite
from numtape.ops.index import cat, index_select
from numtape.ops.part import narrow
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty

_MODES = {"reflect": "reflection_pad", "replicate": "replication_pad", "circular": "circular_pad"}


def _pairs(name: str, x: Tensor, pad) -> list[tuple[int, int]]:
    """The padding in front of and behind each dim; `pad` lists the last dim first."""
    try:
        pad = [n.__index__() for n in pad]
    except (TypeError, AttributeError):
        raise TypeError(f"{name}(): argument 'pad' must be tuple of ints, got {pad!r}") from None
    if len(pad) % 2:
        raise RuntimeError(f"{name}: Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) > 2 * x._spec.ndim:
        raise RuntimeError(
            f"{name}: Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(pad)} while the input has {x._spec.ndim} dimensions."
        )
    pairs = [(pad[k], pad[k + 1]) for k in range(0, len(pad), 2)]
    return [(0, 0)] * (x._spec.ndim - len(pairs)) + pairs[::-1]


@composite
def constant_pad_nd(input, pad, value=0):
    "The tensor with `value` around it; negative padding cuts elements off."
    x = tensor_of("constant_pad_nd", input)
    pairs, s = _pairs("constant_pad_nd", x, pad), x._spec
    shape = tuple(n + a + b for n, (a, b) in zip(s.shape, pairs))
    if min(shape, default=0) < 0:
        raise RuntimeError(f"constant_pad_nd: The input size {list(s.shape)}, plus negative padding {list(pad)}, resulted in a negative output size {list(shape)}")
    if all(n <= 0 for pair in pairs for n in pair):
        for d, (a, b) in enumerate(pairs):
            x = narrow(x, d, -a, s.shape[d] + a + b) if a or b else x
        return x.clone()
    out = empty(spec_of(s.dtype, s.device, shape), "constant_pad_nd")
    given = [(max(a, 0), n + min(a, 0) + min(b, 0)) for n, (a, b) in zip(s.shape, pairs)]  # where the input comes to lie, and how much of it
    if out._spec.numel and tuple(n for _, n in given) != shape:
        out.fill_(value)
    if all(n > 0 for _, n in given):
        center = x.detach()
        for d, ((a, _), (_, n)) in enumerate(zip(pairs, given)):
            center = narrow(center, d, max(-a, 0), n) if n != s.shape[d] else center
        target = spec_of(s.dtype, s.device, center._spec.shape, out._spec.strides)
        write_into(center, alias(out, target, sum(a * step for (a, _), step in zip(given, out._spec.strides))))
    out._storage.version = 0
    opposite = [-n for n in pad]
    return recorded(out, "constant_pad_nd", (x,), lambda n, g: (constant_pad_nd(g, opposite),))


def _edge(mode: str, size: int, count: int, front: bool) -> tuple[int, int, int]:
    """The positions (start, stop, step) of the elements that are padded in front of, or behind, a dim."""
    if mode == "circular":
        return (size - count, size, 1) if front else (0, count, 1)
    return (count, 0, -1) if front else (size - 2, size - 2 - count, -1)


FEW = 8  # elements of padding on a side that are copied one by one


def _framed(x: Tensor, pairs, mode: str) -> Tensor:
    """x with a little of its own elements around it: written once, and the edges copied from what is written."""
    s = x._spec
    out = empty(spec_of(s.dtype, s.device, tuple(n + a + b for n, (a, b) in zip(s.shape, pairs))), "pad")
    spec = out._spec

    def piece(spans):  # the memory of some of out
        shape = tuple(stop - start for start, stop in spans)
        return alias(out, spec_of(s.dtype, s.device, shape, spec.strides), sum(start * step for (start, _), step in zip(spans, spec.strides)))

    def copy(source, target):  # which have no element in common
        launch(copying(source, target).table, target._address, source._address)

    spans = [(a, a + n) for n, (a, _) in zip(s.shape, pairs)]
    copy(x, piece(spans))
    for d in range(s.ndim - 1, -1, -1):
        n, (a, b) = s.shape[d], pairs[d]
        for count, front in ((a, True), (b, False)):
            found = range(*_edge(mode, n, count, front)) if mode != "replicate" else [0 if front else n - 1] * count
            for k, position in enumerate(found):
                to = k if front else a + n + k
                copy(piece([*spans[:d], (a + position, a + position + 1), *spans[d + 1 :]]), piece([*spans[:d], (to, to + 1), *spans[d + 1 :]]))
        spans[d] = (0, n + a + b)
    out._storage.version = 0
    return recorded(out, "pad", (x,), lambda node, g: (_unframed(g, s.shape, pairs, mode),))


def _unframed(g: Tensor, shape, pairs, mode: str) -> Tensor:
    """The adjoint of `_framed`: the edges added to where they were copied from."""
    for d, (n, (a, b)) in enumerate(zip(shape, pairs)):
        if not a and not b:
            continue
        center = narrow(g, d, a, n).clone()
        for count, front in ((a, True), (b, False)):
            found = range(*_edge(mode, n, count, front)) if mode != "replicate" else [0 if front else n - 1] * count
            for k, position in enumerate(found):
                narrow(center, d, position, 1).add_(narrow(g, d, k if front else a + n + k, 1))
        g = center
    return g


def _extended(x: Tensor, d: int, front: int, behind: int, mode: str) -> Tensor:
    size, parts = x._spec.shape[d], [x]
    for count, at_front in ((front, True), (behind, False)):
        if count > 0:
            if mode == "replicate":
                shape = [count if k == d else n for k, n in enumerate(x._spec.shape)]
                edge = narrow(x, d, 0 if at_front else size - 1, 1).expand(*shape)
            else:
                edge = index_select(x, d, arange(*_edge(mode, size, count, at_front), dtype=dtypes.int64, device=x._spec.device))
            parts.insert(0 if at_front else len(parts), edge)
    x = cat(parts, d) if len(parts) > 1 else x
    return narrow(x, d, max(-front, 0), x._spec.shape[d] + min(front, 0) + min(behind, 0)) if min(front, behind) < 0 else x


@composite(domain="pad")
def pad(input, pad, mode="constant", value=None):
    "The tensor padded at the edges of its last dims: with a value, or by mode 'reflect', 'replicate' or 'circular' with its own elements."
    x = tensor_of("pad", input)
    if mode == "constant":
        return constant_pad_nd(x, pad, 0 if value is None else value)
    if mode not in _MODES:
        raise NotImplementedError(f"pad: Unrecognised padding mode {mode!r}; expected 'constant', 'reflect', 'replicate' or 'circular'")
    if value is not None and value != 0:
        raise ValueError(f'pad: Padding mode "{mode}" doesn\'t take in value argument')
    pairs, ndim, count = _pairs("pad", x, pad), x._spec.ndim, len(pad) // 2
    if count not in (1, 2, 3) or ndim not in (count + 1, count + 2):
        raise NotImplementedError(f"pad: mode {mode!r} pads the last 1, 2 or 3 dims of a tensor with one or two dims more, got {len(pad)} numbers for {list(x.shape)}")
    if mode != "circular" and x._spec.dtype is dtypes.bool:
        raise RuntimeError(f"pad: mode {mode!r} is not implemented for bool")
    if mode == "circular" and any(a < 0 or b < 0 for a, b in pairs):  # PyTorch cuts before it wraps around
        x = constant_pad_nd(x, [min(n, 0) for n in pad])
        pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    for d in range(ndim - count, ndim):
        n, (a, b) = x._spec.shape[d], pairs[d]
        most = {"reflect": n - 1, "circular": n}.get(mode, max(a, b))
        if max(a, b) > most:
            less = "be less than" if mode == "reflect" else "not exceed"
            raise RuntimeError(f"pad: Padding size should {less} the corresponding input dimension, but got: padding ({a}, {b}) at dimension {d} of input {list(x.shape)}")
        if n + a + b < 1 or n == 0:
            raise RuntimeError(f"pad: padding ({a}, {b}) leaves nothing of dimension {d} of input {list(x.shape)}")
    if x._spec.numel and all(0 <= n <= FEW for pair in pairs for n in pair):
        return _framed(x, pairs, mode)
    for d in range(ndim - 1, ndim - 1 - count, -1):
        x = _extended(x, d, *pairs[d], mode)
    return x.clone() if x is input else x.contiguous()


# ------------------------------------------------------------------------------------------------ shuffles
@composite
def pixel_shuffle(input, upscale_factor):
    "Channels become pixels: (..., C * r * r, H, W) as (..., C, H * r, W * r)."
    x, r = tensor_of("pixel_shuffle", input), upscale_factor
    if x._spec.ndim < 3:
        raise RuntimeError(f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {x._spec.ndim} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *batch, c, h, w = x._spec.shape
    if c % (r * r):
        raise RuntimeError(f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}")
    n = len(batch)
    x = x.reshape(*batch, c // (r * r), r, r, h, w).permute(*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*batch, c // (r * r), h * r, w * r)


@composite
def pixel_unshuffle(input, downscale_factor):
    "Pixels become channels: (..., C, H * r, W * r) as (..., C * r * r, H, W)."
    x, r = tensor_of("pixel_unshuffle", input), downscale_factor
    if x._spec.ndim < 3:
        raise RuntimeError(f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {x._spec.ndim} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *batch, c, h, w = x._spec.shape
    if h % r or w % r:
        raise RuntimeError(f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but input of shape {list(x.shape)} is not divisible by {r}")
    n = len(batch)
    x = x.reshape(*batch, c, h // r, r, w // r, r).permute(*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*batch, c * r * r, h // r, w // r)


@composite
def channel_shuffle(input, groups):
    "The channels (N, C, ...), seen as (groups, C / groups), transposed."
    x = tensor_of("channel_shuffle", input)
    if x._spec.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(x.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups: {groups}")
    n, c, *rest = x._spec.shape
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    return x.reshape(n, groups, c // groups, *rest).transpose(1, 2).reshape(n, c, *rest)
