"""What this machine can do, measured in the run it is compared with.

A rate of a kernel that moves memory is compared with the fastest copy of as many bytes by any engine of the run, so no engine's own limit is
taken for the machine's. A rate of one that computes is compared with a loop of fused multiply-adds that never leaves the registers
(`kernels/cpu/peak.py`), in the type of its result, on as many cores as the run has threads.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.engines import Engine
from numtape.bench.timing import calibrate, loop_seconds

PAGE = 4096
ROUNDS = 9
MULTIPLY_ADD_ROUNDS = 40  # of a quarter of a millisecond each: among so many, on a shared machine, is one that had its cores to itself
UNITS = 8  # a thread, of that loop


@dataclass(frozen=True)
class Peak:
    """A rate (bytes or floating-point operations a second) and where it comes from."""

    rate: float
    source: str


class Peaks:
    """The peaks of the machine, each measured when first asked for."""

    def __init__(self, engines: Sequence[Engine]):
        self.engines = engines
        self.copies: dict[int, Peak] = {}
        self.multiply_adds: dict[tuple[str, int], Peak] = {}  # by type and number of threads
        self.seconds = 0.0

    def copy(self, nbytes: int) -> Peak:
        """The copy bandwidth where `nbytes` are read and written in all, so that the caches hold as much of it."""
        size = -(-nbytes // PAGE) * PAGE
        if size not in self.copies:
            floats = size // 8
            self.copies[size] = self._best(lambda e: _copier(e, floats), float(size), f"copy of {floats} float32")
        return self.copies[size]

    def flops(self, dtype: str = "float32", threads: int | None = None) -> Peak:
        """The multiply-adds of as many threads as the run has, or of `threads`, in float32 or float64."""
        key = dtype, threads or nt.get_num_threads()
        if key not in self.multiply_adds:
            start = time.perf_counter()
            self.multiply_adds[key] = _multiply_adds(*key)
            self.seconds += time.perf_counter() - start
        return self.multiply_adds[key]

    def _best(self, bind: Callable[[Engine], Callable[[], Any] | None], amount: float, what: str) -> Peak:
        start = time.perf_counter()
        best = Peak(0.0, what)
        calls, loops = {}, {}
        for engine in self.engines:
            with contextlib.suppress(Exception):  # an engine that cannot does not take part; the cases report what is wrong
                if (call := bind(engine)) is not None:
                    call()
                    calls[engine.name], loops[engine.name] = call, calibrate(call, 1e-3)
        for _ in range(ROUNDS):
            for name, call in calls.items():
                rate = amount * loops[name] / loop_seconds(call, loops[name])
                if rate > best.rate:
                    best = Peak(rate, f"{what} by {name}")
        self.seconds += time.perf_counter() - start
        return best

    def as_dict(self) -> dict[str, Any]:
        copies = {str(size): {"bytes_per_s": p.rate, "source": p.source} for size, p in sorted(self.copies.items())}
        adds = [
            {"dtype": dtype, "threads": threads, "flops_per_s": p.rate, "source": p.source} for (dtype, threads), p in sorted(self.multiply_adds.items())
        ]
        return {"copy": copies, "multiply_adds": adds}


def _multiply_adds(dtype: str, threads: int) -> Peak:
    from numtape.kernels import library
    from numtape.kernels.cpu import driver, peak

    source = f"{dtype} multiply-adds in registers, {threads} {'thread' if threads == 1 else 'threads'}"
    if not library.JIT:
        return Peak(0.0, source)
    code, units, before = {"float32": "f32", "float64": "f64"}[dtype], UNITS * threads, nt.get_num_threads()
    nt.set_num_threads(threads)
    try:
        out, table = driver.allocate(64 * units), peak.multiply_adds(code, units)
        call = partial(driver.launch, table.address, out.address)
        call()
        return Peak(max(peak.flops(code, units) / loop_seconds(call, 1) for _ in range(MULTIPLY_ADD_ROUNDS)), source)
    finally:
        nt.set_num_threads(before)


def _copier(engine: Engine, floats: int) -> Callable[[], Any] | None:
    """A copy into memory that is there already: no page faults are timed."""
    source, target = engine.array(np.ones(floats, np.float32)), engine.array(np.zeros(floats, np.float32))
    if engine.name == "numpy":
        return partial(np.copyto, target, source)
    return partial(target.copy_, source) if hasattr(target, "copy_") else None
