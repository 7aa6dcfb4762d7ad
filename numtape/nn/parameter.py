"""Parameter: a tensor that a Module finds by itself when it is assigned as an attribute."""

from __future__ import annotations

from typing import Any

import numtape as nt
from numtape.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that counts as a parameter of the module it is assigned to.

    data: a tensor of any shape; the parameter shares its storage. Default: an empty tensor.
    requires_grad: whether gradients are recorded for it, also when made under `no_grad`.

    Raises TypeError where `data` is not a tensor, RuntimeError where it is not of a floating dtype and `requires_grad` is True.

    >>> nt.nn.Parameter(nt.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = nt.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter: data must be a Tensor, got {type(data).__name__}; make one with nt.tensor(data)")
        self = data.detach()  # a new tensor over the same storage
        self.__class__ = cls
        self.requires_grad_(requires_grad)
        return self  # type: ignore[return-value]

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass  # `__new__` has made it; Tensor's own __init__ must not run again

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__(**options)

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        plain = self.detach()
        plain.__class__ = Tensor
        return type(self), (plain, self.requires_grad)
