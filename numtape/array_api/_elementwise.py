"""Functions of one or two elements. Two arrays are promoted alike whatever their dims, as the standard asks."""

from __future__ import annotations

import numtape as nt
from numtape.array_api import _info

_UNARY = {
    "abs": "abs", "acos": "acos", "acosh": "acosh", "asin": "asin", "asinh": "asinh", "atan": "atan", "atanh": "atanh", "bitwise_invert": "bitwise_not",
    "conj": "conj", "cos": "cos", "cosh": "cosh", "exp": "exp", "expm1": "expm1", "imag": "imag", "isfinite": "isfinite", "isinf": "isinf",
    "isnan": "isnan", "log": "log", "log10": "log10", "log1p": "log1p", "log2": "log2", "logical_not": "logical_not", "negative": "neg",
    "positive": "positive", "real": "real", "reciprocal": "reciprocal", "sign": "sgn", "signbit": "signbit", "sin": "sin", "sinh": "sinh",
    "sqrt": "sqrt", "square": "square", "tan": "tan", "tanh": "tanh",
}  # fmt: skip
_BINARY = {
    "add": "add", "atan2": "atan2", "bitwise_and": "bitwise_and", "bitwise_left_shift": "bitwise_left_shift", "bitwise_or": "bitwise_or",
    "bitwise_right_shift": "bitwise_right_shift", "bitwise_xor": "bitwise_xor", "copysign": "copysign", "divide": "div", "equal": "eq",
    "floor_divide": "floor_divide", "greater": "gt", "greater_equal": "ge", "hypot": "hypot", "less": "lt", "less_equal": "le",
    "logaddexp": "logaddexp", "logical_and": "logical_and", "logical_or": "logical_or", "logical_xor": "logical_xor", "maximum": "maximum",
    "minimum": "minimum", "multiply": "mul", "nextafter": "nextafter", "not_equal": "ne", "pow": "pow", "remainder": "remainder", "subtract": "sub",
}  # fmt: skip
_INTEGERS_STAY = ("ceil", "floor", "round", "trunc")
__all__ = [*_UNARY, *_BINARY, *_INTEGERS_STAY, "clip", "where"]


def together(name, *values):
    """Arrays converted to their common dtype; Python numbers become zero-dimensional arrays of it."""
    if not any(isinstance(v, nt.Tensor) for v in values):
        raise TypeError(f"{name}: expected at least one array")
    kind = _info.result_type(*values)
    where = next(v.device for v in values if isinstance(v, nt.Tensor))
    return [v.to(kind) if isinstance(v, nt.Tensor) else nt.full((), v, dtype=kind, device=where) for v in values]


def _unary(name):
    function = getattr(nt, _UNARY[name])

    def apply(x, /):
        return function(x)

    return _named(apply, name, function)


def _binary(name):
    function = getattr(nt, _BINARY[name])

    def apply(x1, x2, /):
        return function(*together(name, x1, x2))

    return _named(apply, name, function)


def _rounding(name):
    function = getattr(nt, name)

    def apply(x, /):
        if x.dtype.is_complex and name == "round":
            return nt.complex(function(x.real), function(x.imag))
        return function(x) if x.dtype.differentiable else x.clone()

    return _named(apply, name, function)


def _named(apply, name, source):
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = source.__doc__
    return apply


for _make, _names in ((_unary, _UNARY), (_binary, _BINARY), (_rounding, _INTEGERS_STAY)):
    globals().update({_name: _make(_name) for _name in _names})


def clip(x, /, min=None, max=None):
    """x, not below `min` and not above `max`, in its dtype."""
    low, high = (v.to(x.dtype) if isinstance(v, nt.Tensor) else v for v in (min, max))
    if low is None and high is None:
        return x.clone()
    low, high = (nt.full((), v, dtype=x.dtype, device=x.device) if isinstance(v, int | float) else v for v in (low, high))
    found = x if low is None else nt.maximum(x, low)
    return found if high is None else nt.minimum(found, high)


def where(condition, x1, x2, /):
    """x1 where the condition holds, else x2."""
    return nt.where(condition, *together("where", x1, x2))
