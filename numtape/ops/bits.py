"""Whole numbers: common divisors and shifted bits."""

from __future__ import annotations

from numtape import dtypes
from numtape.dispatch import functions
from numtape.graph import Symbol
from numtape.op import TABLE, promoted
from numtape.ops.define import elementwise
from numtape.tensor import Tensor

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)


def _whole(name, operands):
    kind = promoted(operands)
    if kind.is_floating_point or kind is dtypes.bool:
        raise RuntimeError(f"{name}: not implemented for {kind.name} tensors; expected an integer dtype")
    return [kind] * len(operands), kind


@elementwise(_whole)
def gcd(x, y):
    "The greatest common divisor, not negative; gcd(0, 0) is 0."
    return m.gcd(x, y)


@elementwise(_whole)
def lcm(x, y):
    "The least common multiple, not negative; 0 where x or y is 0."
    return m.lcm(x, y)


@elementwise(_whole)
def bitwise_left_shift(x, y):
    "x * 2**y in the bits of the dtype; 0 where y is negative or has no fewer bits than the dtype."
    return m.left_shift(x, y)


@elementwise(_whole)
def bitwise_right_shift(x, y):
    "x / 2**y rounded down; where y is negative or too large, what is left of x is its sign: 0 or -1."
    return m.right_shift(x, y)


def _tensors_only(name):
    """PyTorch's gcd and lcm take no numbers."""
    function = TABLE[name].public

    def checked(input, other, *, out=None):
        for what, x in (("input", input), ("other", other)):
            if not isinstance(x, (Tensor, Symbol)):
                raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(x).__name__}")
        return function(input, other, out=out)

    checked.__name__, checked.__doc__ = name, function.__doc__
    TABLE[name].public = checked


_tensors_only("gcd")
_tensors_only("lcm")


def _shifted(name):
    op = TABLE[name]
    reflected, method = functions.reflected(op), functions.in_place(op, op.public)
    return op.operator, reflected, method


METHODS = {}
for _word, _name in (("lshift", "bitwise_left_shift"), ("rshift", "bitwise_right_shift")):
    METHODS[f"__{_word}__"], METHODS[f"__r{_word}__"], METHODS[f"__i{_word}__"] = _shifted(_name)
del _word, _name
