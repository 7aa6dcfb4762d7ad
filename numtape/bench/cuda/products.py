"""The cases of matrix products. Their rates are shares of the fastest peer's, which calls cuBLAS, in the same case."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numtape.bench.cuda.case import PRODUCT, Case, Scale, each, first, times
from numtape.bench.cuda.memory import normals


def product_cases(scale: Scale) -> list[Case]:
    """Square, odd, flat and tall, batched, with transposed operands, in float64."""
    square = [product((n, n), (n, n), target=PRODUCT if n == 4096 else None) for n in scale.sides(512, 1024, 2048, 4096, 8192)]
    large, middle = max(scale.sides(4096)), max(scale.sides(2048))
    turned = {
        "nt": lambda x, y: (x, y.swapaxes(-1, -2)),
        "tn": lambda x, y: (x.swapaxes(-1, -2), y),
    }
    pair = (large, large)
    odd = (large - 1, large - 3), (large - 3, large + 1)
    skinny = [((1, 4096), (4096, 4096)), ((16, 4096), (4096, 4096)), ((4096, 4096), (4096, 16)), ((4096, 64), (64, 4096)), ((32, 65536), (65536, 32))]
    batched = [((64, 256, 256), (64, 256, 256)), ((16, 1024, 1024), (16, 1024, 1024))]
    cases = square + [product(pair, pair, name, view) for name, view in turned.items()] + [product(*odd, "odd")]
    if not scale.sizes:
        cases += [product(scale.fit(*a), scale.fit(*b), "batched" if len(a) > 2 else "skinny") for a, b in skinny + batched]
    return [*cases, product((middle, middle), (middle, middle), "float64", dtype=np.float64)]


def product(a: Sequence[int], b: Sequence[int], name: str = "square", view: Callable[..., Any] | None = None, *, dtype: Any = np.float32, target: Any = None) -> Case:
    """The product of (..., m, k) and (..., k, n); `view` transposes square operands."""
    m, k, n = a[-2], a[-1], b[-1]
    flops = 2.0 * math.prod(a[:-2]) * m * n * k
    label = f"{name}/{m}x{k}x{n}" if m != k or k != n else f"{name}/{n}"
    label = f"{name}/{times(a)}" if len(a) > 2 else label
    call = lambda lib, x, y: lib.matmul(x, y)
    tolerance = (1e-5, 1e-5 + 5e-7 * k) if dtype == np.float32 else (1e-12, 1e-13 * k)
    make = functools.partial(Case, "matmul", label, normals(a, b, dtype=dtype), call, np.matmul, view, cupy=call, flops=flops, target=target)
    return make(cut=each if len(a) > 2 else first, tolerance=tolerance)
