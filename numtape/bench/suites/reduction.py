"""The suite `reduction`: every reduction of the table, and formulas over a dim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numtape.bench.cases import Case, of_op, values
from numtape.bench.engines import side_of
from numtape.op import TABLE

DEFAULT = ("sum.all", "sum.dim0", "sum.dim1", "softmax.dim1")
ROWS = ("mean", "var", "std", "logsumexp", "softmax", "log_softmax", "argmax", "argmin", "cumsum")


def cases(sizes: Sequence[int]) -> list[Case]:
    """One case per reduction of the table and per formula over a dim: all elements, columns (dim 0), rows (dim 1)."""
    found = []
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
                default = f"{name}.{which}" in DEFAULT and size == largest
                nbytes = n * n * item * (2 if kept else 1)
                tolerance = (1e-2, 1e-3) if name in ("prod", "cumsum") else (1e-4, 1e-3)
                found.append(Case("reduction", f"{name}.{which}/{n}x{n}", of_op(name, arguments), default, nbytes, None, tolerance))
    return found


def reduced(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The operand of a reduction; `any` and `all` must look at every element."""
    if name in ("any", "all"):
        return np.full(shape, name == "all")
    return values(name, shape, "near one" if name == "prod" else None)
