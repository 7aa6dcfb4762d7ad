"""What this machine can do, measured in the run it is compared with.

A rate of a kernel that moves memory is compared with the fastest copy of as many bytes, a rate of one that computes with the
fastest matrix product; each is the best of all engines in the run, so no engine's own limit is taken for the machine's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from numtape.bench.engines import Engine
from numtape.bench.timing import calibrate, loop_seconds

SIDE = 768
PAGE = 4096
ROUNDS = 9


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
        self.product: Peak | None = None
        self.seconds = 0.0

    def copy(self, nbytes: int) -> Peak:
        """The copy bandwidth where `nbytes` are read and written in all, so that the caches hold as much of it."""
        size = -(-nbytes // PAGE) * PAGE
        if size not in self.copies:
            floats = size // 8
            self.copies[size] = self._best(lambda e: _copier(e, floats), float(size), f"copy of {floats} float32")
        return self.copies[size]

    def flops(self) -> Peak:
        """The fastest product of two square float32 matrices."""
        if self.product is None:
            rng = np.random.default_rng(0)
            pair = [rng.normal(size=(SIDE, SIDE)).astype(np.float32) for _ in range(2)]
            self.product = self._best(lambda e: _product(e, pair), 2.0 * SIDE**3, f"{SIDE}x{SIDE} matmul")
        return self.product

    def raise_product(self, rate: float, source: str) -> Peak:
        """The peak of products, after a case of this run has shown a rate."""
        if rate > self.flops().rate:
            self.product = Peak(rate, source)
        return self.flops()

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
        product = self.product and {"flops_per_s": self.product.rate, "source": self.product.source}
        return {"copy": copies, "matmul": product}


def _copier(engine: Engine, floats: int) -> Callable[[], Any] | None:
    """A copy into memory that is there already: no page faults are timed."""
    source, target = engine.array(np.ones(floats, np.float32)), engine.array(np.zeros(floats, np.float32))
    if engine.name == "numpy":
        return partial(np.copyto, target, source)
    return partial(target.copy_, source) if hasattr(target, "copy_") else None


def _product(engine: Engine, pair: list[np.ndarray]) -> Callable[[], Any] | None:
    function = engine.op("matmul")
    return None if function is None else engine.bind(function, pair)
