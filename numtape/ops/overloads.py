"""What is said under one name of several ops: powers and divisions by the kind of their operands, PyTorch's overloads, conversions."""

from __future__ import annotations

from numtape import dtypes
from numtape.device import placed
from numtape.dispatch import elementwise, functions, inplace
from numtape.graph import Symbol
from numtape.op import TABLE, Op
from numtape.ops import arithmetic, compare, copy, creation, masks
from numtape.tensor import Tensor

_NUMBERS = (int, float)


def pow(input, exponent, *, out=None):
    """input to the power exponent; either may be a number. Small whole exponents are products."""
    result = None
    if type(exponent) is bool and isinstance(input, Tensor) and input.dtype is dtypes.bool:
        result = input.clone() if exponent else creation.ones_like(input)
    elif type(exponent) in _NUMBERS and isinstance(input, (Tensor, Symbol)):
        kind = input.dtype
        if exponent == 2:
            result = input * input if kind is not dtypes.bool else None
        elif kind.category == dtypes.INT and type(exponent) is int and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        elif exponent == 0.5 and kind.is_floating_point:
            result = arithmetic.sqrt(input)
        elif exponent == 1 and kind.is_floating_point:
            result = arithmetic.mul(input, 1)
        elif exponent == 3 and kind is not dtypes.bool and not (type(exponent) is float and kind.category == dtypes.INT):
            result = arithmetic._cube(input)
        elif exponent == -1 and kind.is_floating_point:
            result = arithmetic.reciprocal(input)
    if result is None:
        _tensor_or_symbol("pow", exponent if isinstance(input, _NUMBERS) else input)
        result = elementwise.call(TABLE["pow"], (input, exponent))
    return result if out is None else functions.into("pow", result, out)


def pow_(self, exponent):
    """Raise to a power in place."""
    return inplace.call_into(TABLE["pow"], (self, exponent), self, "pow_")


def clamp(input, min=None, max=None, *, out=None):
    """The elements, not below min and not above max; each a number, a tensor or None."""
    op, args = _clamping(input, min, max)
    return elementwise.call(op, args) if out is None else inplace.call_out(op, args, out)


def clamp_(self, min=None, max=None):
    """Clamp in place."""
    op, args = _clamping(self, min, max)
    return inplace.call_into(op, args, self, "clamp_")


def _tensor_or_symbol(name, x, argument="input"):
    if not isinstance(x, (Tensor, Symbol)):
        raise TypeError(f"{name}(): argument '{argument}' (position 1) must be Tensor, not {type(x).__name__}")


def _clamping(x, low, high):
    _tensor_or_symbol("clamp", x)
    if low is None and high is None:
        raise ValueError("clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(x, Tensor):
        creation.check_numbers("clamp", x.dtype, low, high)
    if low is None:
        return TABLE["clamp_max"], (x, high)
    return (TABLE["clamp_min"], (x, low)) if high is None else (TABLE["clamp_both"], (x, low, high))


def _check_integer_divisor(name: str, x, y):
    """Refuse a whole division by zero, as PyTorch does on the CPU."""
    if isinstance(y, Symbol) or isinstance(x, Symbol):
        return
    kinds = [a.dtype if isinstance(a, Tensor) else dtypes.scalar_dtype(a) for a in (x, y)]
    if any(k.is_floating_point for k in kinds):
        return
    zero = bool((y.detach() == 0).any()) if isinstance(y, Tensor) else y == 0
    if zero:
        raise RuntimeError(f"{name}: ZeroDivisionError: integer division by zero in input / other; use floating point for inf and nan")


def checked(op: Op):
    """The public function of a division, with whole division by zero refused."""
    function, in_place = op.public, functions.in_place(op, op.public)

    def division(input, other, *, out=None):
        _check_integer_divisor(op.name, input, other)
        return function(input, other, out=out)

    def division_(self, other):
        _check_integer_divisor(f"{op.name}_", self, other)
        return in_place(self, other)

    functions_named(division, op.name, op.doc)
    return division, functions_named(division_, f"{op.name}_", op.doc)


def functions_named(function, name, doc):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def add(input, other, *, alpha=1, out=None):
    """input + alpha * other."""
    if alpha == 1:
        return arithmetic.add(input, other, out=out)
    args = (input, other, _alpha("add", alpha, input, other))
    return elementwise.call(TABLE["add_scaled"], args) if out is None else inplace.call_out(TABLE["add_scaled"], args, out)


def sub(input, other, *, alpha=1, out=None):
    """input - alpha * other."""
    return arithmetic.sub(input, other, out=out) if alpha == 1 else add(input, other, alpha=-alpha, out=out)


def _alpha(name, alpha, *operands):
    if isinstance(alpha, float) and not any(isinstance(a, float) or isinstance(a, Tensor) and a.dtype.differentiable for a in operands):
        raise RuntimeError(f"{name}: For integral input tensors, argument alpha must not be a floating point number.")
    return alpha


def scaled_in_place(name, op_name):
    op, scaled = TABLE[op_name], TABLE["add_scaled"]

    def method(self, other, *, alpha=1):
        if alpha == 1:
            args = (self, other)
            return self if functions.write_plain(op, self, args, name) else inplace.call_into(op, args, self, name)
        args = (self, other, -alpha if op_name == "sub" else alpha)
        if functions.write_plain(scaled, self, args, name):
            return self
        _alpha(name, alpha, self, other)
        return inplace.call_into(scaled, args, self, name)

    return functions_named(method, name, f"{op.doc} In place, other times alpha.")


def div(input, other, *, rounding_mode=None, out=None):
    """input / other; rounding_mode 'floor' rounds down, 'trunc' towards zero, keeping integers."""
    if rounding_mode is None:
        return arithmetic.div(input, other, out=out)
    name = {"floor": "floor_divide", "trunc": "truncate_divide"}.get(rounding_mode)
    if name is None:
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}")
    _check_integer_divisor("div", input, other)
    return TABLE[name].public(input, other, out=out)


