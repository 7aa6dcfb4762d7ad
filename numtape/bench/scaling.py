"""Time against size, for `--plot`: a few ops from one element to a hundred million, every engine in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from numtape.bench.cases import Case, of_op, values
from numtape.bench.engines import Engine, side_of
from numtape.bench.report import Progress
from numtape.bench.timing import calibrate, loop_seconds

LARGEST, QUICK_LARGEST = 10**8, 10**5
STEPS = 2  # sizes a decade
ROUNDS = 5
TOO_LONG = 1.0  # seconds: an engine stops where a call would take longer

# By op: its arguments for a number of elements. Rows of softmax have up to 1024 elements; a product has square matrices.
ARGUMENTS: dict[str, Callable[[int], list[Any]]] = {
    "add": lambda n: [_drawn((n,)), _drawn((n,))],
    "exp": lambda n: [_drawn((n,))],
    "sum": lambda n: [_drawn((n,))],
    "softmax": lambda n: [_drawn((max(1, n // 1024), min(n, 1024))), 1],
    "matmul": lambda n: [_drawn((side_of(n),) * 2)] * 2,
}


def _drawn(shape: tuple[int, ...]) -> np.ndarray:
    """Values for a shape; large ones repeat a million of them, since drawing a hundred million takes longer than what is timed."""
    size = int(np.prod(shape))
    return np.resize(values("scaling", (min(size, 1 << 20),), None), shape)


def sizes(largest: int) -> list[int]:
    """From 1 to `largest`, STEPS a decade."""
    decades = len(str(largest)) - 1
    return [round(10 ** (k / STEPS)) for k in range(decades * STEPS + 1)]


def measure(engines: Sequence[Engine], *, quick: bool = False) -> dict[str, dict[str, list[list[float]]]]:
    """By op and engine: pairs of elements and seconds a call, the fastest of some rounds."""
    wanted = sizes(QUICK_LARGEST if quick else LARGEST)
    found: dict[str, dict[str, list[list[float]]]] = {}
    with Progress("scaling", len(ARGUMENTS) * len(wanted)) as progress:
        for op, arguments in ARGUMENTS.items():
            found[op] = {e.name: [] for e in engines}
            for k, size in enumerate(wanted):
                step = (size / wanted[k - 1]) ** (1.5 if op == "matmul" else 1.0) if k else 1.0
                going = [e for e in engines if not k or found[op][e.name] and found[op][e.name][-1][1] * step < TOO_LONG]
                if going:
                    made = arguments(size)
                    for name, taken in _seconds(Case("scaling", op, of_op(op, partial(list, made))), going).items():
                        found[op][name].append([made[0].size, taken])
                progress.advance(f"{op} {size}")
    return found


def _seconds(case: Case, engines: Sequence[Engine]) -> dict[str, float]:
    calls, loops = {}, {}
    for engine in engines:
        call = case.bind(engine)
        if call is not None:
            call()
            calls[engine.name], loops[engine.name] = call, calibrate(call, 5e-4)
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            best[name] = min(best[name], loop_seconds(call, loops[name]) / loops[name])
    return best
