"""What a benchmark case is, and the operands that cases are made with. The cases themselves stand in `suites/`.

What a case is called with is a list of NumPy arrays and numbers, the same for every engine: the parameters of an op, its domain
and its dtype rule say what they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numtape import op as rules
from numtape.bench.engines import Engine
from numtape.op import Op

Bind = Callable[[Engine], Callable[[], Any] | None]

NUMBERS = {"alpha": 2.0, "value": 0.5, "weight": 0.25, "low": -0.5, "high": 0.5}  # parameters that are given a number
TRUTHS = ("condition", "mask")  # parameters that are given bools
DOMAINS = {"sqrt": "positive", "rsqrt": "positive"}  # domains that their records do not state


@dataclass(frozen=True)
class Case:
    """What is timed: `bind(engine)` gives a call without arguments, or None where the engine has no such thing.

    nbytes and flops: what one call reads and writes, and computes; None where a rate would say nothing. tolerance: by how much
    the engines' results may differ, relative and absolute. process: a sample is a whole process and takes long.
    exact: the results are compared; those of random ops are not. compared: the call whose result is, where calls build on each other.
    """

    suite: str
    label: str
    bind: Callable[[Engine], Callable[[], Any] | None]
    default: bool = False
    nbytes: int | None = None
    flops: float | None = None
    tolerance: tuple[float, float] = (1e-4, 1e-5)
    process: bool = False
    exact: bool = True
    compared: int = 1

    @property
    def name(self) -> str:
        return f"{self.suite}/{self.label}"


def of_op(op: str, arguments: Callable[[], Sequence[Any]]) -> Callable[[Engine], Callable[[], Any] | None]:
    """The `bind` of a case that is one call of one op; its arguments are made when it is run."""

    def bind(engine: Engine) -> Callable[[], Any] | None:
        function = engine.op(op)
        return None if function is None else engine.bind(function, arguments())

    return bind


def per_engine(**binds: Callable[[Any], Callable[[], Any]]) -> Bind:
    """A `bind` with a function for each engine that takes part."""
    return lambda engine: binds[engine.name](engine) if engine.name in binds else None


# ------------------------------------------------------------------------------------------------ operands
def values(name: str, shape: tuple[int, ...], domain: str | None, dtype: type = np.float32) -> np.ndarray:
    """Values of a domain, always the same for the same name and shape."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {shape}".encode()))
    if dtype is np.bool_:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype is np.int32:
        return rng.integers(0, 1 << 30, shape, dtype=np.int32)
    if domain == "positive":
        return rng.uniform(0.1, 4.0, shape).astype(np.float32)
    if domain == "unit":
        return rng.uniform(-0.99, 0.99, shape).astype(np.float32)
    if domain == "near one":  # a long product stays in range
        return np.exp(rng.normal(0, 1e-3, shape)).astype(np.float32)
    return rng.normal(0, 1, shape).astype(np.float32)


def operands(op: Op, size: int) -> list[Any]:
    """The arguments of an elementwise op: tensors, bools or numbers by the names of its parameters."""
    dtype: type = np.int32 if op.rule is rules.integral else np.bool_ if op.rule is rules.logical else np.float32
    required = len(op.names) - len(op.defaults)
    found: list[Any] = []
    for name in op.names[:required]:
        if name in NUMBERS:
            found.append(NUMBERS[name])
        else:
            kind = np.bool_ if name in TRUTHS else dtype
            found.append(values(f"{op.name} {name}", (size,), op.domain or DOMAINS.get(op.name), kind))
    return found


def result_bytes(op: Op) -> int:
    """The size of an element of the result."""
    return 1 if op.rule in (rules.comparison, rules.logical, rules.predicate) else 4
