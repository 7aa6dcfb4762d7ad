"""`Variable`, PyTorch's name of old for a tensor that may require grad."""

from __future__ import annotations


class _Kind(type):
    def __instancecheck__(cls, value) -> bool:
        return hasattr(value, "_requires_grad")


class Variable(metaclass=_Kind):
    """Variable(tensor) is the tensor, detached; deprecated, as tensors record themselves.

    >>> import numtape as nt
    >>> x = nt.autograd.Variable(nt.ones(2), requires_grad=True)
    >>> x.requires_grad, isinstance(x, nt.autograd.Variable)
    (True, True)
    """

    def __new__(cls, data=None, requires_grad=False, volatile=None):
        if data is None:
            import numtape

            data = numtape.empty(0)
        elif not hasattr(data, "_requires_grad"):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        found = data.detach()
        return found.requires_grad_() if requires_grad else found
