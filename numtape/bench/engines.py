"""The libraries that are compared: how each names an op, holds an array, waits for a result.

Ops are asked for by the names of the op table, which are PyTorch's; what NumPy and JAX call otherwise, or do not have, stands
in `RENAMED` and `FORMULAS`. An op that a library lacks is left out there. JAX runs every case compiled by `jax.jit`.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import numtape as nt
from numtape.op import TABLE

NAMES = ("numtape", "numpy", "torch", "jax")

RENAMED = {
    "zero": "zeros_like",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "neg": "negative",
    "pow": "power",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "bitwise_invert": "invert",
    "clamp_min": "maximum",
    "clamp_max": "minimum",
    "clamp_both": "clip",
}

# What NumPy has no function for, in its terms; `xp` is numpy or jax.numpy.
FORMULAS: dict[str, Callable[..., Any]] = {
    "add_scaled": lambda xp, x, y, alpha: x + alpha * y,
    "addcdiv": lambda xp, x, a, b, value: x + value * a / b,
    "addcmul": lambda xp, x, a, b, value: x + value * a * b,
    "elu": lambda xp, x: xp.where(x > 0, x, xp.expm1(x)),
    "frac": lambda xp, x: x - xp.trunc(x),
    "leaky_relu": lambda xp, x: xp.where(x > 0, x, x * np.float32(0.01)),
    "lerp": lambda xp, x, end, weight: x + weight * (end - x),
    "log_softmax": lambda xp, x, axis: _shifted(xp, x, axis) - xp.log(xp.exp(_shifted(xp, x, axis)).sum(axis, keepdims=True)),
    "logsumexp": lambda xp, x, axis: xp.log(xp.exp(_shifted(xp, x, axis)).sum(axis)) + x.max(axis),
    "masked_fill": lambda xp, x, mask, value: xp.where(mask, np.float32(value), x),
    "norm": lambda xp, x, axis=None: xp.sqrt((x * x).sum(axis)),
    "relu": lambda xp, x: xp.maximum(x, 0),
    "rsqrt": lambda xp, x: 1 / xp.sqrt(x),
    "sigmoid": lambda xp, x: 1 / (1 + xp.exp(-x)),
    "silu": lambda xp, x: x / (1 + xp.exp(-x)),
    "softmax": lambda xp, x, axis: _normalised(xp.exp(_shifted(xp, x, axis)), axis),
    "softplus": lambda xp, x: xp.logaddexp(x, np.float32(0)),
    "softplus_unit": lambda xp, x: xp.logaddexp(x, np.float32(0)),
    "std": lambda xp, x, axis=None: xp.std(x, axis, ddof=1),
    "truncate_divide": lambda xp, x, y: xp.trunc(x / y),
    "var": lambda xp, x, axis=None: xp.var(x, axis, ddof=1),
}


def _shifted(xp: Any, x: Any, axis: int) -> Any:
    return x - x.max(axis, keepdims=True)


def _normalised(e: Any, axis: int) -> Any:
    return e / e.sum(axis, keepdims=True)


class Engine:
    """One library. Subclasses say how it makes arrays, finds an op and calls it."""

    name = ""

    def array(self, a: np.ndarray) -> Any:
        """The library's own array of these values."""
        return a

    def op(self, name: str) -> Callable[..., Any] | None:
        """The library's function for an op of the table, or None."""
        raise NotImplementedError

    def bind(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Callable[[], Any]:
        """A call without arguments; NumPy arrays among the arguments become the library's."""
        return functools.partial(function, *[self.array(a) if isinstance(a, np.ndarray) else a for a in arguments])

    def set_threads(self, count: int) -> None:
        """How many threads it may use; what is read from the environment is set by `prepare_environment`."""


class Numtape(Engine):
    name = "numtape"

    def array(self, a: np.ndarray) -> Any:
        return nt.from_numpy(a.copy())

    def op(self, name: str) -> Callable[..., Any] | None:
        return TABLE[name].public if name in TABLE else getattr(nt, name, None)

    def grad(self, result: Any, operands: Sequence[Any], seed: Any) -> Sequence[Any]:
        """The gradients of a result for its operands, `seed` being its own."""
        return nt.autograd.grad(result, operands, seed)

    def set_threads(self, count: int) -> None:
        nt.set_num_threads(count)


class Numpy(Engine):
    name = "numpy"
    xp: Any = np

    def op(self, name: str) -> Callable[..., Any] | None:
        if name in FORMULAS:
            return functools.partial(FORMULAS[name], self.xp)
        return getattr(self.xp, RENAMED.get(name, name), None)

    def bind(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Callable[[], Any]:
        return functools.partial(function, *arguments)


class Torch(Engine):
    name = "torch"

    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.renamed: dict[str, Callable[..., Any] | None] = {
            "add_scaled": lambda x, y, alpha: torch.add(x, y, alpha=alpha),
            "addcdiv": lambda x, a, b, value: torch.addcdiv(x, a, b, value=value),
            "addcmul": lambda x, a, b, value: torch.addcmul(x, a, b, value=value),
            "bitwise_invert": torch.bitwise_not,
            "clamp_both": torch.clamp,
            "rint": torch.round,
            "softplus_unit": torch.nn.functional.softplus,
            "truncate_divide": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
            "norm": lambda x, dim=None: torch.linalg.vector_norm(x, dim=dim),
            "zero": torch.zeros_like,
        }

    def array(self, a: np.ndarray) -> Any:
        return self.torch.from_numpy(a.copy())

    def op(self, name: str) -> Callable[..., Any] | None:
        if name in self.renamed:
            return self.renamed[name]
        if name.startswith("_"):
            return None
        places = (self.torch, name), (self.torch.nn.functional, name), (self.torch.special, name.removeprefix("special_"))
        return next((found for module, known in places if (found := getattr(module, known, None)) is not None), None)

    def grad(self, result: Any, operands: Sequence[Any], seed: Any) -> Sequence[Any]:
        gradients: Sequence[Any] = self.torch.autograd.grad(result, operands, seed)
        return gradients

    def set_threads(self, count: int) -> None:
        self.torch.set_num_threads(count)


class Jax(Numpy):
    name = "jax"

    def __init__(self) -> None:
        import jax

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", True)  # else float64 would be computed as float32
        self.jax = jax
        self.xp = jax.numpy

    def array(self, a: np.ndarray) -> Any:
        return self.jax.device_put(a).block_until_ready()

    def op(self, name: str) -> Callable[..., Any] | None:
        if name == "gelu":
            return functools.partial(self.jax.nn.gelu, approximate=False)
        if name in ("erf", "erfc"):
            special: Callable[..., Any] = getattr(self.jax.scipy.special, name)
            return special
        return super().op(name)

    def bind(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Callable[[], Any]:
        where = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]

        def of_arrays(*arrays: Any) -> Any:
            filled = list(arguments)
            for i, a in zip(where, arrays):
                filled[i] = a
            return function(*filled)

        return self.waiting(self.jax.jit(of_arrays), *[self.array(arguments[i]) for i in where])

    def waiting(self, compiled: Callable[..., Any], *arrays: Any) -> Callable[[], Any]:
        """A call that returns when the result is there."""
        return lambda: compiled(*arrays).block_until_ready()


ENGINES: dict[str, type[Engine]] = {e.name: e for e in (Numtape, Numpy, Torch, Jax)}


def installed(name: str) -> bool:
    """Whether a library can be imported; it is not imported to find out."""
    return importlib.util.find_spec(name) is not None


def as_numpy(result: Any) -> list[np.ndarray]:
    """A result of any engine, a tensor or several, as NumPy arrays."""
    if isinstance(result, list | tuple):
        return [a for part in result for a in as_numpy(part)]
    if hasattr(result, "detach"):
        result = result.detach().numpy()
    return [np.asarray(result)]


def prepare_environment(threads: int | None) -> dict[str, str]:
    """What must stand in the environment before NumPy and the peers are imported.

    Workers of one engine that spin after their work take the cores from the next for milliseconds: all wait passively, but
    where the user has set otherwise.
    """
    waiting = {
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "GOMP_SPINCOUNT": "0",
        "OPENBLAS_THREAD_TIMEOUT": "16",  # spin for 2**16 cycles, long enough for the next call of a loop, not 2**26
    }
    wanted = {name: os.environ.get(name, value) for name, value in waiting.items()}
    wanted["JAX_PLATFORMS"] = "cpu"
    count = str(threads or cores())
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "PJRT_NPROC", "NUMTAPE_NUM_THREADS"):
        wanted[name] = count
    if count == "1":
        flags = os.environ.get("XLA_FLAGS", "")
        eigen = "--xla_cpu_multi_thread_eigen=false"
        wanted["XLA_FLAGS"] = flags if eigen in flags else f"{flags} {eigen}".strip()
    return wanted


def cores() -> int:
    """The number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_of(count: int) -> int:
    """The side of the square matrix of about `count` elements."""
    return max(1, math.isqrt(count))
