"""Complex numbers: their parts, conjugates and angles, and the same memory seen as pairs of real numbers."""

from __future__ import annotations

from numtape import dtypes
from numtape.dispatch import functions, inplace
from numtape.dispatch.record import recorded, view_of
from numtape.graph import Symbol
from numtape.op import TABLE, Kinds, Operand, arithmetic, floating
from numtape.ops import creation
from numtape.ops.arithmetic import zero
from numtape.ops.copy import tensor_of
from numtape.ops.define import composite, elementwise
from numtape.ops.select import where
from numtape.ops.trigonometric import cos, sin
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)


# ------------------------------------------------------------------------------------------------ dtype rules
def _part(name: str, operands: list[Operand]) -> Kinds:
    """A real number of a complex one."""
    kinds, d = arithmetic(name, operands)
    return kinds, d.to_real()


def _angle(name: str, operands: list[Operand]) -> Kinds:
    kinds, d = floating(name, operands)
    return kinds, d.to_real()


def _pair(name: str, operands: list[Operand]) -> Kinds:
    """Two real numbers as a complex one."""
    (x, _), (y, _) = operands
    if x not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}: Expected both inputs to be Float or Double tensors but got {x.name} and {y.name}")
    if x is not y:
        raise RuntimeError(f"{name}: Expected object of scalar type {x.name} but got scalar type {y.name} for second argument")
    return [x, y], x.to_complex()


# ------------------------------------------------------------------------------------------------ scalars
@elementwise(arithmetic, vjp=lambda g: conj(g), inplace=False, complex=True, wirtinger=True)
def conj(x):
    "The conjugate; of a real tensor itself."
    return m.conj(x)


@elementwise(_part, vjp=lambda g: _complex_of(g, zero(g)), inplace=False, method=False, complex=True, wirtinger=True)
def _real_part(x):
    "The real part."
    return m.real(x)


@elementwise(_part, vjp=lambda g: _complex_of(zero(g), g), inplace=False, method=False, complex=True, wirtinger=True)
def _imag_part(x):
    "The imaginary part."
    return m.imag(x)


@elementwise(_pair, vjp=(lambda g: _real_part(g), lambda g: _imag_part(g)), inplace=False, method=False, wirtinger=True)
def _complex_of(x, y):
    "x + i y."
    return m.complex(x, y)


@elementwise(_angle, vjp=lambda g, x: _turn(g, x), inplace=False, complex=True, wirtinger=True)
def angle(x):
    "The angle in the complex plane, in (-pi, pi]; of a real number pi where it is negative, else 0, and NaN stays NaN."
    return m.angle(x)


def _turn(g, x):
    """The gradient of the angle: i x / |x|**2."""
    if not x.dtype.is_complex:
        return zero(g)
    a, b = _real_part(x), _imag_part(x)
    square = a * a + b * b
    share = where(square == 0, 0.0, g / square)
    return _complex_of(b * share * -1.0, a * share)


def _leave_real(name: str) -> None:
    """Let a function hand real tensors on as they are."""
    function = TABLE[name].public

    def checked(input, *, out=None):
        if isinstance(input, (Tensor, Symbol)) and not input.dtype.is_complex:
            return input if out is None else functions.into(name, input, out)
        return function(input, out=out)

    checked.__name__, checked.__doc__ = name, function.__doc__
    TABLE[name].public = checked


_leave_real("conj")
conj = TABLE["conj"].public  # noqa: F811


def conj_physical_(self):
    """Conjugate in place."""
    return inplace.call_into(TABLE["conj"], (self,), self, "conj_physical_") if self.dtype.is_complex else self


# ------------------------------------------------------------------------------------------------ making
@composite
def complex(real, imag, *, out=None):
    "real + i imag, of two float32 or two float64 tensors."
    for name, x in (("real", real), ("imag", imag)):
        if not isinstance(x, Tensor):
            raise TypeError(f"complex(): argument '{name}' must be Tensor, not {type(x).__name__}")
    result = _complex_of(real, imag)
    return result if out is None else functions.into("complex", result, out)


@composite
def polar(abs, angle, *, out=None):
    "The complex numbers at distances `abs` from zero, at the angles `angle` in radians."
    for name, x in (("abs", abs), ("angle", angle)):
        if not isinstance(x, Tensor):
            raise TypeError(f"polar(): argument '{name}' must be Tensor, not {type(x).__name__}")
    _pair("polar", [(abs.dtype, 0), (angle.dtype, 0)])
    result = _complex_of(abs * cos(angle), abs * sin(angle))
    return result if out is None else functions.into("polar", result, out)


