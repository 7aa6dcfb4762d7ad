"""The suite `elementwise`: every elementwise op of the table, made from its record; then layouts, casts and float64.

A new op is timed without a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from numtape.bench.cases import Bind, Case, of_op, operands, per_engine, result_bytes, values
from numtape.bench.engines import Engine, side_of
from numtape.op import TABLE

DEFAULT = ("add", "mul", "exp", "log", "tanh", "sigmoid")  # what the default table shows; `--all`, `--suite` and `--filter` reach the rest
# The vector maths, which is timed in float64 too; and the domains of the operands.
MATHS = {
    **dict.fromkeys(("exp", "exp2", "expm1", "sin", "cos", "tan", "tanh", "sinh", "cosh", "atan", "erf", "erfc", "sigmoid", "gelu", "silu"), None),
    **dict.fromkeys(("softplus_unit",), None), **dict.fromkeys(("log", "log2", "log10", "log1p", "lgamma", "digamma", "sqrt"), "positive"),
    **dict.fromkeys(("asin", "acos", "erfinv"), "unit"),
}  # fmt: skip


ELSEWHERE = {"threshold", "gcd", "lcm", "bitwise_left_shift", "bitwise_right_shift"}  # whose operands their records do not tell: the suite `ops` has them


def cases(sizes: Sequence[int]) -> list[Case]:
    """One case per elementwise op and size, and the others."""
    found = []
    for op in list(TABLE.values()):
        if op.family != "elementwise" or op.public is None or op.name.startswith("_") or op.name in ELSEWHERE:
            continue
        item = sum(a.itemsize for a in operands(op, 1) if isinstance(a, np.ndarray)) + result_bytes(op)
        for size in sizes:
            arguments = lambda op=op, size=size: operands(op, size)
            found.append(Case("elementwise", f"{op.name}/{size}", of_op(op.name, arguments), op.name in DEFAULT, item * size))
    for size in sizes:
        for name, domain in MATHS.items():
            doubles = partial(in_float64, name, size, domain)
            found.append(Case("elementwise", f"{name}.float64/{size}", of_op(name, doubles), False, 16 * size))
        found += special(size)
    return found


def in_float64(name: str, size: int, domain: str | None) -> list[Any]:
    return [values(name, (size,), domain).astype(np.float64)]


def special(size: int) -> list[Case]:
    """Broadcast rows and columns, transposed operands, in-place, casts, and formulas by their natural operands."""
    n = side_of(size)
    matrix = lambda name="x", kind=np.float32, n=n: values(name, (n, n), None).astype(kind)
    positive = lambda: values("base", (size,), "positive")
    vector = lambda name="x": values(name, (size,), None)
    condition = lambda: values("condition", (size,), None, np.bool_)
    alike: list[tuple[str, Callable[..., Any], tuple[Callable[[], np.ndarray], ...], int]] = [  # what the engines call by the same names: label, function of tensors, operands, bytes of an element
        ("add.row", lambda x, y: x + y, (matrix, lambda: values("row", (n,), None)), 8),
        ("add.column", lambda x, y: x + y, (matrix, lambda: values("column", (n, 1), None)), 8),
        ("add.transposed", lambda x, y: x + y.T, (matrix, lambda: matrix("y")), 12),
        ("mul.scalar", lambda x: x * 0.5, (vector,), 8),
        ("add.in-place", in_place, (vector, lambda: values("y", (size,), None) * np.float32(1e-3)), 12),
        ("pow.positive", lambda x, y: x**y, (positive, vector), 12),
        ("pow.number", lambda x: x**2.5, (positive,), 8),
    ]
    found = [Case("elementwise", f"{label}/{size}", on_arrays(f, *arrays), False, item * size) for label, f, arrays, item in alike]
    found.append(Case("elementwise", f"cbrt/{size}", functions("cbrt", cube_root, positive), False, 8 * size))
    found.append(Case("elementwise", f"where.masks/{size}", functions("where", None, condition, vector, lambda: vector("y")), False, 13 * size))
    found.append(Case("elementwise", f"gelu.tanh/{size}", functions("gelu", gelu_tanh, vector), False, 8 * size))
    for source, target in (("float32", "float64"), ("float64", "float32"), ("float32", "int64"), ("float32", "float16"), ("int64", "float32"), ("bool", "float32")):
        make = condition if source == "bool" else partial(numbers, size, source)
        nbytes = (np.dtype(source).itemsize + np.dtype(target).itemsize) * size
        found.append(Case("elementwise", f"cast.{source}-{target}/{size}", converted(target, make), False, nbytes))
    return found


def numbers(size: int, kind: str) -> np.ndarray:
    return values("cast", (size,), None).astype(kind)


def in_place(x: Any, y: Any) -> Any:
    x += y
    return y  # x differs from call to call


def on_arrays(function: Callable[..., Any], *arrays: Callable[[], np.ndarray]) -> Bind:
    """A function that engines' arrays understand by operators alone."""
    eager = lambda e: e.bind(function, [make().copy() for make in arrays])
    return per_engine(numtape=eager, numpy=eager, torch=eager)


def functions(name: str, other: Callable[[Any], Callable[..., Any] | None] | None, *arrays: Callable[[], np.ndarray]) -> Bind:
    """The engines' function of a name, or what `other` gives for an engine."""

    def bind(engine: Engine) -> Callable[[], Any] | None:
        function = other(engine) if other else engine.op(name)
        return engine.bind(function, [make() for make in arrays]) if function else None

    return bind


def cube_root(engine: Any) -> Callable[..., Any] | None:
    """PyTorch has a power in its place."""
    if engine.name in ("numpy", "jax"):
        return engine.op("cbrt")
    return lambda x: x ** (1 / 3)


def gelu_tanh(engine: Any) -> Any:
    """NumPy has none."""
    if engine.name == "jax":
        return engine.jax.nn.gelu
    if engine.name == "numpy":
        return None
    if engine.name == "numtape":
        import numtape

        gelu = numtape.nn.functional.gelu
    else:
        gelu = engine.torch.nn.functional.gelu
    return lambda x: gelu(x, approximate="tanh")


def converted(target: str, make: Callable[[], np.ndarray]) -> Bind:
    """A copy in another dtype."""
    import numtape

    return per_engine(
        numtape=lambda e: (lambda x: lambda: x.to(getattr(numtape, target)))(e.array(make())),
        numpy=lambda e: (lambda x: lambda: x.astype(target))(make()),
        torch=lambda e: (lambda x: lambda: x.to(getattr(e.torch, target)))(e.array(make())),
    )
