"""Functions that remember their calls, so that the next one alike is a look-up in compiled code: the Python side of `known`."""

from __future__ import annotations

import ctypes
import itertools

import numpy as np

from numtape.kernels import library
from numtape.kernels.cpu import driver
from numtape.kernels.cpu import state as at

_number = itertools.count(1).__next__


def remembering(operands: int, *, views: bool = False, completes: bool = False, unconnected: bool = False):
    """Two functions: ``known(argument, ...)``, a tensor or None, and ``learn(arguments, spec, kept, ...)`` to be called when it was None.

    The first `operands` arguments are tensors and numbers, the rest decide by their value. What is learnt is a launch (the address of its
    table) that makes a tensor of `spec`, perhaps with a second one that changes it by the last operand; or with `views` an offset in bytes from
    the first argument. `kept` is kept alive meanwhile. Where an
    operand requires grad, the result is None; with `completes`, and for a call that was learnt as `direct`, it is a tensor that requires
    grad and waits for its node; with `unconnected`, whatever requires grad, it does not, and a view has no base.
    """
    if not library.JIT:
        return (lambda *arguments: None), (lambda *arguments, **what: None)
    number = _number()
    flags = (at.CALLS_VIEWS if views else 0) | (at.CALLS_RECORDED if completes else 0) | (at.CALLS_UNCONNECTED if unconnected else 0)
    known = driver.builtin("known(argument, ...) -> Tensor or None", number, operands, flags, file="known")

    def learn(arguments, spec, kept=None, *, table=0, second=0, offset=0, direct=False):
        if spec.device.type == "cpu" and (table or views):
            specs = [getattr(a, "_spec", None) for a in arguments[:operands]]
            _learn(number, operands, table, second, offset, at.DIRECT if direct else 0, spec, (spec, kept, specs), *arguments)

    return known, learn


def forget() -> None:
    """Forget all calls: what they do has changed."""
    if library.JIT:
        driver.state[at.EPOCH] += 1


def _place_of(thing, holder, size: int) -> int:
    """The offset at which an object of `size` bytes holds another, in bytes."""
    return 8 * list((ctypes.c_int64 * (size // 8)).from_address(id(holder))).index(id(thing))


def introduce(tensor: type) -> None:
    """Say which type tensors are of, and find where its slots lie."""
    if not library.JIT:
        return
    sample, size = object.__new__(tensor), tensor.__basicsize__
    words = {
        at.SLOT_STORAGE: "_storage",
        at.SLOT_ADDRESS: "_address",
        at.SLOT_SPEC: "_spec",
        at.SLOT_REQUIRES_GRAD: "_requires_grad",
        at.SLOT_NODE: "_node",
        at.SLOT_BASE: "_base",
        at.SLOT_SEEN: "_seen",
    }
    for word, name in words.items():
        mark = object()
        setattr(sample, name, mark)
        driver.state[word] = _place_of(mark, sample, size)
    driver.state[at.TUPLE_ITEMS] = _place_of(mark, (mark,), tuple.__basicsize__ + 8)  # not the same in every version of Python
    driver.state[at.TENSOR_TYPE] = id(tensor)


if library.JIT:
    update_rows = driver.builtin("update_rows(words, tensors, number, ...) -> True or None", file="known")
    _learn = driver.builtin("learn(function, operands, table, second, offset, flags, spec, kept, argument, ...) -> None", file="known")
    _table = np.zeros(2 * at.CALL_SETS * at.CALL_WORDS + 8, np.int64)
    _generation = "_generation"
    for _word, _value in {
        at.INT_TYPE: id(int),
        at.TUPLE_TYPE: id(tuple),
        at.LIST_TYPE: id(list),
        at.SLICE_TYPE: id(slice),
        at.TRUE: id(True),
        at.FALSE: id(False),
        at.ELLIPSIS: id(Ellipsis),
        at.GENERATION_NAME: id(_generation),
        at.CALLS: _table.ctypes.data,
        at.GENERIC_ALLOC: driver.python_address("PyType_GenericAlloc"),
        at.IS_SUBTYPE: driver.python_address("PyType_IsSubtype"),
        at.FROM_LONG_LONG: driver.python_address("PyLong_FromLongLong"),
        at.AS_LONG_LONG_OR_OVERFLOW: driver.python_address("PyLong_AsLongLongAndOverflow"),
        at.ERR_CLEAR: driver.python_address("PyErr_Clear"),
        at.GET_ATTRIBUTE: driver.python_address("PyObject_GetAttr"),
    }.items():
        driver.state[_word] = _value
else:

    def update_rows(words, tensors, *numbers):
        """None: without compiled code an update runs row by row."""
