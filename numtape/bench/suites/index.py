"""The suite `index`: reading and writing by places, joins and draws.

Each case is `call(m, *tensors)` of a module m, numtape or torch, which have the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numtape.bench.cases import Case
from numtape.bench.suites.op_calls import Call, Make, f, ints, mask
from numtape.bench.suites.ops import backward, forward

MATRIX, PLACES, ROWS = f(1024, 1024), ints(1024, 1024, 1024), ints(1024, 1024)
TOKENS, TABLE, WIDE_TABLE = ints(10000, 64, 32), f(10000, 64), f(10000, 256)
CELL = 4  # bytes of a float32


def _written(m: Any, x: Any, index: Any, value: Any) -> Any:
    x[index] = value
    return x


# label, the call, its arrays, the bytes it must move at least, whether its gradient is timed too, whether results are compared
CALLS: list[tuple[str, Callable[..., Any], tuple[Make, ...], int, bool, bool]] = [
    ("embedding/10000x64", lambda m, i, w: m.nn.functional.embedding(i, w), (TOKENS, TABLE), 2 * CELL * 2048 * 64, True, True),
    ("embedding/10000x256", lambda m, i, w: m.nn.functional.embedding(i, w), (TOKENS, WIDE_TABLE), 2 * CELL * 2048 * 256, True, True),
    ("gather.dim0/1024x1024", lambda m, x, i: m.gather(x, 0, i), (MATRIX, PLACES), 16 << 20, True, True),
    ("gather.dim1/1024x1024", lambda m, x, i: m.gather(x, 1, i), (MATRIX, PLACES), 16 << 20, True, True),
    ("scatter_add.dim0/1024x1024", lambda m, x, i, v: m.scatter_add(x, 0, i, v), (MATRIX, PLACES, f(1024, 1024, seed=1)), 20 << 20, False, True),
    ("scatter_add.dim1/1024x1024", lambda m, x, i, v: m.scatter_add(x, 1, i, v), (MATRIX, PLACES, f(1024, 1024, seed=1)), 20 << 20, False, True),
    ("scatter_add.1d/1048576", lambda m, x, i, v: m.scatter_add(x, 0, i, v), (f(4096), ints(4096, 1 << 20), f(1 << 20)), 12 << 20, False, True),
    ("index_add.dim0/1024x1024", lambda m, x, i, v: m.index_add(x, 0, i, v), (MATRIX, ROWS, f(1024, 1024, seed=1)), 16 << 20, True, True),
    ("rows/1024x1024", lambda m, x, i: x[i], (MATRIX, ROWS), 8 << 20, True, True),
    ("rows/65536x16", lambda m, x, i: x[i], (f(65536, 16), ints(65536, 65536)), 8 << 20, True, True),
    ("pairs/1048576", lambda m, x, i, j: x[i, j], (MATRIX, ints(1024, 1 << 20), ints(1024, 1 << 20, seed=1)), 24 << 20, False, True),
    ("rows-written/1024x1024", _written, (MATRIX, lambda: np.random.default_rng(0).permutation(1024), f(1024, 1024)), 8 << 20, False, True),
    ("index_select.dim1/1024x1024", lambda m, x, i: m.index_select(x, 1, i), (MATRIX, ROWS), 8 << 20, True, True),
    ("masked_select/1024x1024", lambda m, x, k: m.masked_select(x, k), (MATRIX, mask(1024, 1024)), 7 << 20, True, True),
    ("mask-written/1024x1024", lambda m, x, k: _written(m, x, k, 0.5), (MATRIX, mask(1024, 1024)), 5 << 20, False, True),
    ("nonzero/1024x1024", lambda m, k: m.nonzero(k), (mask(1024, 1024),), 9 << 20, False, True),
    ("take/1048576", lambda m, x, i: m.take(x, i), (MATRIX, ints(1 << 20, 1 << 20)), 16 << 20, False, True),
    ("cat.dim0/1024x1024", lambda m, x, y: m.cat([x, y]), (f(512, 1024), f(512, 1024, seed=1)), 8 << 20, True, True),
    ("cat.dim1/1024x1024", lambda m, x, y: m.cat([x, y], 1), (f(1024, 512), f(1024, 512, seed=1)), 8 << 20, True, True),
    ("stack/2x512x1024", lambda m, x, y: m.stack([x, y]), (f(512, 1024), f(512, 1024, seed=1)), 8 << 20, False, True),
    ("flip.last/1024x1024", lambda m, x: m.flip(x, (1,)), (MATRIX,), 8 << 20, False, True),
    ("roll/1024x1024", lambda m, x: m.roll(x, 3, 1), (MATRIX,), 8 << 20, False, True),
    ("rand/1048576", lambda m: m.rand(1 << 20), (), 4 << 20, False, False),
    ("randn/1048576", lambda m: m.randn(1 << 20), (), 4 << 20, False, False),
    ("randint/1048576", lambda m: m.randint(0, 1000, (1 << 20,)), (), 8 << 20, False, False),
    ("randperm/1048576", lambda m: m.randperm(1 << 20), (), 8 << 20, False, False),
    ("dropout/1048576", lambda m, x: m.nn.functional.dropout(x, 0.5, True), (MATRIX,), 8 << 20, False, False),
]


def cases() -> list[Case]:
    """The calls, forward, and with the gradient of their floating operands where it is asked for."""
    found = []
    for label, call, arrays, nbytes, gradient, exact in CALLS:
        op, _, size = label.partition("/")
        one = Call(op, call, arrays, gradient, exact)
        found.append(Case("index", label, forward(one), nbytes=nbytes, exact=exact))
        if gradient:
            found.append(Case("index", f"{op}.backward/{size}", backward(one), tolerance=(1e-3, 1e-3)))
    return found
