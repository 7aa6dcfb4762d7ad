"""What is printed and written: the environment, progress, the table, the JSON file."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import pathlib
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

import numtape as nt
from numtape.bench.engines import cores
from numtape.bench.peaks import Peaks
from numtape.bench.runner import Result
from numtape.kernels import cache

SCHEMA = 2
BEFORE = "NUMTAPE_BENCH_COMPILED"  # kernels and seconds that this run compiled before it started again with its environment


# ------------------------------------------------------------------------------------------------ environment
def compiled() -> tuple[int, float]:
    """The kernels that this run compiled, and the seconds that took; also those of the process it began in."""
    count, seconds = os.environ.get(BEFORE, "0 0").split()
    return int(count) + nt.kernels.compilations(), float(seconds) + nt.kernels.compile_seconds()


def environment(peers: Sequence[str], missing: Sequence[str]) -> dict[str, Any]:
    """What a number depends on: versions, the processor, threads, the state of the kernel cache, the peers compared with."""
    return {
        "numtape": nt.__version__,
        "numba": importlib.metadata.version("numba"),
        "numpy": importlib.metadata.version("numpy"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": cores(),
        "simd_bits": simd_bits(),
        "threads": nt.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "kernel_cache": cache_state(),
        "kernels_compiled_at_import": compiled()[0],
        "kernels_in_cache": len(cache.entries()),
        "compile_seconds_at_import": compiled()[1],
        "peers": {name: importlib.metadata.version(name) for name in peers},
        "not_installed": list(missing),
    }


def cache_state() -> str:
    """Whether the disk cache had kernels when the run began: warm, cold, or off where there is no cache."""
    if cache.folder() is None:
        return "off"
    return "warm" if not compiled()[0] and cache.entries() else "cold"


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def simd_bits() -> int:
    """The width of the widest vectors of this processor."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    for name, bits in (("avx512f", 512), ("avx", 256), ("neon", 128), ("sse2", 128)):
        if features.get(name):
            return bits
    return 64


def print_environment(env: dict[str, Any]) -> None:
    peers = ", ".join(f"{name} {version}" for name, version in env["peers"].items()) or "none"
    absent = f"; not installed: {', '.join(env['not_installed'])}" if env["not_installed"] else ""
    cached = env["kernel_cache"]
    if cached == "warm":
        cached += f": {env['kernels_in_cache']} kernels in it"
    print(f"numtape {env['numtape']}, numba {env['numba']}, numpy {env['numpy']}, python {env['python']}")
    print(f"{env['cpu']}, {env['cores']} cores, {env['simd_bits']}-bit vectors, {env['threads']} threads")
    print(f"kernel cache {cached}")
    if env["load"] and env["load"] > env["cores"] / 2:
        print(f"note: load average {env['load']:.1f} on {env['cores']} cores; other processes run, and times will vary")
    print(f"compared with: {peers}{absent}", flush=True)


# ------------------------------------------------------------------------------------------------ progress
class Progress:
    """A bar on standard error where that is a terminal; elsewhere only the lines that are said."""

    WIDTH = 28

    def __init__(self, title: str, total: int, note: str = "", stream: TextIO | None = None):
        self.title, self.total, self.done, self.note = title, max(total, 1), 0, note
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.start = self.drawn = time.perf_counter()

    def __enter__(self) -> Progress:
        self._draw()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._wipe()

    def advance(self, note: str = "") -> None:
        """One step is done; `note` says what comes next."""
        self.done, self.note = self.done + 1, note
        if time.perf_counter() - self.drawn > 0.05 or self.done == self.total:
            self._draw()

    def _draw(self) -> None:
        if self.live:
            self.drawn = time.perf_counter()
            full = self.WIDTH * self.done // self.total
            bar = "#" * full + "." * (self.WIDTH - full)
            line = f"{self.title} [{bar}] {self.done}/{self.total} {self.drawn - self.start:.1f} s {self.note}"
            print(f"\r\x1b[K{line}", end="", file=self.stream, flush=True)

    def say(self, line: str) -> None:
        """A line of its own, on standard output."""
        self._wipe()
        print(line, flush=True)
        self._draw()

    def _wipe(self) -> None:
        if self.live:
            print("\r\x1b[K", end="", file=self.stream, flush=True)


