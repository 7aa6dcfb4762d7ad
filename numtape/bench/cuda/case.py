"""A case on a card: its operands, its call, what NumPy says about the result, and the target it is held to.

Operands are NumPy arrays, new in every run. A case is written once for the libraries with PyTorch's names (`call(lib, *operands)`);
`cupy` is the same for CuPy, where it takes part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numtape.bench.engines import side_of
from numtape.bench.runner import mismatch

POOL = (1 << 22) + 7
PLACES, PLACE = 5, 1 << 20  # a large result is compared at so many places, of about so many elements of what it is computed from


# ------------------------------------------------------------------------------------------------ sizes
@dataclass(frozen=True)
class Scale:
    """How large the cases are: outer sizes are divided by `shrink`, no size exceeds `cap`, and `sizes` replaces them all."""

    shrink: int = 1
    cap: int | None = None
    sizes: tuple[int, ...] = ()

    def vectors(self, *defaults: int) -> tuple[int, ...]:
        """Lengths of vectors."""
        if self.sizes:
            return self.sizes
        return tuple(min(max(1, n // self.shrink), 7 * self.cap if self.cap else n) for n in defaults)

    def vector(self, default: int) -> int:
        """The length of a vector, where a case has only one."""
        return max(self.vectors(default))

    def shape(self, outer: int, *inner: int) -> tuple[int, ...]:
        """The sizes of a matrix, or of a batch of them."""
        if self.sizes:
            return (side_of(max(self.sizes)),) * (1 + len(inner)) if len(inner) < 2 else (4, *[side_of(max(self.sizes) // 4)] * len(inner))
        return self.fit(max(1, outer // self.shrink), *inner)

    def fit(self, *shape: int) -> tuple[int, ...]:
        """These sizes under the cap."""
        if self.cap is None:
            return shape
        return (min(shape[0], 3 if len(shape) > 2 else self.cap), *[min(n, self.cap) for n in shape[1:]])

    def sides(self, *sides: int) -> tuple[int, ...]:
        """The sides of square matrices."""
        if self.sizes:
            return tuple(side_of(n) for n in self.sizes)
        largest = max(1, round(max(sides) / self.shrink ** (1 / 3)))
        return tuple(dict.fromkeys(min(n, largest, self.cap or n) for n in sides))


def scale_of(memory: int | None, *, quick: bool, emulated: bool, sizes: Sequence[int] = ()) -> Scale:
    """The scale that fits: `memory` is what is free on the card, in bytes; up to twelve operands of the full scale are held at once."""
    if sizes:
        return Scale(sizes=tuple(sizes))
    if emulated:
        return Scale(cap=20)
    shrink = 8 if quick else 1
    while memory is not None and shrink < 1024 and (12 << 30) / shrink > 0.6 * memory:
        shrink *= 2
    return Scale(shrink)


def number(n: int) -> str:
    """A size as people write it: 256M for 2**28."""
    for power, letter in ((20, "M"), (10, "K")):
        if n >= 1 << power and n % (1 << power) == 0:
            return f"{n >> power}{letter}"
    return str(n)


def times(shape: Sequence[int]) -> str:
    """A shape as text: 1024x512."""
    return "x".join(map(str, shape))


# ------------------------------------------------------------------------------------------------ operands
class Draw:
    """Random operands. They are pieces of one buffer, which repeats a pool whose odd length falls in step with no tile or block.

    A gigabyte of new memory takes seconds on some machines, so the operands share it: nobody may write into them.
    """

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.buffer = self.rng.standard_normal(POOL, np.float32)

    def normal(self, *shape: int, dtype: Any = np.float32) -> np.ndarray:
        """Normal numbers."""
        n = math.prod(shape)
        if len(self.buffer) < n + POOL:
            self.buffer = np.resize(self.buffer[:POOL], n + POOL)
        at = int(self.rng.integers(POOL))
        return self.buffer[at : at + n].reshape(shape).astype(dtype, copy=False)

    def integers(self, high: int, *shape: int) -> np.ndarray:
        """Whole numbers from 0 to `high` - 1, as int64."""
        return self.rng.integers(0, high, shape)


# ------------------------------------------------------------------------------------------------ targets
@dataclass(frozen=True)
class Target:
    """What a case should reach: `share` (at least) of the peak, `seconds` (at most) a call, or `slower` (at most) times as long as PyTorch."""

    kind: str
    bound: float

    @property
    def text(self) -> str:
        if self.kind == "seconds":
            return f"<={1e6 * self.bound:.3g}us"
        return f">={100 * self.bound:.0f}%" if self.kind == "share" else f"<={self.bound:g}x"

    def met(self, value: float | None) -> bool | None:
        """Whether a figure meets it; None where there is no figure."""
        if value is None:
            return None
        return value >= self.bound if self.kind == "share" else value <= self.bound


ELEMENTWISE = Target("share", 0.85)
REDUCTION = Target("share", 0.75)
TRANSPOSE = Target("share", 0.70)
PRODUCT = Target("share", 0.50)
LAUNCH = Target("seconds", 8e-6)
TRAINING = Target("slower", 1.5)


# ------------------------------------------------------------------------------------------------ cases
Cut = Callable[[Sequence[Any], slice], Sequence[Any]]


def each(operands: Sequence[Any], rows: slice) -> Sequence[Any]:
    """The operands that some rows of the result come from: the same rows of every operand."""
    return [a[rows] for a in operands]


def first(operands: Sequence[Any], rows: slice) -> Sequence[Any]:
    """The same rows of the first operand, and all of the others."""
    return [operands[0][rows], *operands[1:]]


def second(operands: Sequence[Any], rows: slice) -> Sequence[Any]:
    """All of the first operand, and the same rows of the second."""
    return [operands[0], operands[1][rows], *operands[2:]]


def columns(operands: Sequence[Any], rows: slice) -> Sequence[Any]:
    """Some columns of every operand."""
    return [a[:, rows] for a in operands]


@dataclass(frozen=True)
class Case:
    """What is timed and how it is judged.

    operands: makes the NumPy arrays. view: slices and transposes them, on host and card alike. call: `call(lib, *operands)`; cupy:
    the same for CuPy, or None. build: where a case is more than a call, `build(engine, operands)` gives the function to be timed, or None.
    reference: the result in NumPy, from operands in float64; cut: which operands some rows of the result come from (None: the whole
    result is compared). verify: a check of its own, `verify(engine, function, operands)`, that says what is wrong. nbytes, flops: what one call
    must read and write, and compute. clock: "card" (events around calls), "wall" (until the card is done) or "host" (until the calls
    return). tolerance: relative, absolute.
    """

    suite: str
    label: str
    operands: Callable[[Draw], Sequence[Any]]
    call: Callable[..., Any] | None = None
    reference: Callable[..., Any] | None = None
    view: Callable[..., Sequence[Any]] | None = None
    cut: Cut | None = each
    cupy: Callable[..., Any] | None = None
    build: Callable[[Any, Sequence[Any]], Callable[[], Any] | None] | None = None
    verify: Callable[[Any, Callable[[], Any], Sequence[Any]], str | None] | None = None
    nbytes: int | None = None
    flops: float | None = None
    clock: str = "card"
    tolerance: tuple[float, float] = (2e-6, 4e-6)
    target: Target | None = None
    inplace: bool = False
    default: bool = True

    @property
    def name(self) -> str:
        return f"{self.suite}/{self.label}"


# ------------------------------------------------------------------------------------------------ checks
def difference(case: Case, result: np.ndarray, operands: Sequence[Any]) -> str | None:
    """How a result differs from NumPy's in float64, at the start, at the end and between; None where it does not."""
    if result.dtype.kind == "f" and (missing := np.isnan(result)).any():
        at = tuple(map(int, np.unravel_index(int(np.argmax(missing)), result.shape)))
        return f"{int(missing.sum())} of {result.size} elements are NaN (never written?), the first at {at}"
    if case.reference is None:
        return None
    viewed = case.view(*operands) if case.view else operands
    if case.cut is None:
        expected = np.asarray(case.reference(*viewed))
        found = None if np.array_equal(result, expected) else mismatch([result], [expected], case.tolerance)
        return found and f"numtape and NumPy (float64) differ: {found}"
    exact = {id(a): _exact(a) for a, part in zip(viewed, case.cut(viewed, slice(0, 1))) if a is part}  # what is never cut
    for rows in _places(case, result, viewed):
        parts = [exact[id(a)] if id(a) in exact else _exact(a) for a in case.cut(viewed, rows)]
        found = mismatch([result[rows]], [np.asarray(case.reference(*parts))], case.tolerance)
        if found is not None:
            return f"numtape and NumPy (float64) differ in rows {rows.start} to {rows.stop}: {found}"
    return None


def _exact(a: Any) -> Any:
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a


def _places(case: Case, result: np.ndarray, operands: Sequence[Any]) -> list[slice]:
    """Slices of rows of the result: all, or a few places of a large one."""
    rows = len(result)
    if not rows or case.cut is None:
        return [slice(0, rows)]
    one = case.cut(operands, slice(0, 1))
    cost = max([result.size // rows, *(part.size for a, part in zip(operands, one) if part is not a), int((case.flops or 0) / rows / 512)])
    length = max(1, PLACE // max(cost, 1))
    if PLACES * length >= rows:
        return [slice(0, rows)]
    rng = np.random.default_rng(rows)
    starts = {0, rows - length, *(int(rng.integers(rows - length + 1)) for _ in range(PLACES - 2))}
    return [slice(s, s + length) for s in sorted(starts)]
