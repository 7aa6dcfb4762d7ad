"""Running a case: prepare it in every engine, compare the results, time in turns."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.cases import Case
from numtape.bench.engines import Engine, as_numpy
from numtape.bench.peaks import Peak, Peaks
from numtape.bench.timing import Thunk, Timing, measure

ROUNDS, QUICK_ROUNDS, PROCESS_ROUNDS = 15, 5, 5


@dataclass
class Result:
    """What a case gave: a timing per engine that takes part, the machine's peak for it, and what went wrong."""

    case: Case
    timings: dict[str, Timing] = field(default_factory=dict)
    peak: Peak | None = None
    problems: list[str] = field(default_factory=list)
    compile_seconds: float = 0.0
    bound: str = ""  # which peak limits it, "flop" or "bytes": the one that would take longer
    size: int = 0  # elements of our result
    itemsize: int = 4

    @property
    def ours(self) -> Timing | None:
        return self.timings.get("numtape")

    @property
    def amount(self) -> float | None:
        """What a rate is computed from, operations or bytes."""
        return self.case.flops if self.bound == "flop" else self.case.nbytes if self.bound == "bytes" else None

    @property
    def suite(self) -> str:
        return self.case.suite

    @property
    def operations(self) -> float | None:
        """What a roofline counts: the case's own number; where it has none but bytes, one operation an element (of the result, or of what is reduced)."""
        if self.case.flops or not self.case.nbytes:
            return self.case.flops
        written = self.size * self.itemsize
        return max(self.size, 1) if 8 * written >= self.case.nbytes else (self.case.nbytes - written) / self.itemsize

    def rate(self, engine: str) -> float | None:
        """Operations or bytes a second."""
        timing = self.timings.get(engine)
        return self.amount / timing.median if timing and self.amount else None

    def share(self, engine: str) -> float | None:
        """The rate as a share of the machine's peak."""
        rate = self.rate(engine)
        return rate / self.peak.rate if rate and self.peak and self.peak.rate else None

    def ratio(self, peer: str) -> float | None:
        """The peer's time divided by ours: above 1, numtape is the faster."""
        other = self.timings.get(peer)
        return other.median / self.ours.median if other and self.ours else None

    def as_dict(self) -> dict[str, Any]:
        unit = f"{self.bound or 'bytes'}_per_s"
        engines = {
            name: {**timing.as_dict(), unit: self.rate(name), "share_of_peak": self.share(name), "ratio_to_numtape": self.ratio(name)}
            for name, timing in self.timings.items()
        }
        return {
            "name": self.case.name,
            "suite": self.case.suite,
            "bytes": self.case.nbytes,
            "flops": self.case.flops,
            "peak": self.peak and {"rate": self.peak.rate, "source": self.peak.source},
            "numtape_compile_s": self.compile_seconds,
            "problems": self.problems,
            "engines": engines,
        }


def run_case(case: Case, engines: Sequence[Engine], peaks: Peaks, *, quick: bool = False) -> Result:
    """Prepare, compare and time one case. What fails in one engine is reported; the others are timed all the same."""
    result = Result(case)
    compiling = nt.kernels.compile_seconds()
    thunks: dict[str, Thunk] = {}
    first_calls: dict[str, float] = {}
    values: dict[str, list[np.ndarray]] = {}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for engine in engines:
            try:
                call = case.bind(engine)
                if call is None:
                    continue
                start = time.perf_counter()
                value = call()
                first_calls[engine.name] = time.perf_counter() - start
                for _ in range(case.compared - 1):
                    value = call()
                values[engine.name] = [] if case.process or not case.exact else [np.array(a) for a in as_numpy(value)]
                thunks[engine.name] = call
            except Exception as problem:  # whatever an engine raises is the outcome of the case
                result.problems.append(f"{engine.name}: {type(problem).__name__}: {_first_line(problem)}")
        result.compile_seconds = nt.kernels.compile_seconds() - compiling
        for name in [n for n in thunks if n != "numtape"] if "numtape" in thunks else []:
            if (difference := mismatch(values["numtape"], values[name], case.tolerance)) is not None:
                result.problems.append(f"numtape and {name} differ: {difference}")
        if thunks:
            try:
                rounds = QUICK_ROUNDS if quick else ROUNDS
                result.timings = measure_processes(thunks, first_calls) if case.process else measure(thunks, first_calls, rounds)
            except Exception as problem:
                result.problems.append(f"while timing: {type(problem).__name__}: {_first_line(problem)}")
        if values.get("numtape"):
            first = values["numtape"][0]
            result.size, result.itemsize = sum(a.size for a in values["numtape"]), first.dtype.itemsize
        limits: list[tuple[float, str, Peak]] = []
        if case.flops:
            double = bool(values.get("numtape")) and first.dtype in (np.float64, np.complex128)
            limits.append((case.flops, "flop", peaks.flops("float64" if double else "float32")))
        if case.nbytes:
            limits.append((case.nbytes, "bytes", peaks.copy(case.nbytes)))
        if limits:
            _, result.bound, result.peak = max(limits, key=lambda limit: limit[0] / (limit[2].rate or 1.0))
    return result


def measure_processes(thunks: dict[str, Thunk], first_calls: dict[str, float]) -> dict[str, Timing]:
    """As `measure`, but a sample is one call."""
    return measure(thunks, first_calls, PROCESS_ROUNDS, target=0.0)


def mismatch(ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: tuple[float, float]) -> str | None:
    """How two results differ beyond the tolerance, or None."""
    if len(ours) != len(theirs):
        return f"{len(ours)} results and {len(theirs)}"
    relative, absolute = tolerance
    for a, b in zip(ours, theirs):
        if a.shape != b.shape:
            return f"shapes {a.shape} and {b.shape}"
        x, y = a.astype(np.float64), b.astype(np.float64)
        close = np.isclose(x, y, relative, absolute, equal_nan=True)
        if not close.all():
            at = np.unravel_index(int(np.argmax(~close)), close.shape)
            return f"{int((~close).sum())} of {close.size} elements, the first at {tuple(map(int, at))}: {x[at]:.9g} and {y[at]:.9g}"
    return None


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [""])[0]
