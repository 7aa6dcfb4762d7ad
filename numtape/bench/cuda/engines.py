"""The libraries on a card: how each holds an array there, waits for the card, and tells the time."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.engines import installed
from numtape.bench.timing import loop_seconds

Thunk = Callable[[], Any]


class Engine:
    """One library. `lib` is its namespace, `device` what it calls the card."""

    name = ""
    lib: Any
    device: Any = "cuda"

    def version(self) -> str:
        return str(self.lib.__version__)

    def array(self, a: np.ndarray) -> Any:
        """The library's own array of these values, on the card."""
        raise NotImplementedError

    def numpy(self, a: Any) -> np.ndarray:
        """The values of an array, on the host."""
        return np.asarray(a.detach().cpu().numpy() if hasattr(a, "detach") else a)

    def synchronize(self) -> None:
        """Wait for all work on the card."""
        raise NotImplementedError

    def event(self) -> Any:
        """An event that takes the time."""
        raise NotImplementedError

    def release(self) -> None:
        """Give free memory back to the driver, for the other libraries."""

    # -------------------------------------------------------------------------------------------- clocks
    def card_clock(self, call: Thunk, loops: int) -> float:
        """The seconds of `loops` calls on the card, between two events."""
        start, end, repeats = self.event(), self.event(), [None] * loops
        start.record()
        for _ in repeats:
            call()
        end.record()
        end.synchronize()
        return self.between(start, end) / 1e3

    def between(self, start: Any, end: Any) -> float:
        """Milliseconds between two events."""
        return float(start.elapsed_time(end))

    def wall_clock(self, call: Thunk, loops: int) -> float:
        """The seconds of `loops` calls until the card has done them."""
        repeats = [None] * loops
        start = time.perf_counter()
        for _ in repeats:
            call()
        self.synchronize()
        return time.perf_counter() - start

    def host_clock(self, call: Thunk, loops: int) -> float:
        """The seconds in which the host makes `loops` calls; it does not wait for the card."""
        seconds = loop_seconds(call, loops)
        self.synchronize()
        return seconds


class Numtape(Engine):
    name = "numtape"
    lib = nt

    def array(self, a: np.ndarray) -> Any:
        return nt.from_numpy(a).to("cuda")

    def synchronize(self) -> None:
        nt.cuda.synchronize()

    def event(self) -> Any:
        return nt.cuda.Event(enable_timing=True)

    def release(self) -> None:
        nt.cuda.empty_cache()

    def poison(self, nbytes: int) -> None:
        """Leave NaN in the memory that the next result of that size is likely to get."""
        nt.full((max(1, nbytes // 4),), float("nan"), device="cuda")


class Torch(Engine):
    """PyTorch; beside an emulated card it runs on the CPU."""

    name = "torch"

    def __init__(self, emulated: bool = False):
        import torch

        self.lib = torch
        if not emulated and not torch.cuda.is_available():
            raise RuntimeError("this PyTorch sees no CUDA card")
        self.device = "cpu" if emulated else "cuda"
        torch.set_float32_matmul_precision("highest")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def array(self, a: np.ndarray) -> Any:
        return self.lib.from_numpy(a).to(self.device, copy=True)

    def synchronize(self) -> None:
        if self.device == "cuda":
            self.lib.cuda.synchronize()

    def event(self) -> Any:
        return self.lib.cuda.Event(enable_timing=True) if self.device == "cuda" else HostEvent()

    def release(self) -> None:
        if self.device == "cuda":
            self.lib.cuda.empty_cache()


class Cupy(Engine):
    name = "cupy"

    def __init__(self, emulated: bool = False):
        self.lib = importlib.import_module("cupy")
        if emulated or not self.lib.cuda.is_available():
            raise RuntimeError("CuPy has no CUDA card")

    def array(self, a: np.ndarray) -> Any:
        return self.lib.asarray(a)

    def numpy(self, a: Any) -> np.ndarray:
        return np.asarray(self.lib.asnumpy(a))

    def synchronize(self) -> None:
        self.lib.cuda.Device().synchronize()

    def event(self) -> Any:
        return self.lib.cuda.Event()

    def between(self, start: Any, end: Any) -> float:
        return float(self.lib.cuda.get_elapsed_time(start, end))

    def release(self) -> None:
        self.lib.get_default_memory_pool().free_all_blocks()


class HostEvent:
    """An event of a library that works on the host."""

    def record(self) -> None:
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: HostEvent) -> float:
        return 1e3 * (end.seconds - self.seconds)


def started(peers: Sequence[str], *, threads: int | None, emulated: bool) -> tuple[list[Engine], dict[str, str]]:
    """numtape and those peers that can use the card; and why the others are left out."""
    engines: list[Engine] = [Numtape()]
    if threads is not None:
        nt.set_num_threads(threads)
    left_out = {}
    for name, kind in (("torch", Torch), ("cupy", Cupy)):
        if name not in peers:
            continue
        try:
            if not installed(name):
                raise RuntimeError("not installed")
            engines.append(kind(emulated))
            engines[-1].synchronize()
            if name == "torch" and threads is not None:
                engines[-1].lib.set_num_threads(threads)
        except Exception as problem:  # whatever a peer says on being started: it is left out
            left_out[name] = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    return engines, left_out


def release(engines: Sequence[Engine]) -> None:
    """Drop what nothing refers to any more, and give the memory back."""
    gc.collect()
    for engine in engines:
        engine.release()


def version_of(*distributions: str) -> str | None:
    """The version of the first of these packages that is installed."""
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
