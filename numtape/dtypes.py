"""Element types and PyTorch's promotion between them."""

from __future__ import annotations

from builtins import bool as _pybool
from builtins import float as _pyfloat
from builtins import int as _pyint
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

BOOL, INT, FLOAT, COMPLEX = range(4)


class dtype:
    """An element type, such as `numtape.float32`. There is one object for each, so they compare by identity.

    >>> import numtape as nt
    >>> nt.float32.itemsize, nt.float32.is_floating_point, nt.int64.is_signed
    (4, True, True)
    """

    __slots__ = ("arithmetic", "category", "code", "differentiable", "is_complex", "is_floating_point", "is_signed", "itemsize", "name", "numpy")

    def __init__(self, name: str, code: str, category: _pyint, itemsize: _pyint, *, signed: _pybool = True, arithmetic: str | None = None):
        self.name, self.code, self.category, self.itemsize = name, code, category, itemsize
        self.is_floating_point, self.is_complex, self.is_signed = category == FLOAT, category == COMPLEX, signed
        self.differentiable = category >= FLOAT
        self.arithmetic = arithmetic or code  # the code of the type that kernels compute in: halves only stand in memory
        self.numpy: Any = None if name == "bfloat16" else np.dtype(name)  # NumPy has no bfloat16

    def __repr__(self) -> str:
        return f"numtape.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self.name,)

    @property
    def is_half(self) -> _pybool:
        """Whether it is float16 or bfloat16, which kernels compute with as float32."""
        return self.code != self.arithmetic

    def to_complex(self) -> dtype:
        """The complex dtype whose parts are as wide as this one, at least float32."""
        if self.category < FLOAT:
            return get_default_dtype().to_complex()
        return complex128 if self in (float64, complex128) else complex64

    def to_real(self) -> dtype:
        """The dtype of the parts of a complex number; a real dtype itself."""
        return {complex64: float32, complex128: float64}.get(self, self)


bool = dtype("bool", "b8", BOOL, 1, signed=False)
uint8 = dtype("uint8", "u8", INT, 1, signed=False)
uint16 = dtype("uint16", "u16", INT, 2, signed=False)
uint32 = dtype("uint32", "u32", INT, 4, signed=False)
uint64 = dtype("uint64", "u64", INT, 8, signed=False)
int8 = dtype("int8", "i8", INT, 1)
int16 = short = dtype("int16", "i16", INT, 2)
int32 = int = dtype("int32", "i32", INT, 4)
int64 = long = dtype("int64", "i64", INT, 8)
float16 = half = dtype("float16", "f16", FLOAT, 2, arithmetic="f32")
bfloat16 = dtype("bfloat16", "bf16", FLOAT, 2, arithmetic="f32")
float32 = float = dtype("float32", "f32", FLOAT, 4)
float64 = double = dtype("float64", "f64", FLOAT, 8)
complex64 = cfloat = dtype("complex64", "c64", COMPLEX, 8)
complex128 = cdouble = dtype("complex128", "c128", COMPLEX, 16)

