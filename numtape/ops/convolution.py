"""Convolutions and transposed convolutions of one to three spatial dims, and columns (im2col, col2im)."""

from __future__ import annotations

from math import prod

from numtape import dtypes
from numtape.dispatch.elementwise import same_device
from numtape.ops.arrange import fresh
from numtape.ops.columns import Geometry, columns_of, convolve, image_of, spread
from numtape.ops.complex import imag, joined_pairs, real, view_as_real
from numtape.ops.define import composite
from numtape.ops.index import stack
from numtape.ops.padding import constant_pad_nd
from numtape.ops.spatial import batched, listed, positions, three, unbatched
from numtape.tensor import Tensor


def _operands(name: str, x: Tensor, weight, bias) -> None:
    """Refuse what is no tensor, and dtypes or devices that differ."""
    for label, t in (("weight", weight), ("bias", bias)):
        if not isinstance(t, Tensor) and (label == "weight" or t is not None):
            raise TypeError(f"{name}(): argument '{label}' must be Tensor, not {type(t).__name__}")
    same_device(name, *(t for t in (x, weight, bias) if t is not None))
    for label, t in (("weight", weight), ("bias", bias)):
        if t is not None and t._spec.dtype is not x._spec.dtype:
            raise RuntimeError(f"{name}: Input type ({x._spec.dtype.name}) and {label} type ({t._spec.dtype.name}) should be the same")
    if x._spec.dtype is dtypes.bool:
        raise RuntimeError(f"{name}: not implemented for bool; convert with .float()")


def _checked(name: str, x: Tensor, weight: Tensor, bias, sizes, groups: int, transposed: bool) -> None:
    """The shapes, as PyTorch asks for them. `sizes`: stride, padding, dilation."""
    stride, padding, dilation = sizes
    w, given = list(weight.shape), f"Given {'transposed=1' if transposed else f'groups={groups}'}"
    if groups <= 0:
        raise RuntimeError(f"{name}: non-positive groups is not supported")
    if min(stride) <= 0:
        raise RuntimeError(f"{name}: non-positive stride is not supported")
    if min(padding) < 0:
        raise RuntimeError(f"{name}: negative padding is not supported")
    if min(dilation) <= 0:
        raise RuntimeError(f"{name}: dilation should be greater than zero, but got {list(dilation)}")
    if weight._spec.ndim != x._spec.ndim:
        raise RuntimeError(f"{name}: Expected {x._spec.ndim}-dimensional weight for {x._spec.ndim}-dimensional input {list(x.shape)}, but got weight of size {w}")
    if min(w[2:]) <= 0 or w[0] < groups:
        raise RuntimeError(f"{name}: {given}, expected weight to be at least {groups} at dimension 0, and its kernel not to be empty, but got weight of size {w}")
    if w[0] % groups:
        raise RuntimeError(f"{name}: {given}, expected weight to be divisible by {groups} at dimension 0, but got weight of size {w}")
    channels = w[0] if transposed else w[1] * groups
    if x._spec.shape[1] != channels:
        raise RuntimeError(f"{name}: {given}, weight of size {w}, expected input{list(x.shape)} to have {channels} channels, but got {x._spec.shape[1]} channels instead")
    results = w[1] * groups if transposed else w[0]
    if bias is not None and tuple(bias.shape) != (results,):
        raise RuntimeError(f"{name}: Given weight of size {w}, expected bias to be 1-dimensional with {results} elements, but got bias of size {list(bias.shape)} instead")


