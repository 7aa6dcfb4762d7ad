"""Layers that multiply by a matrix, and the layer that does nothing."""

from __future__ import annotations

import math
from typing import Any

import numtape as nt
from numtape.nn import init
from numtape.nn.module import Module
from numtape.nn.parameter import Parameter


class Identity(Module):
    """Returns its input. Whatever it is given on construction is ignored.

    >>> nt.nn.Identity(54, unused=True)(nt.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """The affine map `x @ weight.T + bias`.

    input: (..., in_features); output: (..., out_features). weight: (out_features, in_features), bias: (out_features,), both
    uniform within ±1/sqrt(in_features) at first, as in PyTorch.

    Raises ValueError where a size is negative, RuntimeError where the input's last size is not `in_features`.

    >>> layer = nt.nn.Linear(4, 2)
    >>> layer
    Linear(in_features=4, out_features=2, bias=True)
    >>> layer(nt.zeros(3, 5, 4)).shape
    numtape.Size([3, 5, 2])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if in_features < 0 or out_features < 0:
            raise ValueError(f"Linear: in_features and out_features must not be negative, got {in_features} and {out_features}")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(nt.empty((out_features, in_features), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(nt.empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        "Draw weight and bias anew."
        if self.weight.numel():
            init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # a = sqrt(5) makes the bound 1 / sqrt(in_features)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        return nt.nn.functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
