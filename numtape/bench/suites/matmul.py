"""The suite `matmul`: products of matrices."""

from __future__ import annotations

from collections.abc import Sequence

from numtape.bench.cases import Case, of_op, values

SIDES = (64, 128, 256, 512, 1024)


def cases(sides: Sequence[int]) -> list[Case]:
    """Products of square matrices."""
    found = []
    for n in sides:
        arguments = lambda n=n: [values("matmul x", (n, n), None), values("matmul y", (n, n), None)]
        found.append(Case("matmul", f"matmul/{n}x{n}", of_op("matmul", arguments), n >= 128, None, 2.0 * n**3, (1e-3, 1e-3)))
    return found