def round(input, *, decimals=0, out=None):
    """The nearest integer, halves to even; with decimals, to that many places."""
    if decimals:
        scale = 10.0**decimals
        result = arithmetic.rint(input * scale) / scale
        return result if out is None else functions.into("round", result, out)
    return arithmetic.rint(input, out=out)


def invert(input, *, out=None):
    """~input: bits inverted; logical not for bool."""
    if input.dtype is dtypes.bool:
        return compare.logical_not(input, out=out)
    return compare.bitwise_invert(input, out=out)


def invert_(self):
    """Invert bits (or, of bools, truth) in place."""
    return self.copy_(invert(self))


def where(condition, input=None, other=None, *, out=None):
    """input where the condition holds, else other."""
    if input is None and other is None:
        return masks.nonzero(condition, as_tuple=True)
    if isinstance(condition, Tensor) and condition.dtype is not dtypes.bool and condition.dtype is not dtypes.uint8:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype.name}")
    _tensor_or_symbol("where", condition, "condition")
    for x, number in ((input, other), (other, input)):
        if isinstance(x, Tensor):
            creation.check_numbers("where", x.dtype, number)
    op = TABLE["where"]
    args = (condition, input, other)
    return elementwise.call(op, args) if out is None else inplace.call_out(op, args, out)


def masked_fill(input, mask, value):
    """`value` where the mask (bool, broadcast) holds."""
    return _masked(elementwise.call, input, mask, value)


def masked_fill_(self, mask, value):
    """Write `value` where the mask (bool, broadcast) holds."""
    return _masked(lambda op, args: inplace.call_into(op, args, self, "masked_fill_"), self, mask, value)


def _masked(call, x, mask, value):
    copy.tensor_of("masked_fill", x)
    if not isinstance(mask, Tensor):
        raise TypeError(f"masked_fill(): argument 'mask' must be Tensor, not {type(mask).__name__}")
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype.name}")
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    if not x.dtype.is_complex and (value.dtype.is_complex if isinstance(value, Tensor) else isinstance(value, complex)):
        raise RuntimeError(f"masked_fill: value cannot be converted to type {x.dtype.name} without overflow: {value}")
    creation.check_numbers("masked_fill", x.dtype, value)
    return call(TABLE["masked_fill"], (x, mask, value))


def addcmul(input, tensor1, tensor2, *, value=1, out=None):
    """input + value * tensor1 * tensor2."""
    _tensor_or_symbol("addcmul", input)
    args = (input, tensor1, tensor2, value)
    return elementwise.call(TABLE["addcmul"], args) if out is None else inplace.call_out(TABLE["addcmul"], args, out)


def addcdiv(input, tensor1, tensor2, *, value=1, out=None):
    """input + value * tensor1 / tensor2."""
    _tensor_or_symbol("addcdiv", input)
    args = (input, tensor1, tensor2, value)
    return elementwise.call(TABLE["addcdiv"], args) if out is None else inplace.call_out(TABLE["addcdiv"], args, out)


def lerp(input, end, weight, *, out=None):
    """input + weight * (end - input)."""
    _tensor_or_symbol("lerp", input)
    if isinstance(input, Tensor):
        copy.alike("lerp", input, end, weight if isinstance(weight, Tensor) and weight.ndim else None)
    args = (input, end, weight)
    return elementwise.call(TABLE["lerp"], args) if out is None else inplace.call_out(TABLE["lerp"], args, out)


def conversion(kind):
    def method(self, memory_format=None):
        return self.to(kind, memory_format=memory_format)

    return functions_named(method, kind.name, f"The tensor as {kind.name}.")


def type_as(self, other):
    """The tensor with the dtype of `other`."""
    return self.to(other.device, other.dtype)


def tensor_type(self, dtype=None, non_blocking=False):
    """The name of the tensor's type, or the tensor with another dtype."""
    if dtype is None:
        return f"numtape.{'cuda.' if self.is_cuda else ''}{_TYPE_NAMES[self.dtype.name]}"
    if not isinstance(dtype, str):
        return self.to(dtype if isinstance(dtype, dtypes.dtype) else dtype.dtype)  # of a typed constructor such as LongTensor
    names = {v: k for k, v in _TYPE_NAMES.items()}
    place, _, name = dtype.rpartition(".")
    if name not in names:
        raise ValueError(f"type: invalid type {dtype!r}; expected one of {', '.join(f'numtape.{n}' for n in names)}")
    where = "cuda" if place.endswith("cuda") else "cpu"
    return self.to(self.device if self.device.type == where else where, dtypes.ALL[names[name]])


_TYPE_NAMES = {
    "float32": "FloatTensor", "float64": "DoubleTensor", "int64": "LongTensor", "int32": "IntTensor",
    "int16": "ShortTensor", "int8": "CharTensor", "uint8": "ByteTensor", "bool": "BoolTensor",
}  # fmt: skip


def cpu(self, memory_format=None):
    """The tensor in the host's memory: itself if it is there."""
    return self.to("cpu", memory_format=memory_format)


def cuda(self, device=None, non_blocking=False, memory_format=None):
    """The tensor on a GPU: the current one unless `device` names another."""
    where = placed("cuda" if device is None else device)
    if where.type != "cuda":
        raise RuntimeError(f"Invalid device, must be cuda device, got {device!r}; use .to() or .cpu()")
    return self.to(where, memory_format=memory_format)
