"""What is compiled elsewhere, as plain Python on NumPy scalars: casts, and the library functions that kernels import.

A function of `vecmath`, `floatmath` or `intmath` is a Numba dispatcher over intrinsics, which Python cannot run. `plain` rebuilds it
from its Python source with every compiled thing that it names, however deep, replaced by its twin. The results are the compiled ones
bit for bit (NaN payloads apart), since both are written in single operations that round once.
"""

from __future__ import annotations

import operator
import types

import numpy as np
from numba import types as compiled

from numtape.kernels import _vec_llvm

WORD = 2**64 - 1


def _float_cast(T):
    one, large = T(1), 2**53  # integers up to here are floats too

    def cast(value):
        kind = type(value)
        if kind is T:
            return value
        if kind is float or issubclass(kind, np.floating) or -large <= value <= large:
            return one * float(value)  # three times as fast as T(value), which rounds the same way
        return np.asarray(value).astype(T)[()]

    return cast


def _int_cast(T):
    one = T(1)

    def cast(value):
        if type(value) is T:
            return value
        try:
            whole = operator.index(value)
        except TypeError:  # a float is cut, a bool is 0 or 1
            return np.asarray(value).astype(T)[()]
        try:
            return one * whole
        except OverflowError:  # it wraps around
            return np.asarray(whole & WORD, np.uint64).astype(T)[()]

    return cast


def _bool_cast(value):
    return np.bool_(value)


SCALARS = {"u8": np.uint8, "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "u64": np.uint64, "f32": np.float32, "f64": np.float64}
CASTS = {name: (_float_cast if T in (np.float32, np.float64) else _int_cast)(T) for name, T in SCALARS.items()}
CASTS["b8"] = _bool_cast

_twins = {
    np.float32: CASTS["f32"],
    np.float64: CASTS["f64"],
    compiled.float32: CASTS["f32"],
    compiled.float64: CASTS["f64"],
}


def plain(thing):
    """The twin in plain Python of a compiled function, of a module of them, or of an intrinsic; anything else is returned as it is.

    Float errors are NumPy's to report: call twins under ``np.errstate(all="ignore")``.
    """
    try:
        found = _twins.get(thing) or _vec_llvm.twins.get(thing)
    except TypeError:  # it cannot be looked up, so it is no function
        return thing
    if found is not None:
        return found
    if hasattr(thing, "py_func"):
        return _rebuild(thing)
    if isinstance(thing, types.ModuleType) and thing.__name__.startswith("numtape.kernels"):
        return _twins.setdefault(thing, _Module(thing))
    return thing


def _rebuild(dispatcher):
    """The dispatcher's Python function, over twins of the globals and of the closure that it uses."""
    function = dispatcher.py_func
    code, known = function.__code__, function.__globals__
    names: dict = {"__builtins__": known["__builtins__"], "__name__": function.__module__}
    cells = tuple(types.CellType() for _ in code.co_freevars)
    twin = types.FunctionType(code, names, function.__name__, function.__defaults__, cells)
    twin.__doc__, twin.__qualname__ = function.__doc__, function.__qualname__
    _twins[dispatcher] = twin  # first, for a function that names itself
    names.update((name, plain(known[name])) for name in code.co_names if name in known)
    for cell, kept in zip(cells, function.__closure__ or ()):
        cell.cell_contents = plain(kept.cell_contents)
    return twin


class _Module:
    """A module whose attributes are twins."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        twin = plain(getattr(self._module, name))
        setattr(self, name, twin)
        return twin
