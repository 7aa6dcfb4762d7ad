"""`numtape.fft`: Fourier transforms through NumPy, with derivatives of any order.

Three transforms without a scale, complex to complex, real to half-complex and back, are recorded ops, each the derivative of another; what
the public functions add is sizes, scales and conjugates. Tensors on a card are transformed by the host, as in factorizations.py.
"""

from __future__ import annotations

import math

import numpy as np

from numtape import dtypes, layout
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.op import Op
from numtape.ops.arrange import roll
from numtape.ops.complex import conj, real
from numtape.ops.copy import tensor_of
from numtape.ops.creation import arange
from numtape.ops.factorizations import _array, _given_back
from numtape.ops.index import cat
from numtape.ops.padding import constant_pad_nd
from numtape.ops.part import narrow
from numtape.tensor import Tensor

NORMS = ("backward", "ortho", "forward")
DTYPE_NAMES = {"float16": "Half", "bfloat16": "BFloat16", "complex64": "ComplexFloat", "complex128": "ComplexDouble"}


def filed(function):
    """File a function of `numtape.fft` in the table, as fft_<name>."""
    Op(f"fft_{function.__name__}", "composite", function).register()
    return function


# ------------------------------------------------------------------------------------------------ transforms without a scale
def _complex_to_complex(x: Tensor, dims, forward: bool) -> Tensor:
    """The sums of x e**(-2 pi i jk / n) over dims, or of x e**(2 pi i jk / n)."""
    found = np.fft.fftn(_array(x), axes=dims) if forward else np.fft.ifftn(_array(x), axes=dims, norm="forward")
    return recorded(_given_back(x, found), "fft_c2c", (x,), lambda node, g: (_complex_to_complex(g, dims, not forward),))


def _real_to_half(x: Tensor, dims) -> Tensor:
    """The forward transform of a real x; of the last of dims the first n // 2 + 1 places, which the others are conjugates of."""
    size = x._spec.shape[dims[-1]]

    def pull(node, g):
        full = _resized(g, dims[-1:], (size,))
        return (real(_complex_to_complex(full, dims, False)),)

    return recorded(_given_back(x, np.fft.rfftn(_array(x), axes=dims)), "fft_r2c", (x,), pull)


def _half_to_real(x: Tensor, dims, size: int) -> Tensor:
    """The backward transform of what `_real_to_half` gives of a tensor whose last of dims has that size."""
    sizes = [*(x._spec.shape[d] for d in dims[:-1]), size]

    def pull(node, g):
        found, last = _real_to_half(g, dims), dims[-1]
        half, twice = found._spec.shape[last], (size - 1) // 2  # all but the first place, and the middle of an even size, stand for two
        parts = [narrow(found, last, 0, 1), narrow(found, last, 1, twice) * 2, narrow(found, last, 1 + twice, half - 1 - twice)]
        return (cat([p for p in parts if p._spec.shape[last]], last),)

    return recorded(_given_back(x, np.fft.irfftn(_array(x), s=sizes, axes=dims, norm="forward")), "fft_c2r", (x,), pull)


# ------------------------------------------------------------------------------------------------ sizes, scales, arguments
def _resized(x: Tensor, dims, sizes) -> Tensor:
    """x cut off, or filled up with zeros, to sizes along dims."""
    for d, n in zip(dims, sizes):
        have = x._spec.shape[d]
        if n < have:
            x = narrow(x, d, 0, n)
        elif n > have:
            x = constant_pad_nd(x, [0, 0] * (x._spec.ndim - 1 - d) + [0, n - have])
    return x


def _scaled(x: Tensor, norm, forward: bool, count: int) -> Tensor:
    norm = "backward" if norm is None else norm
    if norm == "ortho":
        return x * (1.0 / math.sqrt(count))
    return x if (norm == "backward") == forward else x * (1.0 / count)


def _operand(name: str, input, norm, whole: bool) -> Tensor:
    """The input in a dtype that has transforms: real ones as they are if `whole` is False, else complex."""
    x = tensor_of(f"fft_{name}", input)
    if norm is not None and norm not in NORMS:
        raise RuntimeError(f'{name}: Invalid normalization mode: "{norm}"; expected one of {", ".join(NORMS)}')
    kind = x.dtype if x.dtype.differentiable else dtypes.get_default_dtype()
    if kind in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(f"{name}: Unsupported dtype {DTYPE_NAMES[kind.name]}; convert with .float()")
    if not whole and kind.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {DTYPE_NAMES[kind.name]}")
    return x.to(kind.to_complex() if whole else kind)


def _whole_number(name: str, label: str, n) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"fft_{name}(): argument '{label}' must be int, not {type(n).__name__}")
    return n.__index__()


