"""The benchmark suites, a module each: `cases()` gives what it times."""

from __future__ import annotations

from collections.abc import Sequence

from numtape.bench.cases import Case
from numtape.bench.engines import side_of

SUITES = ("calls", "elementwise", "reduction", "matmul", "conv", "index", "copy", "train", "start", "ops")
SIZES = (1 << 14, 1 << 20)
QUICK_SIZES = (1 << 14,)


def all_cases(sizes: Sequence[int] | None = None, *, quick: bool = False) -> list[Case]:
    """Every case, in the order of the suites. sizes: elements of an operand; a matrix has the square root of it as its side."""
    from numtape.bench.suites import calls, conv, copies, elementwise, index, matmul, ops, reduction, start, train

    given = tuple(sizes) if sizes else QUICK_SIZES if quick else SIZES
    sides = tuple(side_of(s) for s in given) if sizes else matmul.SIDES[:2] if quick else matmul.SIDES
    return [
        *calls.cases(),
        *elementwise.cases(given),
        *reduction.cases(given),
        *matmul.cases(sides, shapes=not sizes),
        *conv.cases(),
        *index.cases(),
        *copies.cases(given),
        *train.cases(),
        *start.cases(),
        *ops.cases(),
    ]
