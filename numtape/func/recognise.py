"""Putting the question "is there a batch among the arguments?" before the public functions and methods, when `vmap` is first used."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numtape as nt
from numtape.autograd import mode
from numtape.func.batched import DRAWS, RULES, Asked, Batched, NoRule, call, innermost
from numtape.tensor import Tensor

_lock = threading.Lock()
_exchanged: dict = {}  # the functions that know no batches, and those that do


def recognising(function: Any) -> Any:
    "The function, or the one that was put in its place."
    return _exchanged.get(function, function) if type(function) is FunctionType else function


def recognise() -> None:
    "Put the question for batches before the public functions and methods, once, when they are first needed."
    with _lock:
        if _exchanged:
            return
        importlib.import_module("numtape.nn.functional")
        rules = importlib.import_module("numtape.func.rules")  # fills RULES and DRAWS
        importlib.import_module("numtape.func.rules_of_networks")
        from numtape.op import TABLE

        own = set(vars(Batched))
        for name in dir(Tensor):
            function = getattr(Tensor, name)
            if name in own or not callable(function) or name in _UNTOUCHED:
                continue
            setattr(Batched, name, _method(name, function))
            if name.rstrip("_") in rules.SEVERAL or name in rules.SEVERAL:  # a plain tensor's method may be given a batch
                setattr(Tensor, name, _before(name, function))
        swapped: dict = {}
        for op in TABLE.values():
            if op.public is not None and op.family in ("composite", "reduction"):
                swapped[op.public] = _before(op.name, op.public)
        for name, function in vars(nt).items():
            if callable(function) and getattr(function, "__module__", "").startswith("numtape.ops") and not isinstance(function, type):
                swapped.setdefault(function, _before(name, function))
        for name in nt.ops.linear_algebra.__all__:  # type: ignore[attr-defined]
            swapped.setdefault(getattr(nt.ops.linear_algebra, name), _before(f"linalg_{name}", getattr(nt.ops.linear_algebra, name)))  # type: ignore[attr-defined]
        for op in TABLE.values():
            op.public = swapped.get(op.public, op.public)
        for module in list(sys.modules.values()):  # those of the caller too, who may have imported a function by name
            for name, value in list(getattr(module, "__dict__", {}).items()):
                if type(value) is FunctionType and value in swapped:
                    setattr(module, name, swapped[value])
        for module in [m for n, m in list(sys.modules.items()) if n.startswith("numtape.nn.") and n.endswith(("functional", "_functions"))]:
            for name, value in list(vars(module).items()):
                if callable(value) and getattr(value, "__module__", "").startswith("numtape.nn.") and not isinstance(value, type) and not name.startswith("_"):
                    setattr(module, name, _through(name, value))
        _exchanged.update(swapped)


_UNTOUCHED = {"__new__", "__init__", "__init_subclass__", "__subclasshook__", "__class__", "__getattribute__", "__setattr__", "__delattr__", "__dir__", "__sizeof__",
              "__getstate__", "__reduce__", "__str__", "__hash__", "__contains__", "mro", "_current_node", "_rebase", "__format__"}  # fmt: skip


def _method(name: str, function: Callable) -> Callable:
    name = _OPERATORS.get(name, name)

    def method(*args: Any, **kwargs: Any) -> Any:
        return call(name, function, args, kwargs)

    return functools.wraps(function)(method)


def _before(name: str, function: Callable) -> Callable:
    state = mode.state
    name = _OPERATORS.get(name, name)

    def public(*args: Any, **kwargs: Any) -> Any:
        if state.layers:
            return call(name, function, args, kwargs)
        return function(*args, **kwargs)

    return functools.wraps(function)(public)


def _through(name: str, function: Callable) -> Callable:
    "A function of the public names: it runs on batches as it is, unless it asks for a value or meets what knows no batches."
    state = mode.state

    def public(*args: Any, **kwargs: Any) -> Any:
        if not state.layers:
            return function(*args, **kwargs)
        layer = innermost((*args, *kwargs.values()))
        if layer is None or name in DRAWS:
            return function(*args, **kwargs)
        if name in RULES:
            return call(name, function, args, kwargs)
        random = nt.get_rng_state()
        try:
            return function(*args, **kwargs)
        except (NoRule, Asked):
            nt.set_rng_state(random)
            return call(name, function, args, kwargs)

    return functools.wraps(function)(public)


_OPERATORS = {
    "__add__": "add", "__radd__": "add", "__sub__": "sub", "__rsub__": "sub", "__mul__": "mul", "__rmul__": "mul", "__truediv__": "div", "__rtruediv__": "div",
    "__floordiv__": "floor_divide", "__rfloordiv__": "floor_divide", "__mod__": "remainder", "__rmod__": "remainder", "__pow__": "pow", "__rpow__": "pow",
    "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge", "__and__": "bitwise_and", "__rand__": "bitwise_and",
    "__or__": "bitwise_or", "__ror__": "bitwise_or", "__xor__": "bitwise_xor", "__rxor__": "bitwise_xor", "__neg__": "neg", "__pos__": "positive", "__abs__": "abs",
    "__invert__": "bitwise_not", "__lshift__": "bitwise_left_shift", "__rshift__": "bitwise_right_shift", "__rlshift__": "bitwise_left_shift",
    "__rrshift__": "bitwise_right_shift", "__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_", "__ipow__": "pow_",
    "__ifloordiv__": "floor_divide_", "__imod__": "remainder_", "__iand__": "bitwise_and_", "__ior__": "bitwise_or_", "__ixor__": "bitwise_xor_",
    "__ilshift__": "bitwise_left_shift_", "__irshift__": "bitwise_right_shift_", "__matmul__": "matmul", "__getitem__": "getitem", "__setitem__": "setitem_",
    "__rmatmul__": "rmatmul",
}  # fmt: skip
