"""The suite `reduction`: every reduction of the table, formulas over a dim, long and short rows, sorting, normalisations and losses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numtape.bench.cases import Case, of_op, values
from numtape.bench.engines import Engine, side_of
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
    return found + cubes() + rows() + networks()


CUBE = (64, 128, 128)


def over(dim: int, function: Callable[..., Any], x: Any) -> Any:
    return function(x, dim=dim)


def cubes() -> list[Case]:
    """Reductions of a 3-d tensor over its first, middle and last dim."""
    found = []
    for name in ("sum", "mean", "amax", "max", "argmax", "var", "norm", "logsumexp"):
        for which, dim in (("first", 0), ("middle", 1), ("last", 2)):
            call = functools.partial(over, dim)
            found.append(eager(f"{name}.{which}/64x128x128", name, call, [functools.partial(reduced, name, CUBE)], 4 * 64 * 128 * 128))
    found.append(eager("sum.outer/32x64x56x56", "sum", lambda f, x: f(x, (0, 2, 3)), [lambda: reduced("sum", (32, 64, 56, 56))], 4 * 32 * 64 * 56 * 56))
    return found


def rows() -> list[Case]:
    """Softmaxes of long and short rows, running sums, sorting."""
    found = []
    for m, n in ((64, 16384), (32768, 32), (4, 1 << 18)):
        for name in ("softmax", "log_softmax", "logsumexp", "sum", "amax", "argmax"):
            matrix = lambda name=name, m=m, n=n: values(name, (m, n), None)
            found.append(eager(f"{name}.rows/{m}x{n}", name, lambda f, x: f(x, dim=1), [matrix], 4 * m * n))
    million = lambda: values("sort", (1 << 20,), None)
    found.append(eager("cumsum/1048576", "cumsum", lambda f, x: f(x, dim=0), [million], 8 << 20))
    found.append(eager("sort/1048576", "sort", lambda f, x: f(x)[0], [million], None))
    found.append(eager("sort.rows/1024x1024", "sort", lambda f, x: f(x, dim=1)[0], [lambda: values("sort", (1024, 1024), None)], None))
    found.append(eager("topk.rows/1024x1024", "topk", lambda f, x: f(x, 16, dim=1)[0], [lambda: values("sort", (1024, 1024), None)], None))
    found.append(eager("topk/1048576", "topk", lambda f, x: f(x, 100)[0], [million], None))
    return found


def networks() -> list[Case]:
    """Normalisations and losses of networks, forward alone and with gradients."""
    x = lambda: values("x", (512, 1024), None)
    images = lambda: values("images", (16, 64, 28, 28), None)

    def targets(m: int, n: int) -> Callable[[], np.ndarray]:
        return lambda: np.random.default_rng(0).integers(0, n, (m,))

    weight, bias = lambda: values("w", (1024,), "positive"), lambda: values("b", (1024,), None)
    scale, shift = lambda: values("w", (64,), "positive"), lambda: values("b", (64,), None)
    calls: list[tuple[str, str, Callable[..., Any], list[Callable[[], np.ndarray]], int | None]] = [
        ("layer_norm/512x1024", "layer_norm", lambda f, x, w, b: f(x, (1024,), w, b), [x, weight, bias], 4 << 20),
        ("batch_norm/16x64x28x28", "batch_norm", lambda f, x, w, b: f(x, None, None, w, b, training=True), [images, scale, shift], 8 * 16 * 64 * 28 * 28),
        ("cross_entropy/512x1024", "cross_entropy", lambda f, x, t: f(x, t), [x, targets(512, 1024)], 2 << 20),
        ("cross_entropy/4096x10", "cross_entropy", lambda f, x, t: f(x, t), [lambda: values("x", (4096, 10), None), targets(4096, 10)], None),
        ("cross_entropy/64x32000", "cross_entropy", lambda f, x, t: f(x, t), [lambda: values("x", (64, 32000), None), targets(64, 32000)], None),
    ]
    found = []
    for label, name, call, arrays, nbytes in calls:
        found += [eager(label, name, call, arrays, nbytes), eager(f"{label}/backward", name, call, arrays, None, backward=True)]
    return found


def eager(label: str, name: str, call: Callable[..., Any], arrays: Sequence[Callable[[], np.ndarray]], nbytes: int | None, *, backward: bool = False) -> Case:
    """A case of `call(function, *tensors)`, the function being numtape's and PyTorch's of that name; with the gradients of its floats."""

    def bind(engine: Engine) -> Callable[[], Any] | None:
        if engine.name not in ("numtape", "torch"):
            return None
        if engine.name == "numtape":
            import numtape as m
        else:
            m = engine.torch  # type: ignore[attr-defined]
        function = m.linalg.vector_norm if name == "norm" else getattr(m.nn.functional, name, None) or getattr(m, name)
        tensors = [engine.array(make()) for make in arrays]
        if not backward:
            run = functools.partial(call, function, *tensors)
            return (lambda: run()[0]) if name == "max" else run
        wanted = [t.requires_grad_() for t in tensors if t.is_floating_point()]
        seed = m.ones_like(call(function, *tensors)).detach()
        return lambda: engine.grad(call(function, *tensors), wanted, seed)  # type: ignore[attr-defined]

    return Case("reduction", label, bind, False, nbytes, None, (1e-3, 1e-3))


def reduced(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The operand of a reduction; `any` and `all` must look at every element."""
    if name in ("any", "all"):
        return np.full(shape, name == "all")
    return values(name, shape, "near one" if name == "prod" else None)
