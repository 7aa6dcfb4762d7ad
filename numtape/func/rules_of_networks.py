"""Batching rules of products and of what networks are made of; see `rules.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numtape as nt
from numtape.autograd._trees import flatten, unflatten
from numtape.func.batched import RULES, Layer
from numtape.func.rules import _signature, _tensors, rule
from numtape.tensor import Tensor


# ------------------------------------------------------------------------------------------------ products
def _product(layer: Layer, a: Any, b: Any) -> Any:
    "a @ b for examples of any number of dims."
    if not a.ndim or not b.ndim:
        return NotImplemented
    if not layer.has(b) and b.ndim == 2:  # the batch is one more dim of rows
        return nt.matmul(a._value, b)
    if not layer.has(a) and a.ndim == 2 and b.ndim == 1:
        return nt.matmul(b._value, a.t())
    row, column = a.ndim == 1, b.ndim == 1
    a = layer.wrap(layer.front(a).unsqueeze(1)) if row else a
    b = layer.wrap(layer.front(b).unsqueeze(2)) if column else b
    ndim = max(a.ndim, b.ndim)
    found = nt.matmul(layer.aligned(a, ndim), layer.aligned(b, ndim))
    if row:
        found = found.squeeze(-2)
    return found.squeeze(-1) if column else found


_NDIMS = {"mm": (2, 2), "mv": (2, 1), "bmm": (3, 3), "dot": (1, 1), "vdot": (1, 1), "inner": (1, 1)}


@rule("matmul", "mm", "mv", "bmm", "dot", "vdot", "inner", "rmatmul")
def _matmul(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    name = function.args[0]
    if kwargs or len(args) != 2 or not all(isinstance(t, Tensor) for t in args) or args[0].dtype is not args[1].dtype:
        return NotImplemented
    a, b = args if name != "rmatmul" else args[::-1]
    if name in _NDIMS and (a.ndim, b.ndim) != _NDIMS[name]:
        return NotImplemented
    return _product(layer, a, b)


@rule("linear")
def _linear(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    x, weight, *bias = args
    b = bias[0] if bias else kwargs.get("bias")
    if not x.ndim or weight.ndim != 2:
        return NotImplemented
    if not layer.has(weight) and not layer.has(b):
        return function(x._value, weight, b)
    if layer.has(weight):
        turned = layer.wrap(weight._value.transpose(1, 2))
    else:
        turned = weight.t()
    found = nt.matmul(x, turned) if not layer.has(x) and not layer.has(turned) else _product(layer, x, turned)
    if found is NotImplemented or b is None:
        return found
    return found + (layer.aligned(b, found.ndim - 1) if layer.has(b) else b)


@rule("einsum")
def _einsum(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = list(operands[0])
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        return NotImplemented
    used = set(equation)
    letter = next(c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in used)
    if not arrow:
        every = "".join(terms).replace(".", "")
        output = ("..." if "..." in inputs else "") + "".join(sorted(c for c in set(every) if every.count(c) == 1))
    terms = [letter + term if layer.has(t) else term for term, t in zip(terms, operands)]
    return function(f"{','.join(terms)}->{letter}{output}", *[t._value if layer.has(t) else t for t in operands])


@rule("outer")
def _outer(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if kwargs or args[0].ndim != 1 or args[1].ndim != 1:
        return NotImplemented
    return layer.front(args[0]).unsqueeze(2) * layer.front(args[1]).unsqueeze(1)


# ------------------------------------------------------------------------------------------------ networks
@rule("addmm", "addmv", "baddbmm")
def _added(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    given = _signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    (_, start), (_, a), (_, b) = list(given.arguments.items())[:3]
    kind = {"addmm": (2, 2), "addmv": (2, 1), "baddbmm": (3, 3)}[function.args[0]]
    beta, alpha = given.arguments["beta"], given.arguments["alpha"]
    if given.arguments.get("out") is not None or (a.ndim, b.ndim) != kind or not beta or start.dtype is not a.dtype or start.ndim > 2:
        return NotImplemented
    product = nt.matmul(a, b) if not layer.has(a) and not layer.has(b) else _product(layer, a, b)
    return nt.add(layer.aligned(start, max(kind) if kind != (2, 1) else 1) * beta, product, alpha=alpha)


@rule("scaled_dot_product_attention")
def _attention(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    given = _signature(function).bind(*args, **kwargs)
    a, mask = given.arguments, given.arguments.get("attn_mask")
    several = [a[k] for k in ("query", "key", "value")]
    ndim = several[0].ndim
    if a.get("dropout_p") or ndim < 2 or any(t.ndim != ndim for t in several):
        return NotImplemented
    a.update({k: layer.front(a[k]) for k in ("query", "key", "value")})
    if mask is not None:
        a["attn_mask"] = layer.aligned(mask, ndim)
    return function(*given.args, **given.kwargs)


@rule("pad", "constant_pad_nd")
def _pad(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    widths = args[1] if len(args) > 1 else kwargs.get("pad", ())
    if (len(args) > 2 and isinstance(args[2], str) and args[2] != "constant") or kwargs.get("mode", "constant") != "constant" or len(widths) > 2 * args[0].ndim:
        return NotImplemented
    return function(args[0]._value, *args[1:], **kwargs)


@rule("group_norm")
def _group_norm(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    given = _signature(function).bind(*args, **kwargs).arguments
    x, weight, bias = given["input"], given.get("weight"), given.get("bias")
    if not layer.has(x) or x.ndim < 2:
        return NotImplemented
    value, rest = x._value, {k: v for k, v in given.items() if k not in ("input", "num_groups", "weight", "bias")}
    found = function(value.reshape(-1, *value.shape[2:]), given["num_groups"], **rest).reshape(value.shape)
    weight, bias = (None if p is None else layer.front(p).reshape(layer.size, 1, -1, *[1] * (x.ndim - 2)) for p in (weight, bias))
    found = found if weight is None else found * weight
    return found if bias is None else found + bias


@rule("layer_norm", "rms_norm")
def _layer_norm(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    given = _signature(function).bind(*args, **kwargs).arguments
    x, shape, weight, bias = given["input"], given["normalized_shape"], given.get("weight"), given.get("bias")
    if not layer.has(x):
        return NotImplemented
    rest = {k: v for k, v in given.items() if k not in ("input", "normalized_shape", "weight", "bias")}
    if not layer.has(weight) and not layer.has(bias):
        return function(x._value, shape, weight, bias, **rest) if bias is not None else function(x._value, shape, weight, **rest)
    found = function(x._value, shape, **rest)
    found = found if weight is None else found * layer.aligned(weight, x.ndim)
    return found if bias is None else found + layer.aligned(bias, x.ndim)


def _folded(dims: int) -> Callable:
    "A rule for an op of (N, C, ...) or (C, ...) with `dims` dims behind, whose examples do not meet: the batch becomes part of N."

    def apply(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
        x, others = args[0], _tensors([*args[1:], *kwargs.values()])
        if not layer.has(x) or any(layer.has(t) for t in others) or x.ndim not in (dims + 1, dims + 2):
            return NotImplemented
        value = x._value
        found = function(value if x.ndim == dims + 1 else value.reshape(-1, *value.shape[2:]), *args[1:], **kwargs)
        if x.ndim == dims + 1:
            return found
        leaves, structure = flatten(found)
        return unflatten(structure, [t.reshape(layer.size, -1, *t.shape[1:]) for t in leaves])

    return apply


for _dims in (1, 2, 3):
    for _name in ("max_pool{}d", "max_pool{}d_with_indices", "avg_pool{}d", "adaptive_avg_pool{}d", "adaptive_max_pool{}d", "conv_transpose{}d", "lp_pool{}d"):
        RULES[_name.format(_dims)] = _folded(_dims)


def _convolution(dims: int) -> Callable:
    folded = _folded(dims)

    def apply(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
        given = _signature(function).bind(*args, **kwargs)
        given.apply_defaults()
        x, weight, bias, groups = (given.arguments[k] for k in ("input", "weight", "bias", "groups"))
        if not layer.has(weight) and not layer.has(bias):
            return folded(layer, function, args, kwargs)
        if x.ndim not in (dims + 1, dims + 2):
            return NotImplemented
        single = x.ndim == dims + 1
        value = layer.front(x.unsqueeze(0) if single and not layer.has(x) else x)
        value = value.unsqueeze(1) if single and layer.has(x) else value  # (B, N, C, ...)
        weights = layer.front(weight)  # (B, O, C / groups, ...)
        n, size = value.shape[1], layer.size
        joined = value.transpose(0, 1).reshape(n, size * value.shape[2], *value.shape[3:])  # each example is a group of channels
        rest = {k: given.arguments[k] for k in ("stride", "padding", "dilation")}
        found = function(joined, weights.reshape(-1, *weights.shape[2:]), None, groups=size * groups, **rest)
        found = found.reshape(n, size, -1, *found.shape[2:]).transpose(0, 1)
        if bias is not None:
            found = found + layer.front(bias).reshape(size, 1, -1, *[1] * dims)
        return found.squeeze(1) if single else found

    return apply


for _dims in (1, 2, 3):
    RULES[f"conv{_dims}d"] = _convolution(_dims)


@rule("cross_entropy", "nll_loss")
def _class_loss(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    "Scores (C) or (N, C) and classes: the losses of all items at once, then their mean or sum for each example."
    given = _signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    a = given.arguments
    x, target = a["input"], a["target"]
    if a["weight"] is not None or a["size_average"] is not None or a["reduce"] is not None or target.is_floating_point() or x.ndim > 2 or target.ndim != x.ndim - 1:
        return NotImplemented
    x, target = layer.front(x), layer.front(target)
    if a["reduction"] == "mean" and bool((target == a["ignore_index"]).any()):
        return NotImplemented
    rest = {k: v for k, v in a.items() if k in ("ignore_index", "label_smoothing")}
    losses = function(x.reshape(-1, x.shape[-1]), target.reshape(-1), reduction="none", **rest).reshape(target.shape)
    if a["reduction"] == "none" or losses.ndim == 1:
        return losses
    return losses.mean(1) if a["reduction"] == "mean" else losses.sum(1)
