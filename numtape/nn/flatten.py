"""Layers that change the shape only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numtape.nn.module import Module


class Flatten(Module):
    """Makes one dimension of the dimensions `start_dim` to `end_dim`, both included.

    input: (N, *); output with the defaults: (N, product of *).

    >>> nt.nn.Flatten()(nt.zeros(2, 3, 4)).shape
    numtape.Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Any:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Makes several dimensions, of sizes `unflattened_size`, of the dimension `dim`. One of the sizes may be -1.

    Raises TypeError where `dim` is no int or `unflattened_size` no tuple or list of ints.

    >>> nt.nn.Unflatten(1, (3, 4))(nt.zeros(2, 12)).shape
    numtape.Size([2, 3, 4])
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError(f"Unflatten: dim must be an int, got {type(dim).__name__}; named dimensions are not supported")
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(f"unflattened_size must be a tuple of ints, but found type {type(unflattened_size).__name__}")
        for i, size in enumerate(unflattened_size):
            if not isinstance(size, int):
                raise TypeError(f"unflattened_size must be tuple of ints, but found element of type {type(size).__name__} at pos {i}")
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Any) -> Any:
        shape = input.shape
        dim = self.dim % len(shape) if -len(shape) <= self.dim < len(shape) else self.dim
        if dim >= len(shape) or dim < 0:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-len(shape)}, {len(shape) - 1}], but got {self.dim})")
        return input.reshape((*shape[:dim], *self.unflattened_size, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