def _places(name: str, x: Tensor, s, dim) -> tuple[tuple[int, ...], list[int | None]]:
    """The dims to transform, and for each the size asked for, or None."""
    s = [s] if isinstance(s, int) else None if s is None else list(s)
    if dim is None:
        if s is not None and len(s) > x._spec.ndim:
            raise RuntimeError(f"{name}: Got shape with {len(s)} values but input tensor only has {x._spec.ndim} dimensions.")
        dims = tuple(range(x._spec.ndim))[x._spec.ndim - len(s) :] if s is not None else tuple(range(x._spec.ndim))
    else:
        dims = tuple(layout.dim_of(name, d, x._spec.ndim) for d in ((dim,) if isinstance(dim, int) else dim))
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"{name}: FFT dims must be unique, got {dim}")
        if s is not None and len(s) != len(dims):
            raise RuntimeError(f"{name}: When given, dim and shape arguments must have the same length, got {len(dims)} and {len(s)}")
    sizes = [None] * len(dims) if s is None else [None if n == -1 else _whole_number(name, "s", n) for n in s]
    return dims, sizes


def _one(name: str, x: Tensor, n, dim):
    """As `_places`, for the one dim of a function of n."""
    if not x._spec.ndim:
        raise IndexError(f"{name}: Dimension specified as {dim} but tensor has no dimensions")
    if n is not None and _whole_number(name, "n", n) < 1:
        raise RuntimeError(f"{name}: Invalid number of data points ({n}) specified")
    return (layout.dim_of(name, _whole_number(name, "dim", dim), x._spec.ndim),), [n]


def _checked(name: str, sizes) -> list[int]:
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"{name}: Invalid number of data points ({n}) specified")
    return sizes


def _transformed(name, x: Tensor, places, norm, forward: bool, out) -> Tensor:
    """Complex to complex."""
    dims, sizes = places
    sizes = _checked(name, [x._spec.shape[d] if n is None else n for d, n in zip(dims, sizes)])
    if dims:
        x = _scaled(_complex_to_complex(_resized(x, dims, sizes), dims, forward), norm, forward, math.prod(sizes))
    return _given(name, x, out)


def _halved(name, x: Tensor, places, norm, forward: bool, out) -> Tensor:
    """Real to half-complex; backward, the conjugate of that."""
    dims, sizes = _some(name, places)
    sizes = _checked(name, [x._spec.shape[d] if n is None else n for d, n in zip(dims, sizes)])
    found = _real_to_half(_resized(x, dims, sizes), dims)
    return _given(name, _scaled(found if forward else conj(found), norm, forward, math.prod(sizes)), out)


