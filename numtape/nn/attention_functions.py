"""Attention, names of `nn.functional`: scaled dot products, and the whole of multi-head attention."""

from __future__ import annotations

from typing import Any

import numtape as nt

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query @ key.T * scale + mask) @ value. Vaswani et al. 2017.

    query: (*, L, E), key: (*, S, E), value: (*, S, Ev); returns (*, L, Ev). attn_mask, broadcast to (*, L, S): bool, true where a
    query may look, or numbers to add. is_causal: query i looks at keys 0 to i. scale: 1 / sqrt(E) unless given. enable_gqa: key
    and value have fewer heads (dim -3) than query, and each serves several. A query that may look nowhere gets zeros.

    Raises RuntimeError where dtypes differ, sizes do not fit, or both a mask and `is_causal` are given.

    >>> nt.nn.functional.scaled_dot_product_attention(nt.zeros(1, 2), nt.zeros(2, 2), nt.tensor([[1.0], [3.0]]))
    tensor([[2.]])
    """
    attention = nt.ops.attention.scaled_dot_product_attention
    return attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)


def _mask_as_numbers(mask: Any, dtype: Any, name: str) -> Any:
    "0 where a bool mask is false, -inf where it is true (which forbids, here); numbers as they are."
    if mask is None:
        return None
    if mask.dtype == nt.bool:
        return nt.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask, float("-inf"))
    if not mask.is_floating_point():
        raise RuntimeError(f"only bool and floating types of {name} are supported, got {mask.dtype}")
    return mask.to(dtype)


def _project_in(query: Any, key: Any, value: Any, weights: tuple, bias: Any) -> list:
    "Queries, keys and values of all heads; `weights` is one stacked matrix or three."
    linear = nt.nn.functional.linear
    width = query.shape[-1]
    if len(weights) == 1:
        if key is value and query is key:
            return list(linear(query, weights[0], bias).chunk(3, -1))
        weights = weights[0].split(width)
    biases = (None, None, None) if bias is None else bias.split(width)
    return [linear(t, w, b) for t, w, b in zip((query, key, value), weights, biases)]


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple:
    """Multi-head attention (Vaswani et al. 2017): projections, attention of each head, and the projection of what they found.

    query: (L, N, E) or (L, E); key, value: (S, N, *) or (S, *); in_proj_weight: (3 E, E), or three weights with
    `use_separate_proj_weight`; out_proj_weight: (E, E). key_padding_mask: (N, S) or (S), attn_mask: (L, S) or (N * heads, L, S); bool,
    true where a query may NOT look, or numbers to add. bias_k, bias_v: (1, 1, E), a key and a value more. static_k, static_v:
    (N * heads, S, E / heads), instead of the projected ones. `is_causal` says of a given mask that it is causal.

    Returns the result, shaped like query, and with `need_weights` the weights (N, L, S), averaged over heads, or (N, heads, L, S).

    Raises RuntimeError or AssertionError where sizes do not fit.

    >>> x, eye = nt.ones(2, 1, 2), nt.eye(2)
    >>> out, weights = nt.nn.functional.multi_head_attention_forward(
    ...     x, x, x, 2, 1, nt.cat([eye, eye, eye]), None, None, None, False, 0.0, eye, None)
    >>> out.tolist(), weights.tolist()
    ([[[1.0, 1.0]], [[1.0, 1.0]]], [[[0.5, 0.5], [0.5, 0.5]]])
    """
    batched = query.ndim == 3
    if query.ndim not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor")
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise AssertionError(f"expected key and value of {query.ndim} dims as query, got {key.ndim} and {value.ndim}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if not batched:
        same = key is value, query is key
        query = query.unsqueeze(1)
        key = query if same[1] else key.unsqueeze(1)
        value = key if same[0] else value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    source = key.shape[0]
    if width != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    size = width // num_heads
    if size * num_heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
        weights: tuple = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        weights = (in_proj_weight,)
    q, k, v = _project_in(query, key, value, weights, in_proj_bias)
    mask = _mask_as_numbers(attn_mask, q.dtype, "attn_mask")
    padding = _mask_as_numbers(key_padding_mask, q.dtype, "key_padding_mask")
    if mask is not None:
        mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
        expected = (1 if mask.shape[0] == 1 and attn_mask.ndim == 2 else batch * num_heads, length, source)
        if tuple(mask.shape) != expected:
            raise RuntimeError(f"The shape of the attn_mask is {tuple(attn_mask.shape)}, but should be {expected[-attn_mask.ndim :]}.")
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must be given together")
    extra = 0
    if bias_k is not None:
        k, v, extra = nt.cat([k, bias_k.expand(1, batch, width)]), nt.cat([v, bias_v.expand(1, batch, width)]), 1
    q = q.reshape(length, batch * num_heads, size).transpose(0, 1)
    k = k.reshape(k.shape[0], batch * num_heads, size).transpose(0, 1) if static_k is None else static_k
    v = v.reshape(v.shape[0], batch * num_heads, size).transpose(0, 1) if static_v is None else static_v
    if add_zero_attn:
        k, v = (nt.cat([t, t.new_zeros((batch * num_heads, 1, size))], 1) for t in (k, v))
        extra += 1
    if extra and mask is not None:
        mask = nt.cat([mask, mask.new_zeros((*mask.shape[:2], extra))], 2)
    if extra and padding is not None:
        padding = nt.cat([padding, padding.new_zeros((batch, extra))], 1)
    source = k.shape[1]
    if padding is not None:
        if tuple(padding.shape) != (batch, source):
            raise AssertionError(f"expecting key_padding_mask shape of {(batch, source)}, but got {tuple(padding.shape)}")
        wide = padding.reshape(batch, 1, 1, source).expand(batch, num_heads, 1, source).reshape(batch * num_heads, 1, source)
        mask = wide if mask is None else mask + wide
    dropout_p = dropout_p if training else 0.0
    linear, found = nt.nn.functional.linear, None
    if need_weights:
        scores = (q * (1.0 / size) ** 0.5) @ k.transpose(1, 2)
        found = nt.softmax(scores if mask is None else scores + mask, -1)
        found = nt.nn.functional.dropout(found, dropout_p) if dropout_p else found
        out = found @ v
        found = found.reshape(batch, num_heads, length, source)
        found = found.mean(1) if average_attn_weights else found
        found = found if batched else found.squeeze(0)
    else:
        if mask is not None:
            mask = mask.expand(batch * num_heads, length, source)
        out = scaled_dot_product_attention(q, k, v, mask, dropout_p)
    out = linear(out.transpose(0, 1).reshape(length * batch, width), out_proj_weight, out_proj_bias)
    out = out.reshape(length, batch, out.shape[1])
    return (out if batched else out.squeeze(1)), found
