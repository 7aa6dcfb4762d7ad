"""Filling a parameter with its first values. Every function fills its tensor in place, records no gradient and returns the tensor.

`generator`: where random numbers come from; None is the global generator that `nt.manual_seed` seeds.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numtape as nt


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which the standard deviation has to grow to make up for a nonlinearity. `param`: the slope of "leaky_relu".

    Raises ValueError where the nonlinearity is unknown or `param` no number.

    >>> nt.nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity in ("linear", "sigmoid") or nonlinearity.startswith("conv"):
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:
    """How many inputs reach an output and how many outputs an input reaches. tensor: (fan_out, fan_in, *window).

    Raises ValueError where there are fewer than two dimensions.

    >>> nt.nn.init._calculate_fan_in_and_fan_out(nt.empty(5, 3, 2, 2))
    (12, 20)
    """
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _fan(tensor: Any, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Fill with numbers uniform between `a` and `b`. tensor: any shape.

    >>> w = nt.nn.init.uniform_(nt.empty(100), 2.0, 3.0)
    >>> bool((w >= 2).all() and (w <= 3).all())
    True
    """
    with nt.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Fill with normally distributed numbers. tensor: any shape.

    >>> bool(nt.nn.init.normal_(nt.empty(10), std=0.0).eq(0).all())
    True
    """
    with nt.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None) -> Any:
    """Fill with normally distributed numbers, drawn again where they fall outside `a` to `b`. tensor: any shape.

    Raises ValueError where hardly any number would fall inside. Warns where `mean` is more than two `std` outside.

    >>> w = nt.nn.init.trunc_normal_(nt.empty(100), std=2.0)
    >>> bool((w >= -2).all() and (w <= 2).all())
    True
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.", stacklevel=2
        )
    inside = (math.erf((b - mean) / (std * math.sqrt(2))) - math.erf((a - mean) / (std * math.sqrt(2)))) / 2 if std > 0 else a <= mean <= b
    if inside < 1e-3:
        raise ValueError(
            f"trunc_normal_: a normal distribution with mean {mean} and std {std} falls between a={a} and b={b} with probability "
            f"{float(inside):.1g} only; expected at least 0.001: move a and b towards the mean"
        )
    with nt.no_grad():
        tensor.normal_(mean, std, generator=generator)
        while True:
            outside = (tensor < a) | (tensor > b)
            if not bool(outside.any()):
                return tensor
            tensor.copy_(nt.where(outside, nt.empty_like(tensor).normal_(mean, std, generator=generator), tensor))


def constant_(tensor: Any, val: float) -> Any:
    """Fill with one number. tensor: any shape.

    >>> nt.nn.init.constant_(nt.empty(2), 0.3)
    tensor([0.3000, 0.3000])
    """
    with nt.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Any) -> Any:
    """Fill with ones. tensor: any shape.

    >>> nt.nn.init.ones_(nt.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Any:
    """Fill with zeros. tensor: any shape.

    >>> nt.nn.init.zeros_(nt.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def eye_(tensor: Any) -> Any:
    """Fill with the identity matrix. tensor: (n, m); raises ValueError where it has not two dimensions.

    >>> nt.nn.init.eye_(nt.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    diagonal = nt.arange(rows, device=tensor.device).unsqueeze(1) == nt.arange(columns, device=tensor.device)
    with nt.no_grad():
        return tensor.copy_(diagonal)


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill uniformly within ±gain * sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010. tensor: (fan_out, fan_in, *window).

    Raises ValueError where the tensor has fewer than two dimensions.

    >>> bool((nt.nn.init.xavier_uniform_(nt.empty(3, 3)).abs() <= 1).all())
    True
    """
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill normally with std gain * sqrt(2 / (fan_in + fan_out)). Glorot & Bengio 2010. tensor: (fan_out, fan_in, *window).

    Raises ValueError where the tensor has fewer than two dimensions.

    >>> nt.nn.init.xavier_normal_(nt.empty(3, 3)).shape
    numtape.Size([3, 3])
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    return calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))


def kaiming_uniform_(tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Any:
    """Fill uniformly within ±gain * sqrt(3 / fan). He et al. 2015. tensor: (fan_out, fan_in, *window).

    `a`: the slope of "leaky_relu"; `mode`: "fan_in" keeps the size of activations, "fan_out" that of gradients.

    Raises ValueError where the tensor has fewer than two dimensions or `mode` is unknown. Does nothing to an empty tensor, but warns.

    >>> bool((nt.nn.init.kaiming_uniform_(nt.empty(3, 6)).abs() <= 1).all())
    True
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Any:
    """Fill normally with std gain / sqrt(fan). He et al. 2015. Arguments and errors as in `kaiming_uniform_`.

    >>> nt.nn.init.kaiming_normal_(nt.empty(3, 6), nonlinearity="relu").shape
    numtape.Size([3, 6])
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """Fill with `gain` times a random (semi-)orthogonal matrix. Saxe et al. 2013. tensor: (rows, *columns).

    Raises ValueError where the tensor has fewer than two dimensions.

    >>> q = nt.nn.init.orthogonal_(nt.empty(4, 2))
    >>> bool((q.t() @ q - nt.eye(2)).abs().max() < 1e-5)
    True
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    with nt.no_grad():
        # Gram-Schmidt on normally distributed vectors, each step taken twice, which is enough for full accuracy.
        basis = nt.empty((min(rows, columns), max(rows, columns)), dtype=nt.float64, device=tensor.device).normal_(generator=generator)
        for i, vector in enumerate(basis.unbind(0)):
            before = basis[:i]
            for _ in range(2 if i else 0):
                vector.sub_(nt.matmul(nt.matmul(before, vector), before))
            vector.div_(vector.norm())
        return tensor.copy_((basis if rows <= columns else basis.t()).reshape(tensor.shape)).mul_(gain)
