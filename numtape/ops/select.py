"""Choosing between values."""

from __future__ import annotations

from numtape import dtypes
from numtape.op import selecting
from numtape.ops.arithmetic import zero
from numtape.ops.define import elementwise


@elementwise(
    selecting,
    vjp=(None, lambda g, condition: where(condition, g, zero(g)), lambda g, condition: where(condition, zero(g), g)),
    inplace=False,
    method=False,
    complex=True,
)
def where(condition, x, y):
    "x where the condition holds, else y."
    return x if condition else y


@elementwise(
    lambda name, operands: ([operands[0][0], dtypes.bool, operands[0][0]], operands[0][0]),
    vjp=(lambda g, mask: where(mask, zero(g), g), None, lambda g, mask: where(mask, g, zero(g))),
    complex=True,
)
def masked_fill(x, mask, value):
    "`value` where the mask holds, else x; in x's dtype."
    return value if mask else x
