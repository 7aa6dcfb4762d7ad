"""Modules that hold parameters: ParameterList and ParameterDict. Anything else they are given they hold as it is."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numtape as nt
from numtape.nn.container import _pairs
from numtape.nn.module import Module
from numtape.nn.parameter import Parameter

if TYPE_CHECKING:
    from typing import Self


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, nt.Tensor) and not isinstance(value, Parameter) else value


def _describe(key: Any, value: Any) -> str:
    if not isinstance(value, nt.Tensor):
        return f"  ({key}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    where = f" ({value.device})" if value.device.type == "cuda" else ""
    return f"  ({key}): {kind} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}{where}]"


class ParameterList(Module):
    """A list of parameters that the module holding it can see. Tensors put in become Parameters.

    values: an iterable of tensors, or of anything.

    Raises IndexError where an index is out of range, TypeError where `values` cannot be iterated over or is itself a tensor.

    >>> params = nt.nn.ParameterList([nt.zeros(2, 3), nt.zeros(3)])
    >>> [name for name, _ in params.named_parameters()]
    ['0', '1']
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name(self, index: int) -> str:
        index = operator.index(index)
        if not -self._size <= index < self._size:
            raise IndexError(f"index {index} is out of range")
        return str(index % self._size)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(self._size)[index]])
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), _as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self._size))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        "Add a value at the end; returns self."
        setattr(self, str(self._size), _as_parameter(value))
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        "Add several values at the end; returns self."
        if not isinstance(values, Iterable) or isinstance(values, nt.Tensor):
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(_describe(i, value) for i, value in enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dictionary of parameters that the module holding it can see. Tensors put in become Parameters.

    parameters: a mapping from string to tensor (or anything), or an iterable of such pairs.

    Raises KeyError where a key is not there, TypeError where a key is no string.

    >>> params = nt.nn.ParameterDict({"left": nt.zeros(2), "right": nt.ones(2)})
    >>> params["right"]
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"Index given to ParameterDict cannot be used as a key as it is not a string (type is '{type(key).__name__}').")
        setattr(self, key, _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        "A new ParameterDict with the same parameters."
        return ParameterDict(self.items())

    def get(self, key: str, default: Any = None) -> Any:
        "The value under `key`, else `default`."
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        "The value under `key`; where there is none, `default` is put there first."
        if key not in self._keys:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        "Remove everything."
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        "Remove the value under `key` and return it."
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        "Remove and return the pair (key, value) that was added last."
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        "A new ParameterDict with `default` under every key."
        return ParameterDict((key, default) for key in keys)

    def keys(self) -> Any:
        "The keys, in order."
        return self._keys.keys()

    def items(self) -> Iterator[tuple[str, Any]]:
        "Pairs (key, value), in order."
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterator[Any]:
        "The values, in order."
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        "Add the values of a mapping (a plain dict in sorted order, as PyTorch does) or of an iterable of pairs."
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            parameters = sorted(parameters.items())
        for key, value in _pairs("ParameterDict", parameters):
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join(_describe(key, value) for key, value in self.items())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other: Any) -> ParameterDict:
        both = self.copy()
        both.update(other)
        return both

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self