# ------------------------------------------------------------------------------------------------ views
def _half(x: Tensor, name: str, offset: int, back) -> Tensor:
    s = x._spec
    spec = spec_of(s.dtype.to_real(), s.device, s.shape, tuple(2 * n for n in s.strides))
    return view_of(x, spec, offset, name, lambda n, g: (back(g),))


@composite
def real(input):
    "The real parts, a view; of a real tensor itself."
    x = tensor_of("real", input)
    return _half(x, "real", 0, lambda g: _complex_of(g, zero(g))) if x.dtype.is_complex else x


@composite
def imag(input):
    "The imaginary parts, a view."
    x = tensor_of("imag", input)
    if not x.dtype.is_complex:
        raise RuntimeError(f"imag is not implemented for tensors with non-complex dtypes, got {x.dtype}")
    return _half(x, "imag", 1, lambda g: _complex_of(zero(g), g))


@composite
def view_as_real(input):
    "The same memory as pairs (real, imaginary) along a new last dim."
    x = tensor_of("view_as_real", input)
    s = x._spec
    if not s.dtype.is_complex:
        raise RuntimeError(f"view_as_real is only supported for complex tensors, got {s.dtype}")
    spec = spec_of(s.dtype.to_real(), s.device, (*s.shape, 2), (*(2 * n for n in s.strides), 1))
    return view_of(x, spec, 0, "view_as_real", lambda n, g: (view_as_complex(g if _pairs(g) else g.contiguous()),))


def _pairs(x: Tensor) -> bool:
    s = x._spec
    return s.strides[-1] == 1 and all(n % 2 == 0 for n in s.strides[:-1]) and x.storage_offset() % 2 == 0


@composite
def view_as_complex(input):
    "The same memory as complex numbers: the last dim has size 2, the real and the imaginary parts."
    x = tensor_of("view_as_complex", input)
    s = x._spec
    if s.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"view_as_complex is only supported for float and double tensors, but got a tensor of scalar type: {s.dtype.name}")
    if not s.ndim:
        raise RuntimeError("view_as_complex: Input tensor must have one or more dimensions")
    if s.shape[-1] != 2:
        raise RuntimeError(f"view_as_complex: Tensor must have a last dimension of size 2, got shape {list(s.shape)}")
    if not _pairs(x):
        raise RuntimeError(
            f"view_as_complex: Tensor must have a last dimension with stride 1, an even offset and strides divisible by 2 in all others, got {s.strides}"
        )
    spec = spec_of(s.dtype.to_complex(), s.device, s.shape[:-1], tuple(n // 2 for n in s.strides[:-1]))
    return view_of(x, spec, 0, "view_as_complex", lambda n, g: (view_as_real(g),))


def joined_pairs(x: Tensor) -> Tensor:
    """Pairs that nobody else holds, as complex numbers: as `view_as_complex`, but no view, so that it may be written to."""
    return recorded(alias(view_as_complex(x.detach())), "view_as_complex", (x,), lambda node, g: (view_as_real(g),))


def isreal(input) -> Tensor:
    """Whether the imaginary part is zero."""
    x = tensor_of("isreal", input)
    return imag(x.detach()) == 0 if x.dtype.is_complex else creation.full_like(x, True, dtype=dtypes.bool)


def is_conj(input) -> bool:
    """Whether the tensor is a view that conjugates: never, for `conj` computes its result."""
    return tensor_of("is_conj", input) is None


def resolve_conj(input) -> Tensor:
    """The tensor itself, whose elements stand in memory as they are."""
    return tensor_of("resolve_conj", input)


def _set_part(which):
    def assign(self, value):
        which(self).copy_(value)

    return assign


def times_i(x):
    """i x, exactly, of infinities too."""
    return _complex_of(-imag(x), real(x))


def adjoint_of(x):
    """The conjugate transpose of the last two dims: what derivatives of products are made of."""
    return conj(x).transpose(-2, -1)


FUNCTION_ONLY = {"complex", "polar", "real", "imag", "view_as_real", "view_as_complex"}
METHODS = {
    "real": property(real, _set_part(real)),
    "imag": property(imag, _set_part(imag)),
    "isreal": isreal,
    "is_conj": is_conj,
    "resolve_conj": resolve_conj,
    "resolve_neg": resolve_conj,
    "conj_physical": conj,
    "conj_physical_": conj_physical_,
}
PUBLIC = {"isreal": isreal, "is_conj": is_conj, "resolve_conj": resolve_conj, "resolve_neg": resolve_conj, "conj_physical": conj}
