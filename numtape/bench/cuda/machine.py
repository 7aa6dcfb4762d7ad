"""What the card and its software are, and what the card can do at best, measured in the same run."""

from __future__ import annotations

import contextlib
import os
import pathlib
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numtape as nt
from numtape.bench.cuda.case import Draw, Scale, number
from numtape.bench.cuda.engines import Engine, release, version_of
from numtape.bench.report import cache_state, cpu_name
from numtape.bench.timing import measure

PACKAGES = {
    "numba": ("numba",),
    "numba-cuda": ("numba-cuda",),
    "llvmlite": ("llvmlite",),
    "cuda-bindings": ("cuda-bindings",),
    "cuda-core": ("cuda-core",),
    "nvvm": ("nvidia-nvvm", "nvidia-nvvm-cu13", "nvidia-cuda-nvcc"),
    "nvrtc": ("nvidia-cuda-nvrtc",),
    "nvjitlink": ("nvidia-nvjitlink",),
    "numpy": ("numpy",),
    "scikit-learn": ("scikit-learn",),
}


# ------------------------------------------------------------------------------------------------ facts
def environment(engines: Sequence[Engine], left_out: dict[str, str]) -> dict[str, Any]:
    """The card, the driver and all versions."""
    card = nt.cuda.get_device_properties()
    free, _ = nt.cuda.mem_get_info()
    return {
        "numtape": nt.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "card": card.name,
        "capability": f"{card.major}.{card.minor}",
        "multiprocessors": card.multi_processor_count,
        "memory": card.total_memory,
        "memory_free": free,
        "l2": card.L2_cache_size,
        "driver": driver_version(),
        "cuda": cuda_version(),
        "packages": {name: version_of(*names) for name, names in PACKAGES.items()},
        "peers": {e.name: f"{e.version()}{' (on the CPU)' if e.device == 'cpu' else ''}" for e in engines if e.name != "numtape"},
        "left_out": left_out,
        "kernel_cache": cache_state(),
        "threads": nt.get_num_threads(),
    }


def driver_version() -> str | None:
    """The version of the NVIDIA driver, such as 580.159.04."""
    with contextlib.suppress(OSError):
        found = re.search(r"\d+\.\d+(\.\d+)?", pathlib.Path("/proc/driver/nvidia/version").read_text())
        if found:
            return found[0]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
        return said.strip().splitlines()[0]
    return None


def cuda_version() -> str | None:
    """The newest CUDA version that the driver supports."""
    with contextlib.suppress(Exception):
        from numtape.kernels.cuda.api import api

        code, version = api().cuDriverGetVersion()
        return None if code else f"{version // 1000}.{version % 1000 // 10}"
    return None


# ------------------------------------------------------------------------------------------------ ceilings
@dataclass(frozen=True)
class Ceiling:
    """A rate (bytes or operations a second), and what reached it."""

    rate: float
    source: str


def ceilings(engines: Sequence[Engine], scale: Scale, draw: Draw, *, rounds: int, target: float) -> tuple[dict[str, Ceiling], list[str]]:
    """The best copy on the card (bytes read and written) and the best float32 product of a peer; and what went wrong."""
    floats, side = scale.vector(1 << 28), max(scale.sides(4096))
    problems: list[str] = []
    found: dict[str, Ceiling] = {}
    copies = _timed(engines, partial(_copiers, draw, floats), rounds, target, problems)
    for name, seconds in copies.items():
        rate = 8 * floats / seconds
        if "copy" not in found or rate > found["copy"].rate:
            found["copy"] = Ceiling(rate, f"copy of {number(floats)} float32 on the card by {name}, bytes read and written")
    peers = [e for e in engines if e.name != "numtape"]
    for name, seconds in _timed(peers, partial(_products, draw, side), rounds, target, problems).items():
        rate = 2.0 * side**3 / seconds
        if "matmul" not in found or rate > found["matmul"].rate:
            found["matmul"] = Ceiling(rate, f"float32 product of {side}x{side} by {name} (cuBLAS, no TF32)")
    return found, problems


def _timed(engines: Sequence[Engine], make: Callable[[Engine], dict[str, Callable[[], Any]]], rounds: int, target: float, problems: list[str]) -> dict[str, float]:
    """The median seconds of each thing that the engines can do."""
    calls: dict[str, Callable[[], Any]] = {}
    clocks = {}
    for engine in engines:
        try:
            for name, call in make(engine).items():
                call()
                engine.synchronize()
                calls[name], clocks[name] = call, engine.card_clock
        except Exception as problem:
            problems.append(f"{engine.name}: {type(problem).__name__}: {problem}")
    try:
        timings = measure(calls, dict.fromkeys(calls, 0.0), rounds, target=target, clocks=clocks, most=100)
    except Exception as problem:
        problems.append(f"{type(problem).__name__}: {problem}")
        timings = {}
    calls.clear()
    release(engines)
    return {name: t.median for name, t in timings.items() if t.median > 0}


def _copiers(draw: Draw, floats: int, engine: Engine) -> dict[str, Callable[[], Any]]:
    """Copies into memory that is there already."""
    source, target = (engine.array(draw.normal(floats)) for _ in range(2))
    if engine.name == "numtape":
        memcpy = nt.kernels.pattern(source.device, "driver").copy_on_device
        return {"numtape": lambda: target.copy_(source), "the driver": lambda: memcpy(target.data_ptr(), source.data_ptr(), 4 * floats)}
    if engine.name == "cupy":
        return {"cupy": lambda: engine.lib.copyto(target, source)}
    return {engine.name: lambda: target.copy_(source)}


def _products(draw: Draw, side: int, engine: Engine) -> dict[str, Callable[[], Any]]:
    x, y = (engine.array(draw.normal(side, side)) for _ in range(2))
    return {engine.name: lambda: engine.lib.matmul(x, y)}
