"""Making arrays."""

from __future__ import annotations

import builtins

import numtape as nt

__all__ = [
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "meshgrid", "ones", "ones_like", "tril",
    "triu", "zeros", "zeros_like",
]  # fmt: skip


def asarray(obj, /, *, dtype=None, device=None, copy=None):
    """An array of numbers, nested sequences, an array or a buffer; memory is shared where it can be, unless `copy` is True."""
    if copy is False and not (isinstance(obj, nt.Tensor) or hasattr(obj, "__array_interface__") or hasattr(obj, "__dlpack__")):
        raise ValueError("asarray: copy=False, but a sequence of numbers cannot be shared")
    shared = hasattr(obj, "__array_interface__") and not isinstance(obj, nt.Tensor)
    if shared and getattr(obj, "flags", None) is not None and not obj.flags.writeable:
        obj, copy = obj.copy(), False if copy is None else copy
    sequence = not isinstance(obj, nt.Tensor) and not shared and not hasattr(obj, "__dlpack__")
    found = nt.as_tensor(obj, dtype=dtype if sequence else None)
    moved = found.to(device=device, dtype=dtype)
    if copy is False and moved is not found:
        raise ValueError(f"asarray: copy=False, but {found.dtype} on {found.device} would have to be converted")
    return moved.clone() if copy and (moved is found or shared) else moved


def from_dlpack(x, /, *, device=None, copy=None):
    """An array over the memory of another library's."""
    return nt.from_dlpack(x, device=device, copy=copy)


def arange(start, /, stop=None, step=1, *, dtype=None, device=None):
    """start, start + step, ... below `stop`; from 0 if only one number is given."""
    start, stop = (0, start) if stop is None else (start, stop)
    if (stop - start) * step <= 0:
        whole = all(isinstance(v, int) for v in (start, stop, step))
        return nt.empty(0, dtype=dtype or (nt.int64 if whole else None), device=device)
    return nt.arange(start, stop, step, dtype=dtype, device=device)


def empty(shape, *, dtype=None, device=None):
    """Uninitialised memory."""
    return nt.empty(_shape(shape), dtype=dtype, device=device)


def empty_like(x, /, *, dtype=None, device=None):
    """Uninitialised memory in the shape of x."""
    return nt.empty_like(x, dtype=dtype, device=device)


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None):
    """Ones on diagonal `k`, zeros elsewhere."""
    n_cols = n_rows if n_cols is None else n_cols
    found = nt.zeros(n_rows, n_cols, dtype=dtype, device=device)
    if -n_rows < k < n_cols:
        found.diagonal(k).fill_(1)
    return found


def full(shape, fill_value, *, dtype=None, device=None):
    """One value in every place."""
    return nt.full(_shape(shape), fill_value, dtype=dtype, device=device)


def full_like(x, /, fill_value, *, dtype=None, device=None):
    """One value in the shape of x."""
    return nt.full_like(x, fill_value, dtype=dtype, device=device)


def linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True):
    """`num` numbers from start to stop at equal distances, with or without the end."""
    if endpoint:
        return nt.linspace(start, stop, num, dtype=dtype, device=device)
    return nt.linspace(start, stop, num + 1, dtype=dtype, device=device)[:num]


def meshgrid(*arrays, indexing="xy"):
    """The coordinates of a grid, one array for each dim."""
    return list(nt.meshgrid(*arrays, indexing=indexing)) if arrays else []


def ones(shape, *, dtype=None, device=None):
    """Ones."""
    return nt.ones(_shape(shape), dtype=dtype, device=device)


def ones_like(x, /, *, dtype=None, device=None):
    """Ones in the shape of x."""
    return nt.ones_like(x, dtype=dtype, device=device)


def tril(x, /, *, k=0):
    """The lower triangle, zeros above diagonal `k`."""
    return nt.tril(x, k)


def triu(x, /, *, k=0):
    """The upper triangle, zeros below diagonal `k`."""
    return nt.triu(x, k)


def zeros(shape, *, dtype=None, device=None):
    """Zeros."""
    return nt.zeros(_shape(shape), dtype=dtype, device=device)


def zeros_like(x, /, *, dtype=None, device=None):
    """Zeros in the shape of x."""
    return nt.zeros_like(x, dtype=dtype, device=device)


def _shape(shape) -> builtins.tuple:
    return (shape,) if isinstance(shape, int) else tuple(shape)
