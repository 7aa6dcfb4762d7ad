"""Activation functions."""

from __future__ import annotations

from numtape import layout
from numtape.dispatch import rows
from numtape.op import floating, numeric
from numtape.ops.arithmetic import zero
from numtape.ops.define import composite, elementwise, formula, row
from numtape.ops.exponential import erf, exp, expm1
from numtape.ops.reduce import amax, sum
from numtape.ops.select import where
from numtape.ops.trigonometric import tanh
from numtape.tensor import Tensor

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)


@elementwise(floating, vjp=lambda g, out: g * (out - out * out), complex=True)
def sigmoid(x):
    "1 / (1 + e**-x)."
    return m.sigmoid(x)


@elementwise(numeric, vjp=lambda g, out: where(out > 0, g, zero(g)), functional=True)
def relu(x):
    "max(x, 0)."
    return m.maximum(x, 0)


@formula(vjp=(lambda g, x, negative_slope: where(x > 0, g, g * negative_slope), None), inplace=False, functional=True, floats=True, method=False)
def leaky_relu(x, negative_slope=0.01):
    "x where it is positive, else negative_slope * x."
    return where(x > 0, x, x * negative_slope)


@formula(
    vjp=(lambda g, x, alpha: where(x > 0, g, g * alpha * exp(x)), None),
    inplace=False,
    functional=True, floats=True,
    method=False,
)
def elu(x, alpha=1.0):
    "x where it is positive, else alpha * (e**x - 1)."
    return where(x > 0, x, alpha * expm1(x))


@formula(inplace=False, functional=True, floats=True, method=False, static=("approximate",))
def gelu(x, approximate="none"):
    "x times the normal distribution function of x; approximate='tanh' by Hendrycks and Gimpel's formula (2016)."
    if approximate == "tanh":
        return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    return 0.5 * x * (1.0 + erf(x * 0.7071067811865476))


@formula(inplace=False, functional=True, floats=True, method=False, complex=True)
def silu(x):
    "x * sigmoid(x)."
    return x * sigmoid(x)


@elementwise(floating, vjp=lambda g, x: g * sigmoid(x), inplace=False, method=False)
def softplus_unit(x):
    "log(1 + e**x)."
    return m.softplus(x)


@formula(
    vjp=(lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)), None, None),
    inplace=False,
    functional=True, floats=True,
    method=False,
)
def softplus(x, beta=1.0, threshold=20.0):
    "log(1 + e**(beta * x)) / beta, and x itself where beta * x is above the threshold."
    return where(x * beta > threshold, x, softplus_unit(x * beta) / beta)


# ------------------------------------------------------------------------------------------------ over a dim
@row(vjp=(lambda g, out, dim: out * (g - sum(g * out, dim, True)), None))
def row_softmax(x, dim):
    "e**x divided by its sum over `dim`."
    e = exp(x - amax(x, dim, True))
    return e / sum(e, dim, True)


@row(vjp=(lambda g, out, dim: g - exp(out) * sum(g, dim, True), None))
def row_log_softmax(x, dim):
    "The logarithm of softmax, without leaving the range of the dtype."
    shifted = x - amax(x, dim, True)
    return shifted - sum(exp(shifted), dim, True).log()


def _over_dim(name, op):
    def function(input, dim=None, dtype=None):
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        if dtype is not None:
            input = input.to(dtype)
        if not input._spec.dtype.is_floating_point:
            raise RuntimeError(f"{name}: not defined for {input._spec.dtype.name} tensors; expected floating point, or give dtype=")
        if dim is None:
            raise TypeError(f"{name}() missing required argument: 'dim'")
        return rows.call(op, (input, None), layout.dims_of(name, dim, input._spec.ndim), True)

    function.__name__, function.__doc__ = name, op.doc
    return composite(function, functional=True)


softmax = _over_dim("softmax", row_softmax)
log_softmax = _over_dim("log_softmax", row_log_softmax)
