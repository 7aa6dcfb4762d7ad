"""The benchmark cases: one per elementwise op and reduction of the op table, made from its record, and the workloads.

A new op is timed without a line here: its parameters, its domain and its dtype rule say what it is called with. What a
case is called with is a list of NumPy arrays and numbers, the same for every engine.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numtape import op as rules
from numtape.bench.engines import Engine, side_of
from numtape.op import TABLE, Op

SUITES = ("elementwise", "reduce", "matmul", "copy", "calls", "training", "start", "ops")
SIZES = (1 << 14, 1 << 20)
QUICK_SIZES = (1 << 14,)
MATMUL_SIDES = (64, 128, 256, 512, 1024)

# What the default table shows; `--all`, `--suite` and `--filter` reach the rest.
DEFAULT_ELEMENTWISE = ("add", "mul", "exp", "log", "tanh", "sigmoid")
DEFAULT_REDUCTIONS = ("sum.all", "sum.dim0", "sum.dim1", "softmax.dim1")

NUMBERS = {"alpha": 2.0, "value": 0.5, "weight": 0.25, "low": -0.5, "high": 0.5}  # parameters that are given a number
TRUTHS = ("condition", "mask")  # parameters that are given bools
ROWS = ("mean", "var", "std", "logsumexp", "softmax", "log_softmax", "argmax", "argmin", "cumsum")
DOMAINS = {"sqrt": "positive", "rsqrt": "positive"}  # domains that their records do not state


@dataclass(frozen=True)
class Case:
    """What is timed: `bind(engine)` gives a call without arguments, or None where the engine has no such thing.

    nbytes and flops: what one call reads and writes, and computes; None where a rate would say nothing. tolerance: by how much
    the engines' results may differ, relative and absolute. process: a sample is a whole process and takes long.
    exact: the results are compared; those of random ops are not.
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

    @property
    def name(self) -> str:
        return f"{self.suite}/{self.label}"


def of_op(op: str, arguments: Callable[[], Sequence[Any]]) -> Callable[[Engine], Callable[[], Any] | None]:
    """The `bind` of a case that is one call of one op; its arguments are made when it is run."""

    def bind(engine: Engine) -> Callable[[], Any] | None:
        function = engine.op(op)
        return None if function is None else engine.bind(function, arguments())

    return bind


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


# ------------------------------------------------------------------------------------------------ from the table
def elementwise_cases(sizes: Sequence[int]) -> list[Case]:
    """One case per elementwise op and size."""
    cases = []
    for op in list(TABLE.values()):
        if op.family != "elementwise" or op.public is None:
            continue
        item = sum(a.itemsize for a in operands(op, 1) if isinstance(a, np.ndarray)) + result_bytes(op)
        for size in sizes:
            arguments = lambda op=op, size=size: operands(op, size)
            cases.append(Case("elementwise", f"{op.name}/{size}", of_op(op.name, arguments), op.name in DEFAULT_ELEMENTWISE, item * size))
    return cases


def reduce_cases(sizes: Sequence[int]) -> list[Case]:
    """One case per reduction of the table and per formula over a dim: all elements, columns (dim 0), rows (dim 1)."""
    cases = []
    names = [op.name for op in TABLE.values() if op.family == "reduction"] + [name for name in ROWS if name in TABLE]
    largest = max(sizes)
    for name in names:
        kept = name in ("softmax", "log_softmax", "cumsum")  # the result has the shape of the operand
        whole = not kept and name != "logsumexp"
        for which, dim in (("all", None), ("dim0", 0), ("dim1", 1)):
            if dim is None and not whole:
                continue
            for size in sizes:
                n = side_of(size)
                arguments = lambda name=name, n=n, dim=dim: [reduced(name, (n, n)), *([] if dim is None else [dim])]
                item = 1 if name in ("any", "all") else 4
                default = f"{name}.{which}" in DEFAULT_REDUCTIONS and size == largest
                nbytes = n * n * item * (2 if kept else 1)
                tolerance = (1e-2, 1e-3) if name in ("prod", "cumsum") else (1e-4, 1e-3)
                cases.append(Case("reduce", f"{name}.{which}/{n}x{n}", of_op(name, arguments), default, nbytes, None, tolerance))
    return cases


def reduced(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The operand of a reduction; `any` and `all` must look at every element."""
    if name in ("any", "all"):
        return np.full(shape, name == "all")
    return values(name, shape, "near one" if name == "prod" else None)


def matmul_cases(sides: Sequence[int]) -> list[Case]:
    """Products of square matrices."""
    cases = []
    for n in sides:
        arguments = lambda n=n: [values("matmul x", (n, n), None), values("matmul y", (n, n), None)]
        cases.append(Case("matmul", f"matmul/{n}x{n}", of_op("matmul", arguments), n >= 128, None, 2.0 * n**3, (1e-3, 1e-3)))
    return cases


def copy_cases(sizes: Sequence[int]) -> list[Case]:
    """Copies: contiguous, and of a transposed matrix into a contiguous one."""
    from numtape.bench.workloads import copied, transposed

    cases = []
    for size in sizes:
        n = side_of(size)
        matrix = lambda n=n: values("copy", (n, n), None)
        cases.append(Case("copy", f"contiguous/{n}x{n}", copied(matrix), False, 8 * n * n))
        cases.append(Case("copy", f"transposed/{n}x{n}", transposed(matrix), size == max(sizes), 8 * n * n))
    return cases


def all_cases(sizes: Sequence[int] | None = None, *, quick: bool = False) -> list[Case]:
    """Every case, in the order of the suites. sizes: elements of an operand; a matrix has the square root of it as its side."""
    from numtape.bench.ops import op_cases
    from numtape.bench.workloads import call_cases, start_cases, training_cases

    given = tuple(sizes) if sizes else QUICK_SIZES if quick else SIZES
    sides = tuple(side_of(s) for s in given) if sizes else MATMUL_SIDES[:2] if quick else MATMUL_SIDES
    return [
        *elementwise_cases(given),
        *reduce_cases(given),
        *matmul_cases(sides),
        *copy_cases(given),
        *call_cases(),
        *training_cases(),
        *start_cases(),
        *op_cases(),
    ]