# ------------------------------------------------------------------------------------------------ the table
def seconds_text(seconds: float) -> str:
    """A time in a unit that leaves three figures."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def rate_text(result: Result) -> str:
    rate = result.rate("numtape")
    if rate is None:
        return ""
    return f"{rate / 1e9:.1f} {'GFLOP/s' if result.bound == 'flop' else 'GB/s'}"


class Table:
    """The table, printed a row at a time as results come in."""

    def __init__(self, names: Sequence[str], peers: Sequence[str]):
        self.peers = list(peers)
        self.width = max([len(n) for n in names] + [4])
        heads = "".join(f"  {p:>9} {'x':>6}" for p in self.peers)
        print(f"{'case':<{self.width}}  {'numtape':>9} {'IQR':>5}  {'rate':>14} {'of peak':>7}{heads}", flush=True)

    def row(self, result: Result) -> str:
        ours, share = result.ours, result.share("numtape")
        text = f"{result.case.name:<{self.width}}"
        text += f"  {seconds_text(ours.median):>9} {100 * ours.spread:>4.0f}%" if ours else f"  {'failed':>9} {'':>5}"
        text += f"  {rate_text(result):>14} {f'{100 * share:.0f}%' if share else '':>7}"
        for peer in self.peers:
            timing, ratio = result.timings.get(peer), result.ratio(peer)
            text += f"  {seconds_text(timing.median) if timing else '-':>9} {f'{ratio:.2f}' if ratio else '':>6}"
        return text


def geometric_means(results: Sequence[Result], peers: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """By suite and peer: the geometric mean of the ratios, how many there are, and the lowest with its case."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for suite in dict.fromkeys(r.suite for r in results):
        for peer in peers:
            ratios = [(ratio, r.case.name) for r in results if r.suite == suite and (ratio := r.ratio(peer))]
            if ratios:
                mean, (lowest, name) = math.exp(sum(math.log(x) for x, _ in ratios) / len(ratios)), min(ratios)
                found.setdefault(suite, {})[peer] = {"ratio": mean, "cases": len(ratios), "lowest": lowest, "lowest_case": name}
    return found


def print_footer(results: Sequence[Result], peaks: Peaks, peers: Sequence[str]) -> None:
    """What the columns mean, the means of the suites, the peaks, the compile times, and the failures."""
    if peers:
        print("\nx: the peer's time divided by numtape's (above 1: numtape is faster). IQR: the middle half of numtape's samples.")
    for suite, means in geometric_means(results, peers).items():
        for peer, m in means.items():
            lowest = f"; lowest {m['lowest']:.2f} {m['lowest_case']}" if m["cases"] > 1 else ""
            print(f"geometric mean: {suite:<11} {m['ratio']:6.2f} x {peer} ({m['cases']} {'case' if m['cases'] == 1 else 'cases'}{lowest})")
    for _, p in sorted(peaks.copies.items()):
        print(f"peak: {p.rate / 1e9:6.1f} GB/s     {p.source}")
    for _, p in sorted(peaks.multiply_adds.items()):
        print(f"peak: {p.rate / 1e9:6.1f} GFLOP/s  {p.source}")
    compiling = sum(r.compile_seconds for r in results)
    first = {p: sum(r.timings[p].first_call for r in results if p in r.timings) for p in peers}
    others = ", ".join(f"{p} {s:.1f} s" for p, s in first.items())
    print(f"before timing: numtape compiled for {compiling:.1f} s" + (f"; first calls took {others}" if others else ""))
    failed = [r for r in results if r.problems]
    for result in failed:
        for problem in result.problems:
            print(f"FAILED {result.case.name}: {problem}", file=sys.stderr)


def document_of(env: dict[str, Any], training: Any, results: Sequence[Result], peaks: Peaks, seconds: float) -> dict[str, Any]:
    """Everything that was measured, samples included, as the JSON file has it."""
    return {
        "schema": SCHEMA,
        "environment": env,
        "digits": training.as_dict() if training else None,
        "peaks": peaks.as_dict(),
        "geometric_means": geometric_means(results, list(env["peers"])),
        "cases": [r.as_dict() for r in results],
        "kernels": {"compiled": compiled()[0], "loaded": nt.kernels.loaded(), "compile_seconds": compiled()[1]},
        "seconds": seconds,
    }


def write_json(path: str, document: dict[str, Any]) -> None:
    pathlib.Path(path).write_text(json.dumps(document, indent=1) + "\n")
