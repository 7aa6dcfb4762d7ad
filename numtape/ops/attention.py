"""Scaled dot-product attention."""

from __future__ import annotations

import functools
import math

from numtape import dtypes
from numtape.dispatch import rows
from numtape.dispatch.elementwise import same_device
from numtape.ops.creation import arange, zeros
from numtape.ops.define import composite, row
from numtape.ops.exponential import exp
from numtape.ops.reduce import amax, sum
from numtape.ops.select import where
from numtape.tensor import Tensor

KEPT = 1 << 18  # elements of a causal mask that is kept
PRIVATE = {"scaled_dot_product_attention"}  # a name of nn.functional alone


def _slope(g, out, dim):
    return out * (g - sum(g * out, dim, True))


@row(vjp=(lambda g, out, dim, scale: scale * _slope(g, out, dim), None, None))
def row_scaled_softmax(x, dim, scale):
    "softmax(x * scale) over `dim`."
    e = exp((x - amax(x, dim, True)) * scale)
    return e / sum(e, dim, True)


@row(vjp=(lambda g, out, dim, scale: scale * _slope(g, out, dim), lambda g, out, dim: _slope(g, out, dim), None, None))
def row_biased_softmax(x, bias, dim, scale):
    "softmax(x * scale + bias) over `dim`; zeros where the bias leaves nothing, being -inf all along."
    scores = x * scale + bias
    top = amax(scores, dim, True)
    e = exp(scores - where(top == -math.inf, 0.0, top))
    total = sum(e, dim, True)
    return e / where(total == 0, 1.0, total)


def _bias(mask, query, key):
    """The mask as numbers to add: 0 where it is true, -inf elsewhere."""
    if mask.dtype is dtypes.bool:
        return where(mask, 0.0, -math.inf).to(query.dtype)
    if mask.dtype is not query.dtype:
        raise RuntimeError(f"Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: {mask.dtype} and query.dtype: {query.dtype} instead.")
    return mask


def causal_bias(query, rows_, columns):
    """0 at and below the diagonal, -inf above. Small ones are kept: making one takes five launches."""
    make = _kept_bias if rows_ * columns <= KEPT else _kept_bias.__wrapped__
    return make(query.dtype, query.device, rows_, columns)


@functools.lru_cache(8)
def _kept_bias(dtype, device, rows_, columns):
    i, j = arange(rows_, device=device).reshape(-1, 1), arange(columns, device=device)
    return where(i >= j, zeros((), dtype=dtype, device=device), -math.inf)


@composite(functional=True)
def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    "softmax(query @ key.T * scale + mask) @ value; see nn.functional."
    for name, t in (("query", query), ("key", key), ("value", value)):
        if not isinstance(t, Tensor):
            raise TypeError(f"scaled_dot_product_attention(): argument '{name}' must be Tensor, not {type(t).__name__}")
        if t.ndim < 2:
            raise RuntimeError(f"Expected query, key, and value to all be  at least 2 dimensional, but got {name} of shape {tuple(t.shape)}")
        if t.dtype is not query.dtype:
            raise RuntimeError(
                f"Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
            )
    if not query.dtype.is_floating_point:
        raise RuntimeError(f"scaled_dot_product_attention: not implemented for {query.dtype.name} tensors; expected floating point, convert with .float()")
    same_device("scaled_dot_product_attention", query, key, value)
    if is_causal and attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    if enable_gqa:
        heads = query.shape[-3]
        key, value = (_repeated(t, heads) for t in (key, value))
    scores = query @ key.transpose(-2, -1)
    dims = (scores.ndim - 1,)
    bias = causal_bias(query, *scores.shape[-2:]) if is_causal else None if attn_mask is None else _bias(attn_mask, query, key)
    if bias is None:
        weights = rows.call(row_scaled_softmax, (scores, None, scale), dims, True)
    else:
        weights = rows.call(row_biased_softmax, (scores, bias.expand(scores.shape), None, scale), dims, True)
    if dropout_p:
        weights = _dropped(weights, dropout_p)
    return weights @ value


def _repeated(t, heads):
    """The heads of keys or values repeated, so that there are as many as queries."""
    have = t.shape[-3]
    if heads % have:
        raise RuntimeError(f"Number of heads in key and value must divide the number of heads in query, got {have} and {heads}")
    shape = tuple(t.shape)
    repeated = t.unsqueeze(-3).expand(*shape[:-2], heads // have, *shape[-2:])
    return repeated.reshape(*shape[:-3], heads, *shape[-2:])


def _dropped(weights, p):
    from numtape.ops.random import rand_like

    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    kept = (rand_like(weights.detach()) >= p).to(weights.dtype)
    return weights * (kept / (1.0 - p) if p < 1.0 else kept)