def _made_real(name, x: Tensor, places, norm, forward: bool, out) -> Tensor:
    """Half-complex to real; forward, of the conjugate."""
    dims, sizes = _some(name, places)
    *sizes, last = (x._spec.shape[d] if n is None and d != dims[-1] else n for d, n in zip(dims, sizes))
    last = 2 * (x._spec.shape[dims[-1]] - 1) if last is None else last
    _checked(name, [*sizes, last])
    x = _resized(x, dims, [*sizes, last // 2 + 1])
    found = _half_to_real(conj(x) if forward else x, dims, last)
    return _given(name, _scaled(found, norm, forward, math.prod(sizes) * last), out)


def _some(name, places):
    if not places[0]:
        raise RuntimeError(f"{name} must transform at least one axis")
    return places


def _given(name: str, result: Tensor, out):
    if out is not None and result.dtype.is_complex and not out.dtype.is_complex:
        raise RuntimeError(f"{name} expects a complex output tensor, but got {out.dtype.name}")
    if out is not None and not result.dtype.is_complex and not out.dtype.is_floating_point:
        raise RuntimeError(f"{name} expects a floating point output tensor, but got {out.dtype.name}")
    return result if out is None else into(name, result, out)


# ------------------------------------------------------------------------------------------------ one dim
@filed
def fft(input, n=None, dim=-1, norm=None, *, out=None):
    "The Fourier transform along a dim, of n places: the sums of x e**(-2 pi i jk / n), times 1, 1/sqrt(n) or 1/n by norm 'backward', 'ortho' or 'forward'."
    x = _operand("fft", input, norm, True)
    return _transformed("fft", x, _one("fft", x, n, dim), norm, True, out)


@filed
def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    "The inverse of `fft`."
    x = _operand("ifft", input, norm, True)
    return _transformed("ifft", x, _one("ifft", x, n, dim), norm, False, out)


@filed
def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    "The Fourier transform of real numbers: the first n // 2 + 1 places, of which the others are the conjugates."
    x = _operand("rfft", input, norm, False)
    return _halved("rfft", x, _one("rfft", x, n, dim), norm, True, out)


@filed
def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    "The inverse of `rfft`: n real numbers, 2 * (size - 1) unless given."
    x = _operand("irfft", input, norm, True)
    return _made_real("irfft", x, _one("irfft", x, n, dim), norm, False, out)


@filed
def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    "The Fourier transform, real, of numbers whose second half (left out) are the conjugates of the first."
    x = _operand("hfft", input, norm, True)
    return _made_real("hfft", x, _one("hfft", x, n, dim), norm, True, out)


@filed
def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    "The inverse of `hfft`."
    x = _operand("ihfft", input, norm, False)
    return _halved("ihfft", x, _one("ihfft", x, n, dim), norm, False, out)


# ------------------------------------------------------------------------------------------------ several dims
@filed
def fftn(input, s=None, dim=None, norm=None, *, out=None):
    "The Fourier transform over dims (all, or the last ones that s gives sizes for)."
    x = _operand("fftn", input, norm, True)
    return _transformed("fftn", x, _places("fftn", x, s, dim), norm, True, out)


@filed
def ifftn(input, s=None, dim=None, norm=None, *, out=None):
    "The inverse of `fftn`."
    x = _operand("ifftn", input, norm, True)
    return _transformed("ifftn", x, _places("ifftn", x, s, dim), norm, False, out)


@filed
def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    "The Fourier transform of real numbers over dims; of the last one the first n // 2 + 1 places."
    x = _operand("rfftn", input, norm, False)
    return _halved("rfftn", x, _places("rfftn", x, s, dim), norm, True, out)


@filed
def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    "The inverse of `rfftn`."
    x = _operand("irfftn", input, norm, True)
    return _made_real("irfftn", x, _places("irfftn", x, s, dim), norm, False, out)


@filed
def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    "As `hfft` over the last of dims, and the Fourier transform over the others."
    x = _operand("hfftn", input, norm, True)
    return _made_real("hfftn", x, _places("hfftn", x, s, dim), norm, True, out)


@filed
def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    "The inverse of `hfftn`."
    x = _operand("ihfftn", input, norm, False)
    return _halved("ihfftn", x, _places("ihfftn", x, s, dim), norm, False, out)


def _of_two_dims(function, doc):
    def transform(input, s=None, dim=(-2, -1), norm=None, *, out=None):
        return function(input, s, dim, norm, out=out)

    name = function.__name__[:-1] + "2"
    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"{doc} over two dims, the last ones unless given."
    return filed(transform)


fft2, ifft2 = _of_two_dims(fftn, "The Fourier transform"), _of_two_dims(ifftn, "The inverse of `fft2`,")
rfft2, irfft2 = _of_two_dims(rfftn, "The Fourier transform of real numbers"), _of_two_dims(irfftn, "The inverse of `rfft2`,")
hfft2, ihfft2 = _of_two_dims(hfftn, "The transform `hfftn`"), _of_two_dims(ihfftn, "The inverse of `hfft2`,")


# ------------------------------------------------------------------------------------------------ frequencies and shifts
def _frequencies(name, n, numbers, d, dtype, out, options):
    _whole_number(name, "n", n)
    if n < 0:
        raise RuntimeError(f"{name}: Trying to create tensor with negative dimension {n}: [{n}]")
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.check(name, dtype)
    if not kind.differentiable:
        raise RuntimeError(f"{name} requires a floating point or complex dtype, got {kind.name}")
    requires_grad = options.pop("requires_grad", False)
    options.pop("layout", None), options.pop("pin_memory", None)
    found = (numbers(kind.to_real(), **options) * (1.0 / (n * d) if n else 1.0)).to(kind)
    found = found if out is None else into(name, found, out)
    return found.requires_grad_() if requires_grad else found


@filed
def fftfreq(n, d=1.0, *, dtype=None, out=None, **options):
    "The frequencies of the places of `fft` of n samples at distances d: 0, 1, ..., then the negative ones, over n d."

    def numbers(kind, **options):
        return cat([arange((n + 1) // 2, dtype=kind, **options), arange(-(n // 2), 0, dtype=kind, **options)])

    return _frequencies("fftfreq", n, numbers, d, dtype, out, options)


@filed
def rfftfreq(n, d=1.0, *, dtype=None, out=None, **options):
    "The frequencies of the places of `rfft` of n samples at distances d."
    return _frequencies("rfftfreq", n, lambda kind, **options: arange(n // 2 + 1, dtype=kind, **options), d, dtype, out, options)


def _shifted(name, input, dim, share):
    x = tensor_of(f"fft_{name}", input)
    dims = layout.dims_of(name, dim, x._spec.ndim)
    if not dims:
        raise RuntimeError(f"{name}: `shifts` required: a zero-dimensional tensor has no dims to shift along")
    return roll(x, [share(x._spec.shape[d]) for d in dims], dims)


@filed
def fftshift(input, dim=None):
    "The places of a transform in the order of their frequencies, zero in the middle, along dims (all unless given)."
    return _shifted("fftshift", input, dim, lambda n: n // 2)


@filed
def ifftshift(input, dim=None):
    "The inverse of `fftshift`."
    return _shifted("ifftshift", input, dim, lambda n: (n + 1) // 2)


__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip
