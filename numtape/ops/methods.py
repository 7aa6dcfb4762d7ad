"""Puts the ops on `Tensor` (and on the symbols of formulas) as methods and operators, under PyTorch's names."""

from __future__ import annotations

from numtape import dtypes
from numtape.dispatch import functions, inplace
from numtape.graph import Symbol
from numtape.op import TABLE
from numtape.ops import (  # noqa: F401  (norm files its ops)
    activation_units,
    along,
    arithmetic,
    ask,
    attention,
    batch_norm,
    bits,
    compare,
    complex,
    copy,
    counting,
    creation,
    distance,
    embedding,
    from_memory,
    index,
    linalg,
    lu,
    masks,
    norm,
    numeric,
    part,
    pointwise,
    random,
    reduce_more,
    running,
    sampling,
    scatter,
    shaping,
    spatial,
    special,
    subscript,
    view,
)
from numtape.ops.overloads import (
    add,
    addcdiv,
    addcmul,
    checked,
    clamp,
    clamp_,
    conversion,
    cpu,
    cuda,
    div,
    functions_named,
    invert,
    invert_,
    lerp,
    masked_fill,
    masked_fill_,
    pow,
    pow_,
    round,
    scaled_in_place,
    sub,
    tensor_type,
    type_as,
    where,
)
from numtape.tensor import Tensor

