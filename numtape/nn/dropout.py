"""Layers that switch off part of their input while training."""

from __future__ import annotations

from typing import Any

import numtape as nt
from numtape.nn.module import Module


class Dropout(Module):
    """In training mode zeroes each element with probability `p` and scales the others by 1/(1-p); otherwise returns its input.

    input and output: any shape. Raises ValueError where `p` is not between 0 and 1.

    >>> drop = nt.nn.Dropout(0.25).eval()
    >>> drop
    Dropout(p=0.25, inplace=False)
    >>> drop(nt.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return nt.nn.functional.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
