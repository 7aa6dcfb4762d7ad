"""The cases that move memory: elementwise ops, reductions and rows, copies, indexing, random numbers. Their rates are shares of a copy's."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.cuda.case import ELEMENTWISE, REDUCTION, TRANSPOSE, Case, Draw, Scale, columns, each, first, number, second, times

Operands = Callable[[Draw], Sequence[Any]]


def normals(*shapes: Sequence[int], dtype: Any = np.float32) -> Operands:
    """Operands of normal numbers."""
    return lambda draw: [draw.normal(*shape, dtype=dtype) for shape in shapes]


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


# ------------------------------------------------------------------------------------------------ elementwise
def elementwise_cases(scale: Scale) -> list[Case]:
    """Ops that read each element once and write one, on large vectors and matrices."""
    case = functools.partial(Case, "elementwise", target=ELEMENTWISE)
    cases = []
    add = lambda lib, x, y: x + y
    for n in scale.vectors(1 << 28, 1 << 26, 1 << 24):
        two, item = normals((n,), (n,)), 4 * n
        cases += [
            case(f"add/{number(n)}", two, add, np.add, cupy=add, nbytes=3 * item),
            case(f"tanh/{number(n)}", normals((n,)), lambda lib, x: lib.tanh(x), np.tanh, cupy=lambda lib, x: lib.tanh(x), nbytes=2 * item),
        ]
    n = scale.vector(1 << 26)
    m, item, of = n + 1, 4 * n, number(n)
    three = normals((n,), (n,), (n,))
    half_as_many = scale.vector(1 << 25)
    doubles = normals((half_as_many,), (half_as_many,), dtype=np.float64)
    both = lambda x, y: (x[1:], y[1:])
    half = lambda x, y: (x[:, : x.shape[1] // 2], y[:, : y.shape[1] // 2])
    cases += [
        case(f"mul-add/{of}", three, lambda lib, x, y, z: x * y + z, lambda x, y, z: x * y + z, nbytes=6 * item),
        case(f"addcmul/{of}", three, lambda lib, x, y, z: lib.addcmul(z, x, y), lambda x, y, z: z + x * y, nbytes=4 * item),
        case(f"exp/{of}", normals((n,)), lambda lib, x: lib.exp(x), np.exp, nbytes=2 * item),
        case(f"gelu/{of}", normals((n,)), lambda lib, x: lib.nn.functional.gelu(x), lambda x: x * 0.5 * (1 + _erf(x * 0.5**0.5)), nbytes=2 * item),
        case(f"mul-number/{of}", normals((n,)), lambda lib, x: x * 0.1, lambda x: x * 0.1, nbytes=2 * item),
        case(f"greater/{of}", normals((n,), (n,)), lambda lib, x, y: x > y, lambda x, y: x > y, nbytes=9 * n),
        case(f"add_/{of}", normals((n,), (n,)), lambda lib, x, y: x.add_(y), np.add, nbytes=3 * item, inplace=True),
        case(f"add-float64/{number(half_as_many)}", doubles, add, np.add, nbytes=24 * half_as_many),
        case(f"add-unaligned/{of}", normals((m,), (m,)), add, np.add, view=both, nbytes=3 * item),
    ]
    for outer, inner in ((1 << 16, 1 << 10), (1 << 20, 1 << 6), (4099, 16381)):
        shape = scale.shape(outer, inner)
        n = math.prod(shape)
        cases.append(case(f"add-bias/{times(shape)}", normals(shape, shape[1:]), add, np.add, cut=first, nbytes=8 * n + 4 * shape[1]))
    shape = scale.shape(1 << 16, 1 << 11)
    moved = 12 * shape[0] * (shape[1] // 2)
    cases.append(case(f"add-half-rows/{times(shape)}", normals(shape, shape), add, np.add, view=half, nbytes=moved))
    n = 2 * scale.vector(1 << 25)
    strided = lambda x, y: (x[::2], y[::2])  # whole sectors are read: twice the bytes
    cases.append(case(f"add-every-2nd/{number(n)}", normals((n,), (n,)), add, np.add, view=strided, nbytes=10 * n, target=None))
    side = max(scale.sides(1 << 13))
    turned = lambda x, y: (x, y.T)
    cases.append(case(f"add-transposed/{side}x{side}", normals((side, side), (side, side)), add, np.add, view=turned, nbytes=12 * side**2, target=None))
    return cases


# ------------------------------------------------------------------------------------------------ reductions and rows
def reduce_cases(scale: Scale) -> list[Case]:
    """Sums over everything, over columns (dim 0) and rows (dim 1); ops on rows."""
    case = functools.partial(Case, "reduce", target=REDUCTION)
    cases = []
    for n in scale.vectors(1 << 28, 1 << 24):
        total = lambda lib, x: x.sum()
        exact = lambda x: x.sum(dtype=np.float64)
        cases.append(case(f"sum.all/{number(n)}", normals((n,)), total, exact, cut=None, cupy=total, nbytes=4 * n, tolerance=added(n)))
    for dim, shapes in ((0, ((1 << 16, 1 << 12), (1 << 10, 1 << 18), (1 << 22, 1 << 6))), (1, ((1 << 18, 1 << 10), (1 << 12, 1 << 16), (1 << 22, 1 << 6)))):
        for shape in (scale.shape(*s) for s in shapes):
            along, exact = _sums(dim)
            cut, near = (columns, each)[dim], added(shape[dim])
            nbytes = 4 * (math.prod(shape) + shape[1 - dim])
            cases.append(case(f"sum.dim{dim}/{times(shape)}", normals(shape), along, exact, cut=cut, cupy=along, nbytes=nbytes, tolerance=near))
    shape = scale.shape(1 << 18, 1 << 10)
    rows, of = normals(shape), times(shape)
    read, both, near = 4 * (math.prod(shape) + shape[0]), 8 * math.prod(shape), added(shape[1])
    cases += [
        case(f"amax.dim1/{of}", rows, lambda lib, x: lib.amax(x, 1), lambda x: x.max(1), nbytes=read),
        case(f"argmax.dim1/{of}", rows, lambda lib, x: lib.argmax(x, 1), lambda x: x.argmax(1), nbytes=read + 4 * shape[0]),
        case(f"var.dim1/{of}", rows, lambda lib, x: lib.var(x, 1), lambda x: x.var(1, ddof=1), nbytes=read, tolerance=(1e-4, 1e-5)),
        case(f"cumsum.dim1/{of}", rows, lambda lib, x: lib.cumsum(x, 1), lambda x: x.cumsum(1), nbytes=both, tolerance=near, target=None),
    ]
    for shape in (scale.shape(*s) for s in ((1 << 16, 1 << 10), (1 << 20, 1 << 6), (1 << 13, 1 << 13), (1 << 9, 1 << 17))):
        cases.append(case(f"softmax.dim1/{times(shape)}", normals(shape), _softmax(1), _exact_softmax(1), nbytes=8 * math.prod(shape), tolerance=(1e-4, 1e-9)))
    shape = scale.shape(1 << 12, 1 << 14)
    call, exact = lambda lib, x: lib.softmax(x, 0).t(), lambda x: _exact_softmax(0)(x).T  # rows of the result are columns of the operand
    moved, near = 8 * math.prod(shape), (1e-4, 1e-9)
    cases.append(case(f"softmax.dim0/{times(shape)}", normals(shape), call, exact, cut=columns, nbytes=moved, tolerance=near, target=None))
    for shape in (scale.shape(*s) for s in ((1 << 16, 1 << 10), (1 << 9, 1 << 17))):
        call, exact = lambda lib, x: lib.log_softmax(x, 1), lambda x: np.log(_exact_softmax(1)(x))
        cases.append(case(f"log_softmax.dim1/{times(shape)}", normals(shape), call, exact, nbytes=8 * math.prod(shape), tolerance=(1e-5, 1e-4)))
    if hasattr(nt.nn.functional, "layer_norm"):
        cases.append(_layer_norm(case, scale.shape(1 << 16, 1 << 10)))
    return cases + _cross_entropies(case, scale.shape(1 << 16, 1000))


def _sums(dim: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return lambda lib, x: x.sum(dim), lambda x: x.sum(dim)


def added(n: int) -> tuple[float, float]:
    """The tolerance of a sum of `n` normal numbers in float32."""
    return 1e-5, 1e-5 + 5e-5 * n**0.5


def _softmax(dim: int) -> Callable[..., Any]:
    return lambda lib, x: lib.softmax(x, dim)


def _exact_softmax(dim: int) -> Callable[[np.ndarray], np.ndarray]:
    def softmax(x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(dim, keepdims=True))
        return e / e.sum(dim, keepdims=True)

    return softmax


def _layer_norm(case: Callable[..., Case], shape: tuple[int, ...]) -> Case:
    def exact(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        centred = x - x.mean(1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * weight + bias

    call = lambda lib, x, weight, bias: lib.nn.functional.layer_norm(x, shape[1:], weight, bias)
    operands = normals(shape, shape[1:], shape[1:])
    return case(f"layer_norm/{times(shape)}", operands, call, exact, cut=first, nbytes=8 * math.prod(shape), tolerance=(1e-4, 1e-4))


def _cross_entropies(case: Callable[..., Case], shape: tuple[int, ...]) -> list[Case]:
    """The mean cross entropy of rows of scores, and the way back."""
    rows, n = shape[0], math.prod(shape)
    operands = lambda draw: [draw.normal(*shape), draw.integers(shape[1], rows)]

    def exact(x: np.ndarray, classes: np.ndarray) -> float:
        pieces = (slice(i, i + 4096) for i in range(0, rows, 4096))
        return float(sum(_losses(x[p].astype(np.float64), classes[p]).sum() for p in pieces) / rows)

    def there_and_back(lib: Any, x: Any, classes: Any) -> Any:
        x.requires_grad_().grad = None
        lib.nn.functional.cross_entropy(x, classes).backward()
        return x.grad

    def slope(x: np.ndarray, classes: np.ndarray) -> np.ndarray:
        g = _exact_softmax(1)(x)
        g[np.arange(len(x)), classes] -= 1
        return g / rows

    call = lambda lib, x, classes: lib.nn.functional.cross_entropy(x, classes)
    of = times(shape)
    near = (1e-4, 1e-5 / rows)
    return [
        case(f"cross_entropy/{of}", operands, call, exact, cut=None, nbytes=4 * n + 8 * rows, tolerance=(1e-5, 1e-5)),
        case(f"cross_entropy+backward/{of}", operands, there_and_back, slope, nbytes=12 * n + 16 * rows, tolerance=near, target=None),
    ]


def _losses(x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    high = x.max(1)
    return np.log(np.exp(x - high[:, None]).sum(1)) + high - x[np.arange(len(x)), classes]


# ------------------------------------------------------------------------------------------------ copies
def copy_cases(scale: Scale) -> list[Case]:
    """Copies into fresh memory: as it is, transposed, to another dtype."""
    case = functools.partial(Case, "copy")
    n = scale.vector(1 << 28)
    same = lambda x: x
    cases = [case(f"clone/{number(n)}", normals((n,)), lambda lib, x: x.clone(), same, nbytes=8 * n, target=ELEMENTWISE)]
    turned, whole = lambda x: (x.swapaxes(-1, -2),), lambda lib, x: x.contiguous()
    for shape in (scale.shape(*s) for s in ((1 << 13, 1 << 13), (1 << 14, 1 << 14), (1 << 20, 1 << 6), (64, 1 << 10, 1 << 10), (5003, 8209))):
        nbytes = 8 * math.prod(shape)
        ones = lambda lib, x: lib.ascontiguousarray(x)
        cases.append(case(f"transpose/{times(shape)}", normals(shape), whole, same, view=turned, cupy=ones, nbytes=nbytes, target=TRANSPOSE))
    shape = scale.shape(1 << 13, 1 << 13)
    double, n = normals(shape, dtype=np.float64), scale.vector(1 << 26)
    cases += [
        case(f"transpose-float64/{times(shape)}", double, whole, same, view=turned, nbytes=16 * math.prod(shape), target=TRANSPOSE),
        case(f"to-float64/{number(n)}", normals((n,)), lambda lib, x: x.to(lib.float64), same, nbytes=12 * n, target=ELEMENTWISE),
    ]
    return cases


# ------------------------------------------------------------------------------------------------ indexing
def index_cases(scale: Scale) -> list[Case]:
    """Joining tensors, and choosing from one by an index."""
    case = functools.partial(Case, "index")
    n, shape = scale.vector(1 << 24), scale.shape(1 << 16, 1 << 9)
    join = lambda dim: lambda lib, *parts: lib.cat(parts, dim)
    rows, width = scale.shape(1 << 20, 1 << 7)
    pick = lambda draw: [draw.normal(rows, width), draw.integers(rows, rows)]
    gathered = scale.shape(1 << 16, 1 << 10)
    within = lambda draw: [draw.normal(*gathered), draw.integers(gathered[1], *gathered)]
    size, area = math.prod(shape), math.prod(gathered)
    return [
        case(f"cat.dim0/3x{number(n)}", normals((n,), (n,), (n,)), join(0), lambda *x: np.concatenate(x), cut=None, nbytes=24 * n),
        case(f"cat.dim1/3x{times(shape)}", normals(shape, shape, shape), join(1), lambda *x: np.concatenate(x, 1), nbytes=24 * size),
        case(
            f"index_select.dim0/{rows}x{width}",
            pick,
            lambda lib, x, i: lib.index_select(x, 0, i),
            lambda x, i: x[i].astype(np.float64),
            cut=second,
            nbytes=8 * rows * width + 8 * rows,
        ),
        case(
            f"gather.dim1/{times(gathered)}",
            within,
            lambda lib, x, i: lib.gather(x, 1, i),
            lambda x, i: np.take_along_axis(x, i, 1),
            nbytes=16 * area,
        ),
    ]


# ------------------------------------------------------------------------------------------------ random numbers
def random_cases(scale: Scale) -> list[Case]:
    """Fills with random numbers; from one seed a card draws what the CPU draws."""
    n = scale.vector(1 << 28)
    empty = lambda draw: [np.zeros(n, np.float32)]
    return [
        Case("random", f"rand/{number(n)}", empty, lambda lib, x: lib.rand_like(x), verify=_drawn("rand", 0.5, 1 / 12), nbytes=4 * n, target=ELEMENTWISE),
        Case("random", f"randn/{number(n)}", empty, lambda lib, x: lib.randn_like(x), verify=_drawn("randn", 0.0, 1.0), nbytes=4 * n, target=ELEMENTWISE),
    ]


def _drawn(name: str, mean: float, variance: float) -> Callable[..., str | None]:
    """A check of numtape's draws: mean and variance, and the values of the CPU from the same seed."""

    def verify(engine: Any, draw: Callable[[], Any], operands: Sequence[Any]) -> str | None:
        x = engine.numpy(draw())
        if np.isnan(x).any():
            return f"{int(np.isnan(x).sum())} of {x.size} numbers are NaN"
        for part in (x[: 1 << 22], x[-(1 << 22) :]):
            for what, found, wanted in (("mean", part.mean(dtype=np.float64), mean), ("variance", part.var(dtype=np.float64), variance)):
                if abs(found - wanted) > 8 / part.size**0.5:
                    return f"the {what} of {part.size} numbers is {found:.6g}, expected {wanted:.6g}"
        count, values = min(x.size, 100_003), {}
        for device in (engine.device, "cpu"):
            nt.manual_seed(7)
            values[device] = getattr(nt, name)(count, device=device).cpu().numpy()
        far = np.abs(values[engine.device] - values["cpu"])
        if not far.max() <= 1e-5:
            return f"from seed 7, number {int(far.argmax())} is {values[engine.device][far.argmax()]:.9g}, on the CPU {values['cpu'][far.argmax()]:.9g}"
        return None

    return verify
