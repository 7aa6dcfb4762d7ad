"""The suite `matmul`: products of matrices.

A label says the shapes (m x k x n), the layouts (N as it lies, T transposed) where they are not both N, and the dtype where it is not
float32. Layouts are views: nothing is copied before the product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numtape.bench.cases import Case, values
from numtape.bench.engines import Engine

SIDES = (64, 128, 256, 512, 1024)
LARGE = 2048
TURNED = (64, 256, 1024)  # sides of the squares with transposed operands
SKINNY = ((512, 256, 10), (512, 10, 256), (8, 1024, 1024), (64, 784, 256))
VECTORS = ((1024, 1024, 1), (1, 1024, 1024), (4096, 1024, 1), (1, 1024, 4096))
DEFAULT = (64, 128, 256, 512, 1024)


def cases(sides: Sequence[int], shapes: bool = True) -> list[Case]:
    """Squares of `sides`; with `shapes` also the other shapes, layouts and dtypes."""
    found = [_case(n, n, n, default=n >= 128) for n in sides]
    if not shapes:
        return found
    found.append(_case(LARGE, LARGE, LARGE))
    found += [_case(n, n, n, dtype=np.float64) for n in (*sides, LARGE)]
    for dtype in (np.float32, np.float64):
        found += [_case(n, n, n, layout=layout, dtype=dtype) for layout in ("NT", "TN", "TT") for n in TURNED]
    for dtype in (np.float32, np.float64):
        found += [_case(*shape, dtype=dtype) for shape in SKINNY]
    found += [_case(64, 256, 784, layout="NT"), _case(512, 256, 784, layout="TN")]
    for dtype in (np.float32, np.float64):
        found += [_case(64, 64, 64, batch=(32,), dtype=dtype), _case(128, 64, 128, batch=(12,), dtype=dtype)]
        found += [_case(128, 64, 128, batch=(12,), layout="NT", dtype=dtype), _case(128, 128, 64, batch=(12,), dtype=dtype)]
    found.append(_case(16, 16, 16, batch=(64,)))
    for dtype in (np.float32, np.float64):
        found += [_case(*shape, dtype=dtype) for shape in VECTORS]
    found += [_case(1024, 1024, 1, layout="TN"), _case(1, 1024, 1024, layout="NT")]
    return found + [_case(n, n, n, dtype=dtype) for dtype in (np.int32, np.int64) for n in (64, 256)]


def _case(m: int, k: int, n: int, *, batch: tuple[int, ...] = (), layout: str = "NN", dtype: Any = np.float32, default: bool = False) -> Case:
    """One product; the label of a plain square has one size twice."""
    shape = f"{m}x{n}" if m == k == n and not batch else "x".join(map(str, (*batch, m, k, n)))
    label = "/".join(["matmul", shape, *([layout] if layout != "NN" else []), *([np.dtype(dtype).name] if dtype is not np.float32 else [])])
    flops = 2.0 * m * n * k * (batch[0] if batch else 1)
    tolerance = (1e-3, 1e-3) if dtype is np.float32 else (1e-9, 1e-9)
    nbytes = (m * k + k * n + m * n) * np.dtype(dtype).itemsize * (batch[0] if batch else 1)
    return Case("matmul", label, _product(m, k, n, batch, layout, dtype), default, nbytes, flops, tolerance)


def _product(m: int, k: int, n: int, batch: tuple[int, ...], layout: str, dtype: Any) -> Callable[[Engine], Callable[[], Any]]:
    def bind(engine: Engine) -> Callable[[], Any]:
        function = engine.op("matmul")
        assert function is not None
        left, right = (flag == "T" for flag in layout)
        arrays = [_numbers("matmul x", (*batch, k, m) if left else (*batch, m, k), dtype), _numbers("matmul y", (*batch, n, k) if right else (*batch, k, n), dtype)]
        turned = lambda x, yes: x.swapaxes(-1, -2) if yes else x
        if engine.name == "jax":  # which keeps no views: the product is compiled with its transpositions
            return engine.bind(lambda x, y: function(turned(x, left), turned(y, right)), arrays)
        x, y = turned(engine.array(arrays[0]), left), turned(engine.array(arrays[1]), right)
        return lambda: function(x, y)

    return bind


def _numbers(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Small whole numbers as integers."""
    if np.issubdtype(dtype, np.integer):
        return np.random.default_rng(len(name) + sum(shape)).integers(-100, 100, shape).astype(dtype)
    return values(name, shape, None).astype(dtype)
