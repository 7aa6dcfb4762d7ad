"""Object code into this process: llvmlite's linker, without Numba."""

from __future__ import annotations

import ctypes
import threading

import llvmlite.binding as llvm

_lock = threading.Lock()
_engine = None


def _the_engine():
    global _engine
    if _engine is None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(opt=0, jit=True)
        _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_engine))  # worker threads may sleep in its code until the process ends
    return _engine


def load(code: bytes, symbol: str) -> int:
    """Link object code and return the address of its function `symbol`."""
    with _lock:
        engine = _the_engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        address = engine.get_function_address(symbol)
    if not address:
        raise RuntimeError(f"loader: the object code has no function {symbol!r}")
    return address
