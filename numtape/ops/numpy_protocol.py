"""NumPy's functions on tensors: `np.sin(tensor)`, `array + tensor`, `np.float64(2) * tensor`, `np.add.reduce(tensor)`.

NumPy computes over the tensor's memory (`Tensor.__array__`), and the result is a tensor of the dtype that NumPy gives it. Where the other
operand is a single NumPy number, it is the tensor's own operator that computes, recorded as with a number of Python's.
"""

from __future__ import annotations

import operator

import numpy as np

from numtape.arrays import from_array, share_array
from numtape.tensor import Tensor

OPERATORS = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.divide: operator.truediv, np.floor_divide: operator.floordiv,
    np.remainder: operator.mod, np.power: operator.pow, np.equal: operator.eq, np.not_equal: operator.ne, np.less: operator.lt,
    np.less_equal: operator.le, np.greater: operator.gt, np.greater_equal: operator.ge, np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_, np.bitwise_xor: operator.xor, np.left_shift: operator.lshift, np.right_shift: operator.rshift,
}  # fmt: skip
COMPARISONS = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}  # which have no derivative


def array_ufunc(self, ufunc, method, *inputs, out=None, **kwargs):
    """What NumPy's universal functions call when an operand is a tensor."""
    if any(_is_foreign(a) for a in (*inputs, *(out or ()))):
        return NotImplemented
    plain = method == "__call__" and out is None and not kwargs and ufunc in OPERATORS
    if plain and all(isinstance(a, Tensor) or _is_number(a, ufunc in COMPARISONS) for a in inputs):
        return OPERATORS[ufunc](*(a if isinstance(a, Tensor) else a.item() for a in inputs))
    arrays = [_array(ufunc, a) for a in inputs]
    kwargs = {key: _array(ufunc, value) for key, value in kwargs.items()}
    if out is not None:
        kwargs["out"] = tuple(_array(ufunc, o) for o in out)
    results = getattr(ufunc, method)(*arrays, **kwargs)
    if method == "at":
        _touched(ufunc, inputs[0])
        return None
    several = isinstance(results, tuple)
    given = out or (None,) * (len(results) if several else 1)
    found = tuple(_result(ufunc, r, o) for r, o in zip(results if several else (results,), given))
    return found if several else found[0]


def _is_foreign(value) -> bool:
    """Whether a value has its own way with universal functions."""
    theirs = getattr(type(value), "__array_ufunc__", None)
    return theirs is not None and theirs is not array_ufunc and theirs is not np.ndarray.__array_ufunc__ and not isinstance(value, (np.ndarray, np.generic))


def _is_number(value, compared: bool) -> bool:
    """Whether it is one of NumPy's numbers; where numbers are compared, NumPy has made an array without dims of one."""
    return isinstance(value, np.generic) or compared and isinstance(value, np.ndarray) and not value.ndim


def _array(ufunc, value):
    """A tensor as an array over its memory; anything else as it is."""
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad and ufunc not in COMPARISONS:
        raise RuntimeError(
            f"numpy.{ufunc.__name__}: Can't call numpy() on Tensor that requires grad. NumPy would compute this without recording it: use the function "
            "of numtape, or tensor.detach()."
        )
    return value.detach().numpy()


def _touched(ufunc, t):
    """Note that NumPy wrote to the memory of a tensor."""
    if isinstance(t, Tensor):
        t._storage.version += 1
        t._storage.writer = f"numpy.{ufunc.__name__}"


def _result(ufunc, value, out):
    if out is not None:
        _touched(ufunc, out)
        return out
    return wrapped(value)


def wrapped(value):
    """An array of NumPy's as a tensor over its memory, or a number as a tensor without dims."""
    if isinstance(value, np.ndarray) and value.flags.writeable and all(s >= 0 and s % value.itemsize == 0 for s in value.strides):
        return share_array(value)
    return from_array(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def array_wrap(self, array, context=None, return_scalar=False):
    """What NumPy's other functions (`np.reshape`, `np.cumsum`, ...) do with their result."""
    return wrapped(array)


def _refuses_arrays(method):
    """An operator that leaves arrays to NumPy."""

    def operator_of(self, other):
        return NotImplemented if isinstance(other, np.ndarray) else method(self, other)

    operator_of.__name__ = operator_of.__qualname__ = getattr(method, "__name__", "operator")
    operator_of.__doc__ = method.__doc__
    return operator_of


def install() -> None:
    """Put the protocol on Tensor; to be called when the operators are there."""
    Tensor.__array_ufunc__ = array_ufunc
    Tensor.__array_wrap__ = array_wrap
    names = "pow floordiv mod matmul lshift rshift rpow rfloordiv rmod rmatmul rlshift rrshift iadd isub imul itruediv ifloordiv imod iand ior ixor ipow ilshift irshift"
    for name in (f"__{n}__" for n in names.split()):
        if hasattr(Tensor, name):
            setattr(Tensor, name, _refuses_arrays(getattr(Tensor, name)))
