"""Activation functions beyond the first, names of `nn.functional`. Each works element by element unless it says otherwise."""

from __future__ import annotations

from typing import Any

import numtape as nt

__all__ = [
    "celu", "celu_", "elu_", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_", "leaky_relu_", "mish",
    "prelu", "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "softmin", "softshrink", "softsign", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip


def _apply(name: str, inplace: bool, input: Any, *args: Any) -> Any:
    units: Any = nt.ops.activation_units
    return units.changed(name, input, *args) if inplace else units.TABLE[name].public(input, *args)


def relu_(input: Any) -> Any:
    """`relu` in place.

    >>> nt.nn.functional.relu_(nt.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return input.relu_()


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """`leaky_relu` in place.

    >>> nt.nn.functional.leaky_relu_(nt.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    return _apply("leaky_relu", True, input, negative_slope)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """`elu` in place.

    >>> nt.nn.functional.elu_(nt.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return _apply("elu", True, input, alpha)


def relu6(input: Any, inplace: bool = False) -> Any:
    """x, but not below 0 and not above 6.

    >>> nt.nn.functional.relu6(nt.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x, but not below `min_val` and not above `max_val`. Raises ValueError where the first is the larger.

    >>> nt.nn.functional.hardtanh(nt.tensor([-2.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}")
    if not input.is_floating_point():
        if input.dtype is nt.bool:
            raise RuntimeError("Bool inputs not supported for hardtanh")
        low, high = int(min_val), int(max_val)
        return input.clamp_(low, high) if inplace else input.clamp(low, high)
    return _apply("hardtanh", inplace, input, min_val, max_val)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """`hardtanh` in place.

    >>> nt.nn.functional.hardtanh_(nt.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    return hardtanh(input, min_val, max_val, True)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """x / 6 + 1 / 2, but not below 0 and not above 1.

    >>> nt.nn.functional.hardsigmoid(nt.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _apply("hardsigmoid", inplace, input)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x * hardsigmoid(x). Howard et al. 2019.

    >>> nt.nn.functional.hardswish(nt.tensor([1.0, 4.0]))
    tensor([0.6667, 4.0000])
    """
    return _apply("hardswish", inplace, input)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, but 0 between -lambd and lambd.

    >>> nt.nn.functional.hardshrink(nt.tensor([-1.0, 0.2]))
    tensor([-1.,  0.])
    """
    return _apply("hardshrink", False, input, lambd)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by `lambd`, and 0 where it is nearer. Raises RuntimeError where `lambd` is negative.

    >>> nt.nn.functional.softshrink(nt.tensor([-1.0, 0.2]))
    tensor([-0.5000,  0.0000])
    """
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return _apply("softshrink", False, input, lambd)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x).

    >>> nt.nn.functional.tanhshrink(nt.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2384])
    """
    return _apply("tanhshrink", False, input)


def softsign(input: Any) -> Any:
    """x / (1 + |x|).

    >>> nt.nn.functional.softsign(nt.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return _apply("softsign", False, input)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where it is above the threshold, else `value`.

    >>> nt.nn.functional.threshold(nt.tensor([0.5, 2.0]), 1.0, 20.0)
    tensor([20.,  2.])
    """
    return _apply("threshold", inplace, input, threshold, value)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """`threshold` in place.

    >>> nt.nn.functional.threshold_(nt.tensor([0.5, 2.0]), 1.0, 20.0)
    tensor([20.,  2.])
    """
    return _apply("threshold", True, input, threshold, value)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where it is positive, else `alpha * (exp(x / alpha) - 1)`. Raises RuntimeError where `alpha` is 0.

    >>> nt.nn.functional.celu(nt.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _apply("celu", inplace, input, alpha)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """`celu` in place.

    >>> nt.nn.functional.celu_(nt.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return celu(input, alpha, True)


def selu(input: Any, inplace: bool = False) -> Any:
    """`elu` with the scale and the slope that keep mean 0 and variance 1. Klambauer et al. 2017.

    >>> nt.nn.functional.selu(nt.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return _apply("selu", inplace, input)


def selu_(input: Any) -> Any:
    """`selu` in place.

    >>> nt.nn.functional.selu_(nt.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return selu(input, True)


def mish(input: Any, inplace: bool = False) -> Any:
    """x * tanh(log(1 + exp(x))). Misra 2019.

    >>> nt.nn.functional.mish(nt.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """
    return _apply("mish", inplace, input)


def prelu(input: Any, weight: Any) -> Any:
    """x where it is positive, else `weight * x`. input: (N, C, *); weight: (C,), or one number for all channels.

    Raises RuntimeError where the sizes or dtypes differ.

    >>> nt.nn.functional.prelu(nt.tensor([-1.0, 2.0]), nt.tensor(0.25))
    tensor([-0.2500,  2.0000])
    """
    return nt.prelu(input, weight)


def rrelu(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False) -> Any:
    """x where it is positive, else x times a slope: random between `lower` and `upper` in training, their mean otherwise.

    Raises RuntimeError where `lower` is above `upper`. Xu et al. 2015.

    >>> nt.nn.functional.rrelu(nt.tensor([-1.0, 2.0]), 0.1, 0.3)
    tensor([-0.2000,  2.0000])
    """
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, got {lower} and {upper}")
    if not training:
        return _apply("leaky_relu", inplace, input, (lower + upper) / 2)
    slope = nt.rand_like(input, requires_grad=False).mul_(upper - lower).add_(lower)
    slope = nt.where(input.detach() > 0, 1.0, slope)
    return input.mul_(slope) if inplace else input * slope


def rrelu_(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """`rrelu` in place.

    >>> nt.nn.functional.rrelu_(nt.tensor([-1.0, 2.0]), 0.1, 0.3)
    tensor([-0.2000,  2.0000])
    """
    return rrelu(input, lower, upper, training, True)


def glu(input: Any, dim: int = -1) -> Any:
    """a * sigmoid(b) for the two halves a and b of a dim. Dauphin et al. 2016. Raises RuntimeError where the dim's size is odd.

    >>> nt.nn.functional.glu(nt.tensor([2.0, 0.0]))
    tensor([1.])
    """
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim % input.ndim} is size {size}")
    if not input.is_floating_point():
        raise RuntimeError(f"glu: not implemented for {input.dtype} tensors; expected floating point, convert with .float()")
    return nt.ops.activation_units._gated(input.narrow(dim, 0, size // 2), input.narrow(dim, size // 2, size // 2))


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax of -x along `dim`: the smallest get most.

    >>> nt.nn.functional.softmin(nt.zeros(4), dim=0)
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return nt.nn.functional.softmax(-input, dim, _stacklevel + 1, dtype)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A random draw of softmax weights (Jang et al. 2016); `hard` rounds it to one 1 and passes the gradient straight through.

    logits and result: any shape. `tau` is the temperature; the smaller, the nearer to one 1.

    >>> nt.nn.functional.gumbel_softmax(nt.zeros(2, 3), hard=True).sum(1)
    tensor([1., 1.])
    """
    with nt.no_grad():
        uniform = nt.rand_like(logits, requires_grad=False).clamp_(min=nt.finfo(logits.dtype).tiny)
        gumbels = -(-uniform.log()).log()
    soft = nt.softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    places = nt.arange(soft.shape[dim], device=soft.device).reshape([-1] + [1] * (soft.ndim - 1 - dim % soft.ndim))
    chosen = (places == index).to(soft.dtype)
    return chosen - soft.detach() + soft
