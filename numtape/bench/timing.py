"""Timing in turns: every round takes one sample of each engine, so that what else the machine does meets all alike.

A sample is a loop long enough to be timed well, divided by its length. The median and the interquartile range over the
rounds are reported; a mean would follow the interruptions.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Thunk = Callable[[], Any]
Clock = Callable[[Thunk, int], float]

SAMPLE_SECONDS = 1.5e-3
CASE_SECONDS = 0.15  # what one engine may take for one case, once it has MIN_ROUNDS
MIN_ROUNDS = 5
MOST_LOOPS = 1 << 20


@dataclass
class Timing:
    """The samples of one engine in one case, in seconds a call, and the first call, which may compile."""

    samples: list[float]
    loops: int
    first_call: float

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    @property
    def spread(self) -> float:
        """The interquartile range as a share of the median."""
        low, high = self.quartiles
        return (high - low) / self.median if self.median else 0.0

    def as_dict(self) -> dict[str, Any]:
        low, high = self.quartiles
        return {
            "median_s": self.median,
            "q1_s": low,
            "q3_s": high,
            "min_s": min(self.samples),
            "spread": self.spread,
            "rounds": len(self.samples),
            "loops": self.loops,
            "first_call_s": self.first_call,
            "samples_s": self.samples,
        }


def loop_seconds(call: Thunk, loops: int) -> float:
    """The time of `loops` calls."""
    repeats = [None] * loops  # the cheapest loop there is: iterating makes no integers
    start = time.perf_counter()
    for _ in repeats:
        call()
    return time.perf_counter() - start


def calibrate(call: Thunk, target: float, clock: Clock = loop_seconds, most: int = MOST_LOOPS) -> int:
    """How many calls, `most` at the most, take about `target` seconds."""
    loops = 1
    while True:
        seconds = clock(call, loops)
        if seconds >= target / 2 or loops >= most:
            return min(max(1, round(loops * target / max(seconds, 1e-9))), max(most, loops))
        loops = min(loops * (4 if seconds < target / 8 else 2), most)


def measure(
    thunks: dict[str, Thunk],
    first_calls: dict[str, float],
    rounds: int,
    *,
    target: float = SAMPLE_SECONDS,
    clocks: Mapping[str, Clock] | None = None,
    most: int = MOST_LOOPS,
) -> dict[str, Timing]:
    """Time all engines in turns: A B C A B C ... for up to `rounds` rounds, fewer where calls are long.

    A sample lasts about `target` seconds and is a loop of `most` calls at the most; `clocks` gives an engine another clock than the
    host's: a function of a call and a number of loops, in seconds.
    """
    clocks = dict.fromkeys(thunks, loop_seconds) if clocks is None else clocks
    loops = {name: calibrate(call, target, clocks[name], most) for name, call in thunks.items()}
    samples: dict[str, list[float]] = {name: [] for name in thunks}
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for count in range(rounds):
            if count >= min(rounds, MIN_ROUNDS) and time.perf_counter() - start > CASE_SECONDS * len(thunks):
                break
            for name, call in thunks.items():
                samples[name].append(clocks[name](call, loops[name]) / loops[name])
    finally:
        if enabled:
            gc.enable()
    return {name: Timing(samples[name], loops[name], first_calls[name]) for name in thunks}
