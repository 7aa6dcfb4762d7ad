"""More activation functions: the hard (piecewise linear) ones, thresholds and shrinkages, celu, selu, mish, gates."""

from __future__ import annotations

from numtape.dispatch import functions
from numtape.dispatch.elementwise import same_device
from numtape.op import TABLE
from numtape.ops.activation import sigmoid, softplus_unit
from numtape.ops.arithmetic import clamp_both, zero
from numtape.ops.copy import tensor_of
from numtape.ops.define import composite, formula
from numtape.ops.exponential import exp, expm1
from numtape.ops.select import where
from numtape.ops.trigonometric import tanh

PRIVATE = {"hardtanh", "hardsigmoid", "hardswish", "softshrink", "mish", "softsign", "tanhshrink"}  # names of nn.functional alone
FUNCTION_ONLY = {"celu", "selu", "threshold"}


def unit(vjp=None, **traits):
    """A formula of floating-point numbers alone, without an in-place method."""
    return formula(vjp=vjp, inplace=False, functional=True, floats=True, **traits)


# ------------------------------------------------------------------------------------------------ in pieces
@unit(vjp=(lambda g, x, min_val, max_val: where((x > min_val) & (x < max_val), g, zero(g)), None, None))
def hardtanh(x, min_val=-1.0, max_val=1.0):
    "x, but not below `min_val` and not above `max_val`; no slope at the ends."
    return clamp_both(x, min_val, max_val)


@unit(vjp=lambda g, x: where((x > -3.0) & (x < 3.0), g / 6.0, zero(g)))
def hardsigmoid(x):
    "x / 6 + 1 / 2, but not below 0 and not above 1."
    return clamp_both(x + 3.0, 0.0, 6.0) / 6.0


@unit(vjp=lambda g, x: where(x <= -3.0, zero(g), where(x < 3.0, g * (x / 3.0 + 0.5), g)))
def hardswish(x):
    "x * hardsigmoid(x)."
    return x * clamp_both(x + 3.0, 0.0, 6.0) / 6.0


@unit(vjp=(lambda g, x, lambd: where((x >= -lambd) & (x <= lambd), zero(g), g), None))
def hardshrink(x, lambd=0.5):
    "x, but 0 between -lambd and lambd."
    return where((x >= -lambd) & (x <= lambd), 0.0, x)


@unit(vjp=(lambda g, x, lambd: where((x >= -lambd) & (x <= lambd), zero(g), g), None))
def softshrink(x, lambd=0.5):
    "x moved towards 0 by lambd, and 0 where it is nearer."
    return where(x > lambd, x - lambd, where(x < -lambd, x + lambd, x * 0.0))


@formula(vjp=(lambda g, x, threshold: where(x <= threshold, zero(g), g), None, None), inplace=False, functional=True, numbers=True)
def threshold(x, threshold, value):
    "x where it is above the threshold, else value."
    return where(x <= threshold, zero(x) + value, x)


# ------------------------------------------------------------------------------------------------ smooth ones
@unit(vjp=(lambda g, x, alpha: where(x > 0, g, g * exp(x / alpha)), None))
def celu(x, alpha=1.0):
    "x where it is positive, else alpha * (e**(x / alpha) - 1). Barron 2017."
    return where(x > 0, x, alpha * expm1(x / alpha))


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@unit(vjp=lambda g, x: g * where(x > 0, SELU_SCALE, SELU_SCALE * SELU_ALPHA * exp(x)))
def selu(x):
    "elu with the scale and the slope that keep mean 0 and variance 1. Klambauer et al. 2017."
    return SELU_SCALE * where(x > 0, x, SELU_ALPHA * expm1(x))


@unit()
def mish(x):
    "x * tanh(log(1 + e**x)). Misra 2019."
    return x * tanh(softplus_unit(x))


@formula(inplace=False, functional=True, complex=True)
def softsign(x):
    "x / (1 + |x|)."
    return x / (x.abs() + 1)


@formula(inplace=False, functional=True, complex=True)
def tanhshrink(x):
    "x - tanh(x)."
    return x - tanh(x)


@formula(inplace=False, method=False, complex=True)
def _gated(x, y):
    "x * sigmoid(y): a gated linear unit."
    return x * sigmoid(y)


@composite(functional=True)
def prelu(input, weight):
    "x where it is positive, else weight * x; weight is one number, or one for each channel (dim 1)."
    x, weight = tensor_of("prelu", input), tensor_of("prelu", weight)
    same_device("prelu", x, weight)
    if x.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {x.dtype} and {weight.dtype}")
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"prelu: not implemented for {x.dtype.name} tensors; expected floating point, convert with .float()")
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if weight.numel() != 1:
        if not x.ndim:
            raise RuntimeError("prelu: Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.ndim > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(f"prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} and channel size = {channels}.")
    weight = weight.reshape((-1,) + (1,) * (x.ndim - 2)) if x.ndim > 1 else weight.reshape((1,) * x.ndim)
    return _prelu(x, weight)


@formula(
    vjp=(lambda g, x, y: where(x > 0, g, g * y), lambda g, x: where(x > 0, zero(g), g * x)),
    inplace=False,
    method=False,
)
def _prelu(x, y):
    "x where it is positive, else y * x."
    return where(x > 0, x, x * y)


def changed(name: str, input, *args):
    """Activation `name` of the input, written into it: nn.functional's functions with a trailing underscore."""
    return functions.in_place(TABLE[name], None)(input, *args)
