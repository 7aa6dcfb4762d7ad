"""Normalisation over the last dims."""

from __future__ import annotations

from numtape.dispatch import rows
from numtape.dispatch.elementwise import same_device
from numtape.ops.define import composite, row
from numtape.ops.reduce import float_operand, row_mean_of
from numtape.tensor import Tensor


def _standard(x, dim, eps):
    """x with mean 0 and variance 1 over `dim`, and the factor that made it so."""
    centred = x - row_mean_of(x, dim)
    factor = (row_mean_of(centred * centred, dim) + eps).rsqrt()
    return centred * factor, factor


def _slope(g, x, dim, eps):
    """The gradient of the standardised values with respect to x."""
    standard, factor = _standard(x, dim, eps)
    return factor * (g - row_mean_of(g, dim) - standard * row_mean_of(g * standard, dim))


@row(vjp=(lambda g, x, dim, eps: _slope(g, x, dim, eps), None, None))
def row_standard(x, dim, eps):
    "x with mean 0 and variance 1 over `dim` (Ba, Kiros & Hinton 2016); eps keeps the root from zero."
    return _standard(x, dim, eps)[0]


@row(
    vjp=(
        lambda g, x, weight, dim, eps: _slope(g * weight, x, dim, eps),
        lambda g, x, dim, eps: g * _standard(x, dim, eps)[0],
        lambda g: g,
        None,
        None,
    )
)
def row_layer_norm(x, weight, bias, dim, eps):
    "As `row_standard`, times weight plus bias."
    return _standard(x, dim, eps)[0] * weight + bias


@composite(domain="norm")
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True):
    "The input with mean 0 and variance 1 over its last dims, `normalized_shape`; then times weight plus bias, of that shape."
    x = float_operand("layer_norm", input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    ndim = x._spec.ndim
    if not shape or x._spec.shape[ndim - len(shape) :] != shape:
        raise RuntimeError(
            f"layer_norm: Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{list(x.shape)}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is None:
            continue
        if not isinstance(t, Tensor):
            raise TypeError(f"layer_norm(): argument '{name}' must be Tensor, not {type(t).__name__}")
        if t._spec.shape != shape:
            raise RuntimeError(f"layer_norm: Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(t.shape)} and normalized_shape = {list(shape)}")
        if t._spec.dtype is not x._spec.dtype:
            raise RuntimeError(f"layer_norm: expected {name} to have the input's dtype {x.dtype}, got {t.dtype}")
        same_device("layer_norm", x, t)
    dims = tuple(range(ndim - len(shape), ndim))
    if weight is not None and bias is not None:
        return rows.call(row_layer_norm, (x, weight, bias, None, float(eps)), dims, True)
    result = rows.call(row_standard, (x, None, float(eps)), dims, True)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias
