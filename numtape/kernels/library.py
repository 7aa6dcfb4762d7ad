"""Kernels by their text: compiled once, kept on disk, counted, and open to be looked at.

`kernel(name, text)` returns the `Kernel` whose text defines ``kernel(args, start, stop)``. The text is complete: it can be
saved, run and stepped through as it stands. With ``NUMBA_DISABLE_JIT=1`` it is executed as plain Python.
"""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import threading
import time
import types

from numtape.kernels import cache

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")

_lock = threading.RLock()
_kernels: dict[str, Kernel] = {}


class Counts:
    """What was compiled and loaded in this process."""

    compiled = 0
    loaded = 0
    seconds = 0.0


counts = Counts()


class Kernel:
    """One kernel: its name, its text, and the address of its machine code (or its function, in plain Python)."""

    __slots__ = ("address", "function", "name", "text")

    def __init__(self, name, text, address, function):
        self.name, self.text, self.address, self.function = name, text, address, function

    def __repr__(self):
        return f"<kernel {self.name}>"


def _after_fork() -> None:
    """Another thread may have held the lock when the child was made, and is not there to give it back."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def kernel(name: str, text: str) -> Kernel:
    """The kernel defined by `text`: from memory, from disk, or compiled now."""
    found = _kernels.get(text)
    if found is not None:
        return found
    with _lock:
        if text not in _kernels:
            if JIT:
                address, function = address_of(name, text, "kernel"), None
            else:
                function = execute(name, text)["kernel"]
                address = len(_kernels) + 1
            _kernels[text] = Kernel(name, text, address, function)
        return _kernels[text]


def all_kernels() -> list[Kernel]:
    """Every kernel that this process has made or loaded."""
    return list(_kernels.values())


def address_of(name: str, text: str, entry: str, *, module: str | None = None, parameters: int = 3, returns: bool = False) -> int:
    """The address of the function `entry` that `text` defines, compiled unless the disk cache has it. Where `module` is given it is the
    module of which this is the text: what its entries share is compiled once."""
    from numtape.kernels import loader

    key = cache.key_of(f"{entry}\0{text}")
    symbol = f"nt_{key}"
    code = cache.read(key)
    if code is not None:
        try:
            address = loader.load(code, symbol)
        except RuntimeError:
            code = None
        else:
            counts.loaded += 1
            return address
    from numtape.kernels import compiler  # imports numba

    start = time.perf_counter()
    names = vars(importlib.import_module(module)) if module else execute(name, text)
    code = compiler.compile_object(names[entry], symbol, parameters=parameters, returns=returns)
    seconds = time.perf_counter() - start
    counts.compiled += 1
    counts.seconds += seconds
    if "kernels" in os.environ.get("NUMTAPE_DEBUG", ""):
        print(f"# numtape compiled {name} in {seconds:.3f} s ({len(code)} bytes)\n{text}", file=sys.stderr)
    cache.write(key, text, code)
    return loader.load(code, symbol)


def execute(name: str, text: str) -> dict:
    """Run a kernel's text as a module of its own, with its lines known to tracebacks and debuggers."""
    file = f"<numtape {name} {cache.key_of(text)[:8]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = types.ModuleType(f"numtape_kernel_{cache.key_of(text)}")
    module.__file__ = file
    sys.modules[module.__name__] = module
    exec(compile(text, file, "exec"), module.__dict__)
    return module.__dict__