SUPPORTED = (
    bool, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
ALL = {d.name: d for d in SUPPORTED}
_OF_NUMPY = {d.numpy: d for d in SUPPORTED if d.numpy is not None}
_ALIASES = ("short", "int", "long", "float", "double", "half", "cfloat", "cdouble")


def _by_name(name: str) -> dtype:
    return ALL[name]


def check(op: str, kind: object) -> dtype:
    """`kind` as a dtype (Python's and NumPy's types are understood), or an error naming `op`."""
    if isinstance(kind, dtype):
        return kind
    if kind in _PYTHON:
        return get_default_dtype() if kind is _pyfloat else get_default_dtype().to_complex() if kind is complex else _PYTHON[kind]
    try:
        return of_numpy(np.dtype(kind), op)  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(f"{op}: dtype: expected a numtape dtype such as numtape.float32, got {kind!r}") from None


def of_numpy(kind: np.dtype, op: str = "from_numpy") -> dtype:
    """The dtype of a NumPy dtype."""
    if found := _OF_NUMPY.get(kind):
        return found
    raise TypeError(f"{op}: cannot convert an array of {kind}; supported are {', '.join(d.name for d in _OF_NUMPY.values())}")


_PYTHON: dict[object, dtype] = {_pybool: bool, _pyint: int64, _pyfloat: float32, complex: complex64}

# ------------------------------------------------------------------------------------------------ promotion
_default = float32
on_new_default: list[Callable[[], None]] = []  # called when it changes: plans depend on it


def get_default_dtype() -> dtype:
    """The dtype of new floating-point tensors made from Python numbers; float32 unless set otherwise."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Set the dtype of new floating-point tensors made from Python numbers."""
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_dtype: only floating-point dtypes can be the default, got {d}")
    if d is not _default:
        _default = d
        for forget in on_new_default:
            forget()


def _promote(a: dtype, b: dtype) -> dtype | None:
    """PyTorch's table. Where that refuses unsigned integers beside signed ones, the smallest that holds both; None if there is none."""
    if a is b:
        return a
    if a.category != b.category:
        low, high = (a, b) if a.category < b.category else (b, a)
        return complex128 if low is float64 and high is complex64 else high
    if a.category == INT and a.is_signed != b.is_signed:
        unsigned, signed = (a, b) if b.is_signed else (b, a)
        return signed if signed.itemsize > unsigned.itemsize else {uint8: int16, uint16: int32, uint32: int64}.get(unsigned)
    if a.itemsize == b.itemsize:  # the two halves
        return float32
    return a if a.itemsize > b.itemsize else b


_TABLE = {(a, b): _promote(a, b) for a in SUPPORTED for b in SUPPORTED}


def _joint(a: dtype, b: dtype) -> dtype:
    found = _TABLE[a, b]
    if found is None:
        raise RuntimeError(f"Promotion for uint64 beside signed integers is not supported, attempted to promote {a.name} and {b.name}; convert one first")
    return found


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that both can be converted to, by PyTorch's table.

    >>> import numtape as nt
    >>> nt.promote_types(nt.uint8, nt.int8)
    numtape.int16
    """
    return _joint(check("promote_types", type1), check("promote_types", type2))


def scalar_dtype(value: object) -> dtype:
    """The dtype of a Python number on its own."""
    if isinstance(value, (_pybool, np.bool_)):
        return bool
    if isinstance(value, (_pyint, np.integer)):
        return int64
    if isinstance(value, (_pyfloat, np.floating)):
        return _default
    if isinstance(value, (complex, np.complexfloating)):
        return _default.to_complex()
    raise TypeError(f"expected a number, got {type(value).__name__}")


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """A lower-priority operand counts only if it is of a higher kind (PyTorch's combine_categories)."""
    if higher is None or lower is None:
        return higher or lower
    return _joint(higher, lower) if lower.category > higher.category else higher


def promote_operands(dimensioned: Iterable[dtype], zero_dim: Iterable[dtype], numbers: Iterable[dtype]) -> dtype:
    """The result dtype of operands of three priorities: tensors with dimensions, zero-dimensional tensors, numbers."""
    parts = []
    for group in (dimensioned, zero_dim, numbers):
        joint = None
        for d in group:
            joint = d if joint is None else _joint(joint, d)
        parts.append(joint)
    result = _combine(parts[0], _combine(parts[1], parts[2]))
    assert result is not None
    return result


def can_cast(from_: dtype, to: dtype) -> _pybool:
    """Whether PyTorch's rules allow converting `from_` to `to` in an in-place operation: never to a lower kind.

    >>> import numtape as nt
    >>> nt.can_cast(nt.int64, nt.float32), nt.can_cast(nt.float32, nt.int64)
    (True, False)
    """
    return from_.category <= to.category


class finfo:
    """The numerical limits of a floating-point dtype.

    >>> import numtape as nt
    >>> nt.finfo(nt.float32).bits
    32
    """

    def __init__(self, type: dtype | None = None):
        d = check("finfo", type or _default).to_real()
        if not d.is_floating_point:
            raise TypeError(f"finfo: expected a floating-point dtype, got {d}; use iinfo for integers")
        self.dtype, self.bits = d.name, d.itemsize * 8
        if d is bfloat16:  # 8 bits of fraction, the exponents of float32
            self.eps, self.tiny, self.resolution = 2.0**-7, 2.0**-126, 0.01
            self.max = (2 - 2.0**-7) * 2.0**127
        else:
            info = np.finfo(d.numpy)
            self.eps, self.tiny, self.max = (_pyfloat(v) for v in (info.eps, info.tiny, info.max))
            self.resolution = 10.0**-info.precision
        self.min, self.smallest_normal = -self.max, self.tiny

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name):g}" for name in ("resolution", "min", "max", "eps", "smallest_normal", "tiny"))
        return f"finfo({values}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype.

    >>> import numtape as nt
    >>> nt.iinfo(nt.int8).max
    127
    """

    def __init__(self, type: dtype):
        d = check("iinfo", type)
        if d.category != INT:
            raise TypeError(f"iinfo: expected an integer dtype, got {d}; use finfo for floating point")
        info = np.iinfo(d.numpy)
        self.dtype, self.bits, self.max, self.min = d.name, d.itemsize * 8, _pyint(info.max), _pyint(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
