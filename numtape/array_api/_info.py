"""Data types and what can be asked about the namespace."""

from __future__ import annotations

import builtins

import numtape as nt
from numtape.dtypes import BOOL, INT

bool, uint8, uint16, uint32, uint64 = nt.bool, nt.uint8, nt.uint16, nt.uint32, nt.uint64
int8, int16, int32, int64 = nt.int8, nt.int16, nt.int32, nt.int64
float32, float64, complex64, complex128 = nt.float32, nt.float64, nt.complex64, nt.complex128
DTYPES = {
    d.name: d for d in (bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, complex64, complex128)
}  # fmt: skip
KINDS = {
    "bool": lambda d: d.category == BOOL,
    "signed integer": lambda d: d.category == INT and d.is_signed,
    "unsigned integer": lambda d: d.category == INT and not d.is_signed,
    "integral": lambda d: d.category == INT,
    "real floating": lambda d: d.is_floating_point,
    "complex floating": lambda d: d.is_complex,
    "numeric": lambda d: d.category != BOOL,
}


def isdtype(dtype, kind) -> builtins.bool:
    """Whether a dtype is of a kind: a dtype, one of the standard's words ('real floating', ...), or a tuple of these."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ValueError(f"isdtype: kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        return KINDS[kind](dtype)
    return dtype is kind


def result_type(*arrays_and_dtypes):
    """The dtype that these are promoted to: arrays and dtypes alike, Python numbers only where their kind is higher."""
    kinds = [a if isinstance(a, nt.dtype) else a.dtype for a in arrays_and_dtypes if isinstance(a, nt.dtype | nt.Tensor)]
    if not kinds:
        raise ValueError("result_type: expected at least one array or dtype")
    found = kinds[0]
    for kind in kinds[1:]:
        found = nt.promote_types(found, kind)
    for number in arrays_and_dtypes:
        if isinstance(number, complex) and not found.is_complex:
            found = found.to_complex()
        elif isinstance(number, float) and found.category <= INT:
            found = nt.get_default_dtype()
        elif isinstance(number, int) and not isinstance(number, builtins.bool) and found is bool:
            found = int64
    return found


def can_cast(from_, to, /) -> builtins.bool:
    """Whether a dtype can be converted to another by the promotion rules, so that nothing is lost."""
    kind = from_.dtype if isinstance(from_, nt.Tensor) else from_
    try:
        return nt.promote_types(kind, to) is to
    except RuntimeError:
        return False


def astype(x, dtype, /, *, copy=True, device=None):
    """The array converted to a dtype; itself if that is its own and `copy` is False."""
    if x.dtype.is_complex and not dtype.is_complex and dtype is not bool:
        raise TypeError(f"astype: complex numbers cannot be converted to {dtype.name}; take their real parts first")
    return x.to(device=device, dtype=dtype, copy=copy)


def finfo(type, /):
    """The limits of a floating-point dtype (of a complex one's parts), or of an array's."""
    found = nt.finfo(type if isinstance(type, nt.dtype) else type.dtype)
    found.dtype = DTYPES[found.dtype]
    return found


def iinfo(type, /):
    """The limits of an integer dtype, or of an array's."""
    found = nt.iinfo(type if isinstance(type, nt.dtype) else type.dtype)
    found.dtype = DTYPES[found.dtype]
    return found


class __array_namespace_info__:
    """What the namespace can do: `capabilities`, `default_device`, `default_dtypes`, `devices`, `dtypes`."""

    def capabilities(self):
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}

    def default_device(self):
        return nt.get_default_device()

    def default_dtypes(self, *, device=None):
        floating = nt.get_default_dtype()
        return {"real floating": floating, "complex floating": floating.to_complex(), "integral": int64, "indexing": int64}

    def devices(self):
        return [nt.device("cpu"), *(nt.device("cuda", k) for k in range(nt.cuda.device_count()))]

    def dtypes(self, *, device=None, kind=None):
        return {name: d for name, d in DTYPES.items() if kind is None or isdtype(d, kind)}




__all__ = [*DTYPES, "__array_namespace_info__", "astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]
