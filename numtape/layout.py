"""Shapes and strides: pure tuples of ints, no memory. Strides count elements."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod

Ints = tuple[int, ...]


def contiguous_strides(shape: Sequence[int]) -> Ints:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


CHANNELS_LAST = {"channels_last": (0, 2, 3, 1), "channels_last_3d": (0, 2, 3, 4, 1)}  # the dims from the outermost


def format_strides(op: str, memory_format: object, shape: Ints) -> Ints | None:
    """The strides that a `numtape.memory_format` gives a shape; None for preserve_format (and for None), which keep the strides there are."""
    name = getattr(memory_format, "name", memory_format)
    if name is None or name == "preserve_format":
        return None
    if name == "contiguous_format":
        return contiguous_strides(shape)
    if name not in CHANNELS_LAST:
        raise TypeError(f"{op}(): argument 'memory_format' must be numtape.memory_format, not {type(memory_format).__name__}")
    order = CHANNELS_LAST[name]
    if len(shape) != len(order):
        raise RuntimeError(f"{op}: required rank {len(order)} tensor to use {name} format, got shape {list(shape)}")
    strides, step = [0] * len(shape), 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def is_contiguous(shape: Ints, strides: Ints) -> bool:
    step = 1
    for n, s in zip(reversed(shape), reversed(strides)):
        if n == 0:
            return True
        if n != 1:
            if s != step:
                return False
            step *= n
    return True


def is_dense(shape: Ints, strides: Ints) -> bool:
    """Whether the elements fill one block without gaps or overlaps, in some order of the dims."""
    step = 1
    for s, n in sorted((s, n) for n, s in zip(shape, strides) if n != 1):
        if s != step:
            return n == 0
        step *= n
    return True


@functools.lru_cache(4096)
def overlaps_itself(shape: Ints, strides: Ints) -> bool:
    """Whether two indices may reach the same element (exact for what views can make)."""
    step = 0
    for s, n in sorted((s, n) for n, s in zip(shape, strides) if n > 1):
        if s <= step:
            return prod(shape) > 1
        step += s * (n - 1)
    return False


def dim_of(op: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front; IndexError outside [-ndim, ndim)."""
    n = max(ndim, 1)
    try:
        dim = dim.__index__()
    except AttributeError:
        raise TypeError(f"{op}: dim: expected an int, got {type(dim).__name__}") from None
    if not -n <= dim < n:
        raise IndexError(f"{op}: Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return dim + n if dim < 0 else dim


def dims_of(op: str, dims: int | Sequence[int] | None, ndim: int) -> Ints:
    """Distinct dims counted from the front, in ascending order; None and () mean all of them."""
    if dims is None or dims == () or dims == []:
        return tuple(range(ndim))
    if isinstance(dims, (tuple, list)):
        found = [dim_of(op, d, ndim) for d in dims]
        if len(set(found)) != len(found):
            raise RuntimeError(f"{op}: dim {next(d for d in found if found.count(d) > 1)} appears multiple times in the list of dims {tuple(dims)}")
        return tuple(sorted(found)) if ndim else ()
    d = dim_of(op, dims, ndim)  # type: ignore[arg-type]
    return (d,) if ndim else ()


def broadcast_shapes(op: str, *shapes: Ints) -> Ints:
    """The common shape by NumPy's rule, or a RuntimeError that names the shapes."""
    ndim = max((len(s) for s in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for i, n in enumerate(shape, ndim - len(shape)):
            if n != 1:
                if result[i] not in (1, n):
                    listed = " and ".join(str(tuple(s)) for s in shapes)
                    raise RuntimeError(
                        f"{op}: the sizes {result[i]} and {n} at dim {i} cannot be broadcast: the shapes are {listed}; "
                        f"The size of tensor a ({result[i]}) must match the size of tensor b ({n}) at non-singleton dimension {i}"
                    )
                result[i] = n
    return tuple(result)


def expand_strides(shape: Ints, strides: Ints, target: Ints) -> Ints:
    """The strides of a view of `shape` broadcast to `target` (which must be possible)."""
    lead = len(target) - len(shape)
    return (0,) * lead + tuple(s if n == m else 0 for n, s, m in zip(shape, strides, target[lead:]))


def output_strides(shape: Ints, operands: Sequence[tuple[Ints, Ints]]) -> Ints:
    """The strides of an elementwise result: contiguous, or in the order of the operands' dims if they agree on another.

    An operand is (shape, strides) and counts only if it has the result's full shape. As in PyTorch, dense operands of one
    layout give that layout, so that a transposed pair gives a transposed result.
    """
    full = [s for sh, s in operands if sh == shape]
    if not full or prod(shape) <= 1:
        return contiguous_strides(shape)
    if all(is_contiguous(shape, s) for s in full):
        return contiguous_strides(shape)
    if all(s == full[0] for s in full) and len(full) == len(operands) and is_dense(shape, full[0]):
        return full[0]

    def after(i: int, j: int) -> bool:  # whether dim i must stand outside dim j
        for s in full:
            if s[i] != s[j] and s[i] != 0 and s[j] != 0:
                return s[i] > s[j]
        return i < j

    order: list[int] = []
    for d in range(len(shape)):
        at = len(order)
        while at > 0 and not after(order[at - 1], d):
            at -= 1
        order.insert(at, d)
    strides, step = [0] * len(shape), 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def coalesce(shape: Ints, *strides: Ints) -> tuple[Ints, list[Ints]]:
    """The same iteration with fewer dims: drop sizes of 1, order dims by the first operand's strides, merge neighbours."""
    dims = [d for d, n in enumerate(shape) if n != 1]
    dims.sort(key=lambda d: strides[0][d], reverse=True)
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d in dims:
        if sizes and all(t[-1] == s[d] * shape[d] for t, s in zip(steps, strides)):
            sizes[-1] *= shape[d]
            for t, s in zip(steps, strides):
                t[-1] = s[d]
        else:
            sizes.append(shape[d])
            for t, s in zip(steps, strides):
                t.append(s[d])
    return tuple(sizes), [tuple(t) for t in steps]


def view_strides(shape: Ints, strides: Ints, target: Ints) -> Ints | None:
    """The strides that show the same elements as `target`, or None where only a copy can."""
    if prod(shape) == 0:
        return contiguous_strides(target)
    sizes, (steps,) = _merge(shape, strides)
    result: list[int] = []
    chunk, left, step = len(sizes) - 1, 1, steps[-1] if steps else 1
    for n in reversed(target):
        if n == 1:
            result.append(step * left if chunk >= 0 else left)
            continue
        while chunk >= 0 and left == sizes[chunk]:
            chunk -= 1
            left, step = 1, steps[chunk] if chunk >= 0 else 1
        if chunk < 0 or sizes[chunk] % (left * n):
            return None
        result.append(step * left)
        left *= n
    return tuple(reversed(result))


def _merge(shape: Ints, strides: Ints) -> tuple[Ints, list[Ints]]:
    """Merge neighbouring dims that are one run of memory, keeping their order."""
    sizes: list[int] = []
    steps: list[int] = []
    for n, s in zip(shape, strides):
        if n == 1:
            continue
        if sizes and steps[-1] == s * n:
            sizes[-1] *= n
            steps[-1] = s
        else:
            sizes.append(n)
            steps.append(s)
    return tuple(sizes), [tuple(steps)]


def infer_shape(op: str, shape: Sequence[int], numel: int) -> Ints:
    """`shape` with a -1 replaced by what `numel` elements leave, checked."""
    shape = tuple(n.__index__() for n in shape)
    unknown = [i for i, n in enumerate(shape) if n == -1]
    if len(unknown) > 1:
        raise RuntimeError(f"{op}: only one dimension can be inferred, got {shape}")
    if any(n < -1 for n in shape):
        raise RuntimeError(f"{op}: invalid shape dimension {min(shape)} in {shape}")
    if unknown:
        rest = prod(n for n in shape if n != -1)
        if rest == 0:
            raise RuntimeError(f"{op}: cannot reshape tensor of {numel} elements into shape {list(shape)} because the unspecified dimension size -1 can be any value")
        if numel % rest:
            raise RuntimeError(f"{op}: shape '{list(shape)}' is invalid for input of size {numel}")
        return tuple(numel // rest if n == -1 else n for n in shape)
    if prod(shape) != numel:
        raise RuntimeError(f"{op}: shape '{list(shape)}' is invalid for input of size {numel}")
    return shape
