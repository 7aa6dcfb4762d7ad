"""Layers that normalise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numtape as nt
from numtape.nn import init
from numtape.nn.module import Module
from numtape.nn.parameter import Parameter


class LayerNorm(Module):
    """The input with mean 0 and variance 1 over its last dims, times `weight`, plus `bias`. Ba, Kiros & Hinton 2016.

    normalized_shape: the sizes of these dims, an int for one. eps: keeps the square root from zero. elementwise_affine: whether
    there are a weight (ones at first) and, with `bias`, a bias (zeros at first), both of normalized_shape.
    input and output: (*, *normalized_shape), floating point.

    Raises RuntimeError where the input's last sizes are others.

    >>> layer = nt.nn.LayerNorm(2)
    >>> layer
    LayerNorm((2,), eps=1e-05, elementwise_affine=True, bias=True)
    >>> layer(nt.tensor([[1.0, 3.0]])).detach().round()
    tensor([[-1.,  1.]])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(name, Parameter(nt.empty(self.normalized_shape, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        "Weight to ones, bias to zeros."
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        return nt.nn.functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