def _conv(name: str, nd: int, input, weight, bias, stride, padding, dilation, groups) -> Tensor:
    x, single = batched(name, input, nd)
    _operands(name, x, weight, bias)
    stride, dilation = listed(name, "stride", stride, nd), listed(name, "dilation", dilation, nd)
    kernel = tuple(weight._spec.shape[2:])
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"{name}: Invalid padding string: {padding!r}; expected 'same' or 'valid'")
        total = [0] * nd
        if padding == "same":
            if any(n != 1 for n in stride):
                raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions")
            total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        padding = tuple(n // 2 for n in total)
        if any(n % 2 for n in total):  # one more behind than in front
            x = constant_pad_nd(x, [n for t in reversed(total) for n in (0, t % 2)])
    else:
        padding = listed(name, "padding", padding, nd)
    _checked(name, x, weight, bias, (stride, padding, dilation), groups, False)
    padded = [n + 2 * p for n, p in zip(x._spec.shape[2:], padding)]
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    if any(n < span for n, span in zip(padded, spans)):
        sizes = [" x ".join(map(str, s)) for s in (padded, spans)]
        raise RuntimeError(
            f"{name}: Calculated padded input size per channel: ({sizes[0]}). Kernel size: ({sizes[1]}). Kernel size can't be greater than actual input size"
        )
    geometry = Geometry(three(kernel), three(stride), three(padding, 0), three(dilation))
    if x._spec.dtype.is_complex:
        found = _paired(convolve(_parts(x), _weights(weight, False), None, geometry, groups))
        return unbatched(found if bias is None else found + bias.reshape(-1, *[1] * nd), single)
    return unbatched(convolve(x, weight, bias, geometry, groups), single)


def _parts(x: Tensor) -> Tensor:
    """Complex channels (N, C, ...) as real ones (N, 2 C, ...): of each its real part and its imaginary part."""
    return view_as_real(x).movedim(-1, 2).reshape(x._spec.shape[0], -1, *x._spec.shape[2:])


def _paired(x: Tensor) -> Tensor:
    """The channels that `_parts` took apart."""
    n, channels, *sizes = x._spec.shape
    return joined_pairs(fresh(x.reshape(n, channels // 2, 2, *sizes).movedim(2, -1)))


def _weights(weight: Tensor, transposed: bool) -> Tensor:
    """The real weights (2 O, 2 C, ...) that do to parts what complex ones (O, C, ...) do to complex channels."""
    re, im = real(weight), imag(weight)
    first, second = (stack([re, im], 2), stack([-im, re], 2)) if transposed else (stack([re, -im], 2), stack([im, re], 2))
    o, c, *sizes = weight._spec.shape
    return stack([first, second], 1).reshape(2 * o, 2 * c, *sizes)


def _conv_transpose(name: str, nd: int, input, weight, bias, stride, padding, output_padding, groups, dilation) -> Tensor:
    x, single = batched(name, input, nd)
    _operands(name, x, weight, bias)
    stride, padding, more, dilation = (
        listed(name, label, n, nd)
        for label, n in (("stride", stride), ("padding", padding), ("output_padding", output_padding), ("dilation", dilation))
    )
    _checked(name, x, weight, bias, (stride, padding, dilation), groups, True)
    if min(more) < 0:
        raise RuntimeError(f"{name}: negative output_padding is not supported")
    if any(m >= s and m >= d for m, s, d in zip(more, stride, dilation)):
        raise RuntimeError(
            f"{name}: output padding must be smaller than either stride or dilation, but got output_padding={list(more)}, stride={list(stride)}, dilation={list(dilation)}"
        )
    kernel = tuple(weight._spec.shape[2:])
    sizes = [(n - 1) * s - 2 * p + d * (k - 1) + m + 1 for n, s, p, d, k, m in zip(x._spec.shape[2:], stride, padding, dilation, kernel, more)]
    if min(sizes) < 1:
        given, found = (" x ".join(map(str, n)) for n in (x._spec.shape[2:], sizes))
        raise RuntimeError(f"{name}: Given input size per channel: ({given}). Calculated output size per channel: ({found}). Output size is too small")
    geometry = Geometry(three(kernel), three(stride), three(padding, 0), three(dilation))
    if x._spec.dtype.is_complex:
        found = _paired(spread(_parts(x), _weights(weight, True), None, geometry, groups, tuple(sizes)))
        return unbatched(found if bias is None else found + bias.reshape(-1, *[1] * nd), single)
    return unbatched(spread(x, weight, bias, geometry, groups, tuple(sizes)), single)


@composite
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    "The convolution of input (N, C, L) by weight (O, C / groups, K)."
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@composite
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    "The convolution of input (N, C, H, W) by weight (O, C / groups, KH, KW)."
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@composite
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    "The convolution of input (N, C, D, H, W) by weight (O, C / groups, KD, KH, KW)."
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


@composite
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    "The transposed convolution of input (N, C, L) by weight (C, O / groups, K)."
    return _conv_transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@composite
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    "The transposed convolution of input (N, C, H, W) by weight (C, O / groups, KH, KW)."
    return _conv_transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@composite
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    "The transposed convolution of input (N, C, D, H, W) by weight (C, O / groups, KD, KH, KW)."
    return _conv_transpose("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


# ------------------------------------------------------------------------------------------------ columns
def _geometry(name: str, kernel_size, dilation, padding, stride) -> Geometry:
    given = (("kernel_size", kernel_size, 1), ("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1))
    found = []
    for label, value, least in given:
        sizes = listed(name, label, value, 2)
        if min(sizes) < least:
            raise RuntimeError(f"{name}: {label} should be {'greater than zero' if least else 'non-negative'}, but got {list(sizes)}")
        found.append(three(sizes, least))
    return Geometry(*found)


def _paired_columns(x: Tensor, taps: int) -> Tensor:
    """Columns of parts (N, C * 2 * taps, L) as complex ones."""
    n, channels, count = x._spec.shape
    return joined_pairs(fresh(x.reshape(n, -1, 2, taps, count).movedim(2, -1)).reshape(n, channels // 2, count, 2))


@composite
def im2col(input, kernel_size, dilation=1, padding=0, stride=1):
    "The elements under each window of an image (N, C, H, W), as columns (N, C * KH * KW, L)."
    x, single = batched("im2col", input, 2)
    geometry = _geometry("im2col", kernel_size, dilation, padding, stride)
    sizes = [positions(n, *rest) for n, *rest in zip(three(x._spec.shape[2:]), *geometry)]
    if min(sizes) < 1:
        raise RuntimeError(f"im2col: a window of {geometry} does not fit the input of shape {list(x.shape)}: there would be {sizes[1:]} windows")
    if x._spec.dtype.is_complex:
        return unbatched(_paired_columns(columns_of(_parts(x), geometry), prod(geometry.kernel)), single)
    if not x._spec.dtype.is_floating_point and x._spec.dtype is not dtypes.bool:
        raise RuntimeError(f"im2col: not implemented for {x._spec.dtype.name}; convert with .float()")
    return unbatched(columns_of(x, geometry), single)


@composite
def col2im(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    "The columns (N, C * KH * KW, L) added up where they lie in an image (N, C, *output_size)."
    x, single = batched("col2im", input, 1)
    geometry = _geometry("col2im", kernel_size, dilation, padding, stride)
    image, taps = listed("col2im", "output_size", output_size, 2), prod(geometry.kernel)
    if x._spec.shape[1] % taps:
        raise RuntimeError(f"col2im: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got {x._spec.shape[1]} and kernel_size={geometry.kernel[1:]}")
    sizes = [positions(n, *rest) for n, *rest in zip(three(image), *geometry)]
    if min(sizes) < 1 or prod(sizes) != x._spec.shape[2]:
        raise RuntimeError(
            f"col2im: Given output_size={image}, kernel_size={geometry.kernel[1:]}, dilation={geometry.dilation[1:]}, padding={geometry.padding[1:]}, "
            f"stride={geometry.stride[1:]}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{sizes[1]} * {sizes[2]} = {prod(sizes)}, but got input.size(2)={x._spec.shape[2]}"
        )
    if x._spec.dtype.is_complex:
        n, channels, count = x._spec.shape
        parts = view_as_real(x).reshape(n, channels // taps, taps, count, 2).movedim(-1, 2).reshape(n, 2 * channels, count)
        return unbatched(_paired(image_of(parts, geometry, image)), single)
    if not x._spec.dtype.is_floating_point:
        raise RuntimeError(f"col2im: not implemented for {x._spec.dtype.name}; convert with .float()")
    return unbatched(image_of(x, geometry, image), single)
