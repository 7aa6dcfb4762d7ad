"""Reductions over any set of dims."""

from __future__ import annotations

import math

from numtape import dtypes, graph, layout
from numtape.dispatch import rows
from numtape.dispatch.functions import Reductions, into
from numtape.graph import Symbol
from numtape.op import accumulating
from numtape.ops import complex, view
from numtape.ops.copy import tensor_of
from numtape.ops.define import composite, reduction, row
from numtape.tensor import Tensor

INF = {"f32": "inf", "f64": "inf"}


def _same(kind):
    return kind


def _bool(kind):
    return dtypes.bool


def spread(g, dim, shape):
    """The gradient of a sum over `dim`: g for every element of `shape`."""
    if isinstance(g, Symbol):
        return g
    return view.repeated(g, dim, shape)


def count(x, dim):
    """The number of elements that a reduction over `dim` takes together."""
    if isinstance(x, Symbol):
        return graph.count()
    return math.prod(x._spec.shape[d] for d in layout.dims_of("count", dim, x._spec.ndim))


@reduction(accumulating, "sum_of({a}, {b})", 0, vjp=lambda g, dim, shape: spread(g, dim, shape), wide=True, empty=0, rule_on_tensors=True, linear=True, complex=True)
def sum(x, y):
    "The sum of the elements over `dim`; integers and bools add up in int64."
    return x + y


@reduction(
    accumulating,
    "product_of({a}, {b})",
    1,
    vjp=lambda g, x, dim: g * product_of_others(x, dim),
    empty=1,
    rule_on_tensors=True,
    complex=True,
)
def prod(x, y):
    "The product of the elements over `dim`; integers and bools multiply in int64."
    return x * y


def _lowest(kind):
    return "-inf" if kind.is_floating_point else "0" if not kind.is_signed else str(-(2 ** (8 * kind.itemsize - 1)))


def _highest(kind):
    return "inf" if kind.is_floating_point else "1" if kind is dtypes.bool else str(2 ** (8 * kind.itemsize - kind.is_signed) - 1)


@reduction(_same, "maximum", _lowest, vjp=lambda g, x, out, dim: share(g, x, out, dim))
def amax(x, y):
    "The largest element over `dim`; NaN if there is one. Ties share the gradient."
    return x if x > y else y


@reduction(_same, "minimum", _highest, vjp=lambda g, x, out, dim: share(g, x, out, dim))
def amin(x, y):
    "The smallest element over `dim`; NaN if there is one. Ties share the gradient."
    return x if x < y else y


@reduction(_bool, "({a} | {b})", 0, empty=False, complex=True)
def any(x, y):
    "Whether an element over `dim` is non-zero."
    return x | y


@reduction(_bool, "({a} & {b})", 1, empty=True, complex=True)
def all(x, y):
    "Whether all elements over `dim` are non-zero."
    return x & y


def share(g, x, out, dim):
    """The gradient of an extremum: g divided among the elements that equal it."""
    mask = x == out
    from numtape.ops.select import where

    return where(mask, g / sum(where(mask, 1.0, 0.0), dim, True), 0.0)


def product_of_others(x, dim):
    """For each element the product of all others over `dim`, exact also where elements are zero."""
    from numtape.ops.select import where

    zeros = sum((x == 0).to(x.dtype), dim, True)
    rest = prod(where(x == 0, 1.0, x), dim, True)
    return where(zeros == 0, rest / where(x == 0, 1.0, x), where((zeros == 1) & (x == 0), rest, 0.0))


