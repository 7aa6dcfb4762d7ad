"""Questions about tensors: are they close or equal, what would their dtype and shape be together, what are they."""

from __future__ import annotations

import builtins
import math

from numtape import dtypes, layout, op
from numtape.dtypes import dtype
from numtape.ops import creation
from numtape.ops.compare import isfinite, isnan
from numtape.ops.define import composite, formula
from numtape.spec import Size
from numtape.tensor import Tensor


def _tensor(name, x, argument="input", position=1):
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(x).__name__}")
    return x


# ------------------------------------------------------------------------------------------------ close and equal
@formula(static=("equal_nan",), method=False, inplace=False, complex=True)
def _near(x, y, rtol, atol, equal_nan):
    "Whether |x - y| <= atol + rtol * |y|, or x == y."
    x, y = x * 1.0, y * 1.0
    near = (x == y) | (isfinite(x - y) & ((x - y).abs() <= atol + (rtol * y).abs()))
    return near | (isnan(x) & isnan(y)) if equal_nan else near


@composite
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    "Whether |input - other| <= atol + rtol * |other|, element by element; equal infinities are close, and NaN are with `equal_nan`."
    x, y = _tensor("isclose", input), _tensor("isclose", other, "other", 2)
    if x._spec.dtype is not y._spec.dtype:
        raise RuntimeError(f"isclose: {x._spec.dtype.name} did not match {y._spec.dtype.name}; convert one of them")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    from numtape.dispatch import elementwise

    return elementwise.call(op.TABLE["_near"], (x.detach(), y.detach(), float(rtol), float(atol), bool(equal_nan)))


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False) -> builtins.bool:
    """Whether all elements are close, as `isclose` has it."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input, other) -> builtins.bool:
    """Whether both have the same shape and the same elements."""
    x, y = _tensor("equal", input), _tensor("equal", other, "other", 2)
    if x._spec.device is not y._spec.device:
        raise RuntimeError(f"equal: expected both tensors on one device, got {x.device} and {y.device}")
    return x._spec.shape == y._spec.shape and bool((x.detach() == y.detach()).all())


_AT_ONCE = 1 << 22  # comparisons that are held in memory


@composite
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    "Whether each element is one of `test_elements`; with `invert`, whether it is none of them."
    given = [a for a in (elements, test_elements) if isinstance(a, Tensor)]
    if not given:
        raise TypeError("isin(): expected a Tensor as elements or test_elements, got two numbers")
    where = given[0].device
    x, tests = (a if isinstance(a, Tensor) else creation.tensor(a, device=where) for a in (elements, test_elements))
    flat, tests = x.detach().reshape(-1, 1), tests.detach().reshape(1, -1)
    found = None
    width = max(1, _AT_ONCE // max(1, flat.numel()))
    for start in range(0, tests.numel(), width):
        part = (flat == tests[:, start : start + width]).any(1)
        found = part if found is None else found | part
    found = creation.zeros(flat.numel(), dtype=dtypes.bool, device=where) if found is None else found
    found = found.reshape(x.shape)
    return ~found if invert else found


# ------------------------------------------------------------------------------------------------ dtypes and shapes
def result_type(tensor1, tensor2) -> dtype:
    """The dtype of an arithmetic operation on two tensors or numbers."""
    operands = []
    for a in (tensor1, tensor2):
        operands.append((a._spec.dtype, 0 if a._spec.ndim else 1) if isinstance(a, Tensor) else (dtypes.scalar_dtype(a), 2))
    return op.promoted(operands)


def broadcast_shapes(*shapes) -> Size:
    """The shape that tensors of these shapes are broadcast to."""
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for s in given:
        if any(n < 0 for n in s):
            raise RuntimeError(f"broadcast_shapes: Trying to create tensor with negative dimension ({min(s)}): ({min(s)})")
    return Size(layout.broadcast_shapes("broadcast_shapes", *given))


def is_floating_point(input) -> builtins.bool:
    """Whether the elements are floating-point numbers."""
    return _tensor("is_floating_point", input)._spec.dtype.is_floating_point


def is_complex(input) -> builtins.bool:
    """Whether the elements are complex numbers."""
    return _tensor("is_complex", input)._spec.dtype.is_complex


def is_signed(input) -> builtins.bool:
    """Whether the dtype has negative numbers."""
    return _tensor("is_signed", input)._spec.dtype.is_signed


def is_nonzero(input) -> builtins.bool:
    """Whether the one element is not zero."""
    return bool(_tensor("is_nonzero", input))


def is_same_size(input, other) -> builtins.bool:
    """Whether both have the same shape."""
    return _tensor("is_same_size", input)._spec.shape == _tensor("is_same_size", other, "other", 2)._spec.shape


def is_neg(input) -> builtins.bool:
    """Whether the tensor is a view that negates: never."""
    return _tensor("is_neg", input) is None


def is_inference(input) -> builtins.bool:
    """Whether the tensor was made in inference mode, which numtape's tensors do not remember: never."""
    return _tensor("is_inference", input) is None


def numel(input) -> builtins.int:
    """The number of elements."""
    return _tensor("numel", input)._spec.numel


def get_device(input) -> builtins.int:
    """The number of the GPU that the tensor is on, -1 for the CPU."""
    return _tensor("get_device", input).get_device()


def range_(start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """start, start + step, ... up to `end`, which is included. Deprecated in PyTorch; use arange."""
    import warnings

    if out is not None:
        return creation.rarely(range_, (start, end, step), out, dtype, device, requires_grad, {})
    warnings.warn("range is deprecated because it includes its end; use arange, which does not", UserWarning, stacklevel=2)
    start, end = (0, start) if end is None else (start, end)
    if step == 0:
        raise RuntimeError("range: step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(f"range: upper bound and lower bound inconsistent with step sign: start {start}, end {end}, step {step}")
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.check("range", dtype)
    steps = math.floor((end - start) / step) + 1
    result = (creation.arange(steps, device=device, dtype=dtypes.float64) * step + start).to(kind)
    return result.requires_grad_() if requires_grad else result


@composite(creation=True)
def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    "`steps` powers of `base`, whose exponents go from start to end, both included, at equal distances."
    if out is not None:
        return creation.rarely(logspace, (start, end, steps, base), out, dtype, device, requires_grad, {})
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.check("logspace", dtype)
    if steps < 0:
        raise RuntimeError(f"logspace: number of steps must be non-negative, got {steps}")
    from numtape.dispatch import elementwise

    result = elementwise.call(op.TABLE["pow"], (float(base), creation.linspace(start, end, steps, dtype=dtypes.float64, device=device))).to(kind)
    return result.requires_grad_() if requires_grad else result


PUBLIC = {f.__name__: f for f in (allclose, equal, result_type, broadcast_shapes, is_floating_point, is_complex, is_signed, is_nonzero)}
PUBLIC |= {f.__name__: f for f in (is_same_size, is_neg, is_inference, numel, get_device)}
PUBLIC["range"] = range_
METHODS = {name: PUBLIC[name] for name in ("allclose", "equal", "is_signed", "is_nonzero", "is_same_size", "is_neg", "is_inference")}
FUNCTION_ONLY = {"isin", "logspace"}
