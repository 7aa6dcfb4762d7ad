"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from numtape.nn.module import Module, _indent

if TYPE_CHECKING:
    from typing import Self


class _ModuleSequence(Module):
    "What Sequential and ModuleList share: children in a row, named by number, with a list's methods."

    def _place(self, index: int) -> int:
        index, size = operator.index(index), len(self)
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of range")
        return index % size

    def _replace_all(self, children: Iterable[tuple[str, Module]]) -> None:
        children = list(children)
        for name in list(self._module_names):
            self._forget(name)
        for name, child in children:
            self.add_module(name, child)

    def __getitem__(self, index: int | slice) -> Any:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, list(self._module_names)[self._place(index)], module)

    def __delitem__(self, index: int | slice) -> None:
        left = list(self)
        del left[index if isinstance(index, slice) else self._place(index)]
        self._replace_all((str(i), child) for i, child in enumerate(left))

    def __len__(self) -> int:
        return len(self._module_names)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self, module: Module) -> Self:
        "Add a module at the end; returns self."
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        "Add several modules at the end; returns self. Raises TypeError where `modules` cannot be iterated over."
        if not isinstance(modules, Iterable):
            raise TypeError(f"{self._get_name()}.extend should be called with an iterable, but got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        "Add a module before position `index`; returns self. Raises IndexError where there is no such position."
        if not isinstance(module, Module):
            raise TypeError(f"{self._get_name()}.insert: module must be a Module, got {type(module).__name__}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        children = list(self)
        children.insert(index, module)
        self._replace_all((str(i), child) for i, child in enumerate(children))
        return self

    def pop(self, index: int | slice = -1) -> Any:
        "Remove the module at `index` and return it."
        module = self[index]
        del self[index]
        return module

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)


class Sequential(_ModuleSequence):
    """Modules called one after the other, each on what the one before returned.

    *args: modules, or one OrderedDict from name to module. It indexes, slices, iterates and appends like a list.

    Raises TypeError where an argument is not a Module, IndexError where an index is out of range.

    >>> model = nt.nn.Sequential(nt.nn.Linear(4, 8), nt.nn.ReLU(), nt.nn.Linear(8, 2))
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    >>> model(nt.zeros(5, 4)).shape
    numtape.Size([5, 2])
    >>> len(model[:2])
    2
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = len(args) == 1 and isinstance(args[0], OrderedDict)
        for name, module in args[0].items() if named else enumerate(args):
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        held = self.__dict__
        for name in self._module_names:
            input = held[name](input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return list(self)[self._place(index)]

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return Sequential(*self, *other)

    def __mul__(self, times: int) -> Sequential:
        self._check_times(times)
        return Sequential(*list(self) * times)

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        self._check_times(times)
        return self.extend(list(self) * (times - 1))

    def _check_times(self, times: int) -> None:
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")


class ModuleList(_ModuleSequence):
    """A list of modules that the module holding it can see; it has no forward of its own.

    modules: an iterable of modules.

    >>> layers = nt.nn.ModuleList([nt.nn.Linear(2, 2) for _ in range(3)])
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    >>> len(list(layers.parameters()))
    6
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self.__dict__[str(self._place(index))]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        runs: list[list] = []  # [first, last, text] of neighbours that print alike
        for i, text in enumerate(repr(child) for child in self):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        if not runs:
            return f"{self._get_name()}()"
        lines = [
            _indent(f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}")
            for first, last, text in runs
        ]
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """A dictionary of modules that the module holding it can see; it has no forward of its own.

    modules: a mapping from string to module, or an iterable of such pairs.

    Raises KeyError where a key is not there, TypeError where a key is no string or a value no Module.

    >>> acts = nt.nn.ModuleDict({"relu": nt.nn.ReLU(), "tanh": nt.nn.Tanh()})
    >>> acts["tanh"]
    Tanh()
    >>> list(acts)
    ['relu', 'tanh']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self._module_names:
            raise KeyError(key)
        self._forget(key)

    def __len__(self) -> int:
        return len(self._module_names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._module_names)

    def __contains__(self, key: object) -> bool:
        return key in self._module_names

    def clear(self) -> None:
        "Remove all modules."
        for key in list(self):
            del self[key]

    def pop(self, key: str) -> Any:
        "Remove the module under `key` and return it."
        module = self[key]
        del self[key]
        return module

    def keys(self) -> Any:
        "The keys, in order."
        return self._modules.keys()

    def values(self) -> Any:
        "The modules, in order."
        return self._modules.values()

    def items(self) -> Any:
        "Pairs (key, module), in order."
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        "Add the modules of a mapping or of an iterable of pairs, replacing those under the same key."
        for key, module in _pairs("ModuleDict", modules):
            self[key] = module


def _pairs(owner: str, source: Any) -> Iterator[tuple[str, Any]]:
    "The (key, value) pairs of a mapping, of something with `items`, or of an iterable of pairs."
    if not isinstance(source, Iterable):
        raise TypeError(f"{owner}.update should be called with an iterable of key/value pairs, but got {type(source).__name__}")
    if hasattr(source, "items"):
        yield from source.items()
        return
    for i, pair in enumerate(source):
        if not isinstance(pair, Iterable):
            raise TypeError(f"{owner} update sequence element #{i} should be Iterable; is {type(pair).__name__}")
        pair = tuple(pair)
        if len(pair) != 2:
            raise ValueError(f"{owner} update sequence element #{i} has length {len(pair)}; 2 is required")
        yield pair
