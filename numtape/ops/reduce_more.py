"""Reductions made of others: without NaN, of two results, counts."""

from __future__ import annotations

from typing import NamedTuple

from numtape import layout
from numtape.dispatch import rows
from numtape.dispatch.functions import into
from numtape.op import refuse_complex
from numtape.ops.copy import tensor_of
from numtape.ops.define import composite, row
from numtape.ops.reduce import amax, amin, float_operand, mean, std, sum, var
from numtape.ops.select import where
from numtape.tensor import Tensor


class aminmax_result(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


@composite
def nansum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    "The sum of the elements over `dim`, NaN taken as zero."
    x = tensor_of("nansum", input)
    refuse_complex("nansum", x._spec.dtype)
    if not x._spec.dtype.is_floating_point or dtype is not None or out is not None or not x._spec.ndim:
        return sum(where(x.isnan(), 0, x) if x._spec.dtype.is_floating_point else x, dim, keepdim, dtype=dtype, out=out)
    return rows.call(row_nansum, (x, None), layout.dims_of("nansum", dim, x._spec.ndim), keepdim)


@row(vjp=(lambda g, x, dim: where(x.isnan(), 0.0, g), None), reduces=True, empty=0)
def row_nansum(x, dim):
    "The sum over `dim`, NaN taken as zero."
    return sum(where(x.isnan(), 0.0, x), dim, True)


@composite
def nanmean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    "The mean of the elements over `dim` that are not NaN."
    x = float_operand("nanmean", input)
    refuse_complex("nanmean", x._spec.dtype)
    counted = sum(x.isnan().logical_not(), dim, keepdim)
    result = nansum(x, dim, keepdim, dtype=dtype) / counted
    return result if out is None else into("nanmean", result, out)


@composite
def count_nonzero(input, dim=None):
    "The number of elements over `dim` that are not zero."
    return sum(tensor_of("count_nonzero", input).detach() != 0, dim)


@composite
def aminmax(input, *, dim=None, keepdim=False, out=None):
    "The smallest and the largest elements over `dim` (of all, without it), as a pair (min, max)."
    if dim is None and not tensor_of("aminmax", input)._spec.numel:
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    found = aminmax_result(amin(input, dim, keepdim), amax(input, dim, keepdim))
    return found if out is None else aminmax_result(*(into("aminmax", r, o) for r, o in zip(found, out)))


def _with_mean(name, op):
    def function(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        x = float_operand(name, input)
        return op(x, dim, unbiased, keepdim, correction=correction), mean(x, dim, keepdim)

    function.__name__, function.__doc__ = name, f"The {op.__name__} over `dim`, and the mean."
    return composite(function)


std_mean, var_mean = _with_mean("std_mean", std), _with_mean("var_mean", var)
FUNCTION_ONLY = {"std_mean", "var_mean"}
