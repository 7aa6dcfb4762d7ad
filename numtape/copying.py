"""Tensors and Python's `copy` and `pickle`: a copy shares the memory, a deep copy and a pickle have what the tensor can see of it.

A deep copy of several tensors keeps what they share: a view in a list goes on being a view of the other's copy. All keep offset, strides,
`requires_grad` and the attributes that a user has set.

>>> import copy
>>> import numtape as nt
>>> x = nt.zeros(4)
>>> y, part = copy.deepcopy([x, x[:2]])
>>> part.fill_(1)
tensor([1., 1.])
>>> x, y
(tensor([0., 0., 0., 0.]), tensor([1., 1., 0., 0.]))
"""

from __future__ import annotations

import numpy as np

from numtape import dtypes, storage
from numtape.arrays import from_array
from numtape.device import cpu
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, make, rewrap

_OWN = ("_grad", "_hooks", "_post_hooks", "_generation")  # what Tensor itself keeps in a __dict__


def _attributes(t: Tensor) -> dict:
    return {name: value for name, value in t.__dict__.items() if name not in _OWN}


def _of_kind(kind: type, source: Tensor, requires_grad: bool) -> Tensor:
    """`source` as an instance of a subclass, a leaf."""
    result = rewrap(kind, source)
    result._requires_grad = requires_grad
    return result


def copied(self: Tensor) -> Tensor:
    """A tensor over the same memory, a leaf, for `copy.copy`."""
    result = _of_kind(type(self), alias(self), self.requires_grad)
    result.__dict__.update(_attributes(self))
    return result


def _is_whole(t: Tensor) -> bool:
    """Whether a tensor's storage has all of its elements (a view of another library's memory may reach beyond)."""
    end = t._address + t._spec.extent * t._spec.dtype.itemsize
    return t._storage.address <= t._address and end <= t._storage.address + t._storage.nbytes


def deep_copied(self: Tensor, memo: dict) -> Tensor:
    """A tensor over a copy of the storage, for `copy.deepcopy`; storages that tensors share are copied once."""
    if not self.is_leaf:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol; detach() it first")
    if id(self) in memo:
        return memo[id(self)]
    block = self._storage
    if not _is_whole(self):
        result = self.detach().clone()  # type: ignore[attr-defined]
    else:
        twin = memo.get(id(block))
        if twin is None:
            size = spec_of(dtypes.uint8, self._spec.device, (block.nbytes,))
            twin = memo[id(block)] = make(block, size).clone()._storage  # type: ignore[attr-defined]
        result = make(twin, self._spec)
        result._address = twin.address + (self._address - block.address)
    result = memo[id(self)] = _of_kind(type(self), result, self.requires_grad)
    if self._grad is not None:
        result._grad = self._grad.__deepcopy__(memo)
    if _attributes(self):
        from copy import deepcopy

        result.__dict__.update(deepcopy(_attributes(self), memo))
    return result


def reduced(self: Tensor, protocol):
    """The storage's bytes and how the tensor lies in them, for pickle."""
    here = self.detach() if self._spec.device is cpu else self.detach().cpu()
    if not _is_whole(here):
        here = here.clone()  # type: ignore[attr-defined, union-attr]
    block, s = here._storage, here._spec
    data = storage.as_array(block, block.address, spec_of(dtypes.uint8, cpu, (block.nbytes,))).tobytes()
    how = (s.dtype.name, tuple(s.shape), tuple(s.strides), here._address - block.address)
    return _restored, (type(self), data, how, self.requires_grad, self._spec.device), _attributes(self) or None


def _restored(kind, data, how, requires_grad, where):
    name, shape, strides, offset = how
    block = from_array(np.frombuffer(data, np.uint8))._storage
    result = make(block, spec_of(dtypes.ALL[name], cpu, shape, strides))
    result._address = block.address + offset
    return _of_kind(kind, result.to(where), requires_grad)  # type: ignore[attr-defined]


def _set_state(self: Tensor, state: dict) -> None:
    self.__dict__.update(state)


Tensor.__copy__ = copied  # type: ignore[attr-defined]
Tensor.__deepcopy__ = deep_copied  # type: ignore[attr-defined]
Tensor.__reduce_ex__ = reduced  # type: ignore[assignment,method-assign]
Tensor.__setstate__ = _set_state  # type: ignore[attr-defined]
