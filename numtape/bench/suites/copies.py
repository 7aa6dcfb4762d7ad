"""The suite `copy`: copies of matrices, contiguous and transposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from numtape.bench.cases import Bind, Case, per_engine, values
from numtape.bench.engines import side_of


def cases(sizes: Sequence[int]) -> list[Case]:
    """Copies: contiguous, and of a transposed matrix into a contiguous one."""
    found = []
    for size in sizes:
        n = side_of(size)
        matrix = lambda n=n: values("copy", (n, n), None)
        found.append(Case("copy", f"contiguous/{n}x{n}", copied(matrix), False, 8 * n * n))
        found.append(Case("copy", f"transposed/{n}x{n}", transposed(matrix), size == max(sizes), 8 * n * n))
    return found


def copied(matrix: Callable[[], np.ndarray]) -> Bind:
    """A fresh contiguous copy. JAX copies nothing that it need not: it takes no part."""
    return per_engine(
        numtape=lambda e: e.array(matrix()).clone,
        numpy=lambda e: matrix().copy,
        torch=lambda e: e.array(matrix()).clone,
    )


def transposed(matrix: Callable[[], np.ndarray]) -> Bind:
    """A contiguous copy of the transposed matrix."""
    return per_engine(
        numtape=lambda e: e.array(matrix()).t().contiguous,
        numpy=lambda e: partial(np.ascontiguousarray, matrix().T),
        torch=lambda e: e.array(matrix()).t().contiguous,
        jax=lambda e: e.bind(lambda x: x.T, [matrix()]),
    )