OPERATORS = {
    "__add__": "add", "__sub__": "sub", "__mul__": "mul", "__truediv__": "div", "__floordiv__": "floor_divide", "__mod__": "remainder",
    "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge",
    "__and__": "bitwise_and", "__or__": "bitwise_or", "__xor__": "bitwise_xor",
}  # fmt: skip
REFLECTED = {
    "__radd__": "add", "__rsub__": "sub", "__rmul__": "mul", "__rtruediv__": "div", "__rfloordiv__": "floor_divide", "__rmod__": "remainder",
    "__rand__": "bitwise_and", "__ror__": "bitwise_or", "__rxor__": "bitwise_xor", "__rpow__": "pow",
}  # fmt: skip
INPLACE = {
    "__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__ifloordiv__": "floor_divide", "__imod__": "remainder",
    "__iand__": "bitwise_and", "__ior__": "bitwise_or", "__ixor__": "bitwise_xor", "__ipow__": "pow",
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ installation
def public_functions() -> dict:
    """Every public function, by name: what becomes `numtape.exp` and the rest."""
    names = {}
    for op in TABLE.values():
        if op.public is not None and not op.name.startswith(("_", "row_")) and op.name not in _PRIVATE:
            names[op.name] = op.public
    for name in ("floor_divide", "remainder", "fmod"):
        names[name], _ = checked(TABLE[name])
    extra = [pow, clamp, add, sub, div, round, where, masked_fill, addcmul, addcdiv, lerp]
    names |= {f.__name__: f for f in extra}
    names["bitwise_not"] = invert
    for alias, name in ALIASES.items():
        names[alias] = names[name]
    for op in TABLE.values():
        for alias in op.aliases:
            if not alias.startswith("__") and op.name in names:
                names[alias] = names[op.name]
    return names


_PRIVATE = {
    "linear", "cross_entropy_rows",
    "zero", "add_scaled", "rint", "extremum_share", "truncate_divide", "clamp_both", "softplus_unit", "getitem", "bitwise_invert",
    "leaky_relu", "elu", "gelu", "silu", "softplus", "reshape_as", "view", "view_as", "contiguous", "to", "expand", "expand_as",
}  # fmt: skip
ALIASES = {
    "absolute": "abs", "clip": "clamp", "multiply": "mul", "divide": "div", "true_divide": "div", "subtract": "sub", "negative": "neg",
    "greater": "gt", "less": "lt",
}  # fmt: skip
_METHOD_ONLY = {
    "view": view.view, "view_as": view.view_as, "reshape_as": view.reshape_as, "contiguous": copy.contiguous, "to": copy.to,
    "expand": view.expand, "expand_as": view.expand_as, "fill_": creation.fill_, "zero_": creation.zero_, "copy_": copy.copy_,
    "new_empty": creation.new_empty, "new_zeros": creation.new_zeros, "new_ones": creation.new_ones, "new_full": creation.new_full,
    "new_tensor": creation.new_tensor, "uniform_": random.uniform_, "normal_": random.normal_, "random_": random.random_,
    "bernoulli_": random.bernoulli_, "pow_": pow_, "clamp_": clamp_, "clip_": clamp_, "masked_fill_": masked_fill_,
    "bitwise_not_": invert_, "type": tensor_type, "type_as": type_as, "cpu": cpu, "cuda": cuda, "bitwise_not": invert,
    "as_strided_pull": part.as_strided_pull, "as_strided_scatter_pull": part.as_strided_scatter_pull,
}  # fmt: skip
_FUNCTION_ONLY = {
    "tensor", "as_tensor", "from_numpy", "scalar_tensor", "arange", "linspace", "eye", "empty", "zeros", "ones", "full", "rand", "randn",
    "randint", "randperm", "normal", "cat", "concat", "concatenate", "stack", "einsum", "broadcast_tensors", "where", "empty_like", "zeros_like",
    "ones_like", "full_like", "rand_like", "randn_like", "randint_like", "layer_norm",
}  # fmt: skip
# What the subjects add: METHODS (method only, by name), FUNCTION_ONLY and PRIVATE (names in neither place, or under another one).
_PARTS = (
    activation_units, along, ask, attention, batch_norm, bits, complex, counting, distance, embedding, from_memory, lu, masks, numeric, pointwise, reduce_more, running, sampling,
    scatter, shaping, spatial, special, subscript,
)  # fmt: skip
for _part in _PARTS:
    _METHOD_ONLY |= getattr(_part, "METHODS", {})
    _FUNCTION_ONLY |= set(getattr(_part, "FUNCTION_ONLY", ()))
    _PRIVATE |= set(getattr(_part, "PRIVATE", ())) | set(getattr(_part, "HIDDEN", ()))


_CONVERSIONS = {
    "float16": "half", "bfloat16": "bfloat16", "float32": "float", "float64": "double", "int64": "long", "int32": "int", "int16": "short",
    "int8": "char", "uint8": "byte", "bool": "bool", "complex64": "cfloat", "complex128": "cdouble",
}  # fmt: skip


def install() -> dict:
    """Put the methods on Tensor and Symbol; returns the public functions."""
    public = public_functions()
    for name, function in public.items():
        if name not in _FUNCTION_ONLY:
            setattr(Tensor, name, function)
    for name, function in _METHOD_ONLY.items():
        setattr(Tensor, name, function)
    Tensor.where = lambda self, condition, other: where(condition, self, other)
    for op in TABLE.values():
        if op.family == "elementwise" and op.inplace and op.name not in _PRIVATE and not op.name.startswith(("_", "row_")):
            method = functions.in_place(op, op.public)
            for name in (op.name, *op.aliases):
                if not name.startswith("__") and not hasattr(Tensor, f"{name}_"):
                    setattr(Tensor, f"{name}_", functions_named(method, f"{name}_", f"{op.doc} In place."))
    for name in ("add", "sub"):
        setattr(Tensor, f"{name}_", scaled_in_place(f"{name}_", name))
    Tensor.subtract_ = Tensor.sub_
    for name in ("floor_divide", "remainder", "fmod"):
        setattr(Tensor, f"{name}_", checked(TABLE[name])[1])
    for name in ("addcmul", "addcdiv", "lerp"):
        setattr(Tensor, f"{name}_", _keyword_in_place(name))
    Tensor.round_ = lambda self: inplace.call_into(TABLE["rint"], (self,), self, "round_")
    for kind in dtypes.SUPPORTED:
        if kind.name in _CONVERSIONS:
            name, method = _CONVERSIONS[kind.name], conversion(kind)
            setattr(Tensor, name, functions_named(lambda self, memory_format=None, m=method: m(self, memory_format), name, method.__doc__))
    for kind in (Tensor, Symbol):
        for name, op_name in OPERATORS.items():
            setattr(kind, name, TABLE[op_name].operator)
        for name, op_name in REFLECTED.items():
            setattr(kind, name, functions.reflected(TABLE[op_name]))
        kind.__pow__ = pow
        kind.__neg__ = arithmetic.neg
        kind.__abs__ = arithmetic.abs
        kind.__pos__ = arithmetic.positive
        kind.__invert__ = invert
    for division in ("floor_divide", "remainder"):
        function, function_ = checked(TABLE[division])
        symbol = "__floordiv__" if division == "floor_divide" else "__mod__"
        setattr(Tensor, symbol, function)
        setattr(Tensor, symbol.replace("__", "__i", 1), function_)
    for name, op_name in INPLACE.items():
        if name not in ("__ifloordiv__", "__imod__"):
            setattr(Tensor, name, getattr(Tensor, {"bitwise_and": "bitwise_and_", "bitwise_or": "bitwise_or_", "bitwise_xor": "bitwise_xor_"}.get(op_name, f"{op_name}_")))
    Tensor.__matmul__ = linalg.matmul
    Tensor.__rmatmul__ = lambda self, other: linalg.matmul(other, self)
    Tensor.__getitem__ = subscript.getitem
    Tensor.__setitem__ = subscript.setitem
    Tensor.__hash__ = Symbol.__hash__ = object.__hash__
    Tensor.T = property(lambda self: view.permute(self, tuple(range(self.ndim - 1, -1, -1))), doc="The tensor with its dims in reverse order.")
    Tensor.mT = property(_matrix_transpose, doc="The tensor with its last two dims exchanged.")
    for op in TABLE.values():
        if op.family == "elementwise" and op.public is not None:
            setattr(Symbol, op.name, op.public)
    Symbol.to = copy.to
    return public


def _matrix_transpose(self):
    if self.ndim < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor.")
    return view.transpose(self, -2, -1)


def _keyword_in_place(name):
    op = TABLE[name]

    def method(self, a, b, *, value=1):
        args = (self, a, b, value) if name != "lerp" else (self, a, b)
        return self if functions.write_plain(op, self, args, f"{name}_") else inplace.call_into(op, args, self, f"{name}_")

    return functions_named(method, f"{name}_", f"{op.doc} In place.")