# ------------------------------------------------------------------------------------------------ formulas of a row
def float_operand(name: str, x):
    """The input of a mean or a norm: floating point, or an error as PyTorch's."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")
    if not x._spec.dtype.differentiable:
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {x._spec.dtype.name}; "
            "convert it first, or give dtype="
        )
    return x


@row(vjp=(lambda g, dim, shape: spread(g / math.prod(shape[d] for d in dim), dim, shape), None), reduces=True, empty=math.nan, rule_on_tensors=True, linear=True, complex=True, stepwise=True)
def row_mean(x, dim):
    "The mean over `dim`."
    return sum(x, dim, True) / count(x, dim)


@row(vjp=(lambda g, x, dim, correction: g * (x - row_mean_of(x, dim)) * (2.0 * _inverse(count(x, dim) - correction)), None, None), reduces=True, empty=math.nan)
def row_var(x, dim, correction):
    "The variance over `dim`, divided by the number of elements minus `correction`."
    d = x - sum(x, dim, True) / count(x, dim)
    return sum(d * d, dim, True) / _positive(count(x, dim) - correction)


@row(
    vjp=(
        lambda g, x, out, dim, correction: g / out * (x - row_mean_of(x, dim)) * _inverse(count(x, dim) - correction),
        None,
        None,
    ),
    reduces=True,
    empty=math.nan,
)
def row_std(x, dim, correction):
    "The square root of the variance."
    d = x - sum(x, dim, True) / count(x, dim)
    return (sum(d * d, dim, True) / _positive(count(x, dim) - correction)).sqrt()


def _inverse(n):
    """1 / n, infinite for 0."""
    return 1.0 / n if isinstance(n, Symbol) or n else math.inf


def _positive(n):
    return n.clamp_min(0) if isinstance(n, Symbol) else max(n, 0)


def row_mean_of(x, dim):
    return sum(x, dim, True) / count(x, dim)


@row(vjp=(lambda g, x, out: g * (x - out).exp(), None), reduces=True, empty=-math.inf)
def row_logsumexp(x, dim):
    "log(sum(e**x)) over `dim`, without leaving the range of the dtype."
    from numtape.ops.select import where

    top = amax(x, dim, True)
    safe = where(top.isfinite(), top, 0.0)
    return sum((x - safe).exp(), dim, True).log() + safe


def row_logsumexp_of(x, dim):
    """log(sum(e**x)) over `dim` with keepdim, in the words of a rule."""
    top = amax(x, dim, True)
    return sum((x - top).exp(), dim, True).log() + top


@row(vjp=(lambda g, x, out: _norm_slope(g, x, out), None), reduces=True, empty=0)
def row_norm2(x, dim):
    "The Euclidean norm over `dim`."
    return sum(x * x, dim, True).sqrt()


def _norm_slope(g, x, out):
    from numtape.ops.select import where

    return where(out == 0, 0.0, g * x / out)


def _dims(name, dim, ndim):
    return layout.dims_of(name, dim, ndim)


_means = Reductions(row_mean)


@composite
def mean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    "The mean of the elements over `dim`, in floating point."
    if dtype is None and out is None:
        result = _means(input, dim, keepdim)
        if result is not None:
            return result
    x = float_operand("mean", input if dtype is None else input.to(dtype))
    dims = _dims("mean", dim, x._spec.ndim)
    result = rows.call(row_mean, (x, None), dims, keepdim)
    _means.learn((x._spec, (None,), dims, keepdim, (graph.FULL, graph.FULL)), x, dim, dims, keepdim)
    return result if out is None else into("mean", result, out)


def _spread_op(name, op):
    def function(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
        if isinstance(dim, bool):  # var(input, unbiased)
            dim, unbiased = None, dim
        x = float_operand(name, input)
        if unbiased is not None and correction is not None:
            raise TypeError(f"{name}: give unbiased or correction, not both")
        correction = (1 if unbiased is None or unbiased else 0) if correction is None else correction
        if x._spec.dtype.is_complex:  # of the real and the imaginary parts together
            result = var(complex.real(x), dim, None, keepdim, correction=correction) + var(complex.imag(x), dim, None, keepdim, correction=correction)
            result = result if name == "var" else result.sqrt()
            return result if out is None else into(name, result, out)
        result = rows.call(op, (x, None, correction), _dims(name, dim, x._spec.ndim), keepdim)
        return result if out is None else into(name, result, out)

    function.__name__, function.__doc__ = name, f"{op.doc[:-1]} (1 unless given)."
    return composite(function)


var = _spread_op("var", row_var)
std = _spread_op("std", row_std)


@composite
def logsumexp(input, dim, keepdim=False, *, out=None):
    "log(sum(e**x)) over `dim`, without leaving the range of the dtype."
    x = tensor_of("logsumexp", input)
    x = x if x._spec.dtype.differentiable else x.to(dtypes.get_default_dtype())
    dims = _dims("logsumexp", dim, x._spec.ndim)
    result = _complex_logsumexp(x, dims, keepdim) if x._spec.dtype.is_complex else rows.call(row_logsumexp, (x, None), dims, keepdim)
    return result if out is None else into("logsumexp", result, out)


def _complex_logsumexp(x, dims, keepdim):
    top = amax(complex.real(x.detach()), dims, True)
    top = top.masked_fill(top.isfinite().logical_not(), 0.0)
    found = sum((x - top).exp(), dims, True).log() + top
    return found if keepdim else found.squeeze(dims)


@composite
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    "The p-norm of the elements over `dim`: 'fro' and 2 are Euclidean; inf, -inf, 0, 1 and any other number as in PyTorch."
    x = float_operand("norm", input if dtype is None else input.to(dtype))
    dims = _dims("norm", dim, x._spec.ndim)
    x = x.abs() if x._spec.dtype.is_complex else x
    if p in ("fro", None) or p == 2:
        result = rows.call(row_norm2, (x, None), dims, keepdim)
    elif isinstance(p, str):
        raise ValueError(f"norm: p: expected a number or 'fro', got {p!r}")
    elif p == math.inf:
        result = amax(x.abs(), dims, keepdim)
    elif p == -math.inf:
        result = amin(x.abs(), dims, keepdim)
    elif p == 0:
        from numtape.ops.arithmetic import zero

        result = sum((x != 0).to(x.dtype) + zero(x), dims, keepdim)
    elif p == 1:
        result = sum(x.abs(), dims, keepdim)
    else:
        result = sum(x.abs() ** p, dims, keepdim) ** (1.0 / p)
    return result if out is None else into("norm", result, out)

