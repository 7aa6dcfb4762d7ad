"""Public functions made from op records: the function, the method, the in-place method and `out=`."""

from __future__ import annotations

from numtape.autograd import mode, tape
from numtape.dispatch import elementwise, rows
from numtape.graph import Symbol
from numtape.kernels.cpu.driver import launch_new
from numtape.op import Op
from numtape.tensor import Tensor

_new = object.__new__
_state = mode.state
PUBLIC = {"x": "input", "y": "other"}


def unary(op: Op):
    """The function of an op of one tensor; the common call is one look-up and one launch."""
    plans, call = op.plans, elementwise.call

    def function(input, *, out=None):
        if out is not None:
            return elementwise.call_out(op, (input,), out)
        try:
            plan = plans[(input._spec,)]
        except (AttributeError, KeyError):
            return call(op, (input,))
        if not plan.table or (input._requires_grad and _state.enabled):
            return call(op, (input,))
        t = _new(Tensor)
        t._storage = memory = launch_new(plan.table, input._address)
        t._address, t._spec = memory.address, plan.spec
        t._requires_grad, t._node, t._base = False, None, None
        return t

    return function


def binary(op: Op):
    """The function of an op of two operands; two tensors of known specs go straight to the launch."""
    plans, call = op.plans, elementwise.call
    keeps_x = bool(op.vjp) and any("x" in s for s in op.saves)
    keeps_y = bool(op.vjp) and any("y" in s for s in op.saves)
    simple = bool(op.vjp) and not any("out" in s for s in op.saves) and op.names == ("x", "y") and not keeps_x and not keeps_y

    def function(input, other, *, out=None):
        if out is not None:
            return elementwise.call_out(op, (input, other), out)
        try:
            plan = plans[input._spec, other._spec]
        except (AttributeError, KeyError):
            return call(op, (input, other))
        recorded = input._requires_grad or other._requires_grad
        if recorded and (not simple or not plan.direct) and _state.enabled or not plan.table:
            return call(op, (input, other))
        t = _new(Tensor)
        t._storage = memory = launch_new(plan.table, input._address, other._address)
        t._address, t._spec = memory.address, plan.spec
        t._base = None
        if recorded and _state.enabled:
            node = tape.Node(op.name, (tape.edge_of(input), tape.edge_of(other)), elementwise.pull, plan.spec)
            node.op, node.saved = op, (None, None)
            t._node, t._requires_grad = node, True
        else:
            t._node, t._requires_grad = None, False
        return t

    return function


def general(op: Op):
    """The function of an elementwise op of any parameters, bound by position or by name."""
    names = tuple(PUBLIC.get(n, n) for n in op.names)
    required = len(names) - len(op.defaults)

    def function(*args, out=None, **kwargs):
        if kwargs or len(args) != len(names):
            args = bind(op.name, names, op.defaults, required, args, kwargs)
        if out is not None:
            return elementwise.call_out(op, args, out)
        return elementwise.call(op, args)

    return function


def bind(name: str, names, defaults, required: int, args: tuple, kwargs: dict) -> tuple:
    """Arguments in order, defaults filled in, or a TypeError as Python would give."""
    if len(args) > len(names):
        raise TypeError(f"{name}() takes at most {len(names)} positional arguments ({', '.join(names)}) but {len(args)} were given")
    values = list(args) + [_MISSING] * (len(names) - len(args))
    for key, value in kwargs.items():
        if key not in names:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'; its parameters are {', '.join(names)}")
        i = names.index(key)
        if values[i] is not _MISSING:
            raise TypeError(f"{name}() got multiple values for argument '{key}'")
        values[i] = value
    for i in range(len(args), len(names)):
        if values[i] is _MISSING:
            if i < required:
                raise TypeError(f"{name}() missing required argument: '{names[i]}' (pos {i + 1})")
            values[i] = defaults[i - required]
    return tuple(values)


_MISSING = object()


def inplace(op: Op, function):
    """The in-place method: `x.op_(...)` writes the result into x."""
    name = f"{op.name}_"
    names = tuple(PUBLIC.get(n, n) for n in op.names)
    required = len(names) - len(op.defaults)

    def method(self, *args, **kwargs):
        args = (self, *args)
        if kwargs or len(args) != len(names):
            args = bind(name, names, op.defaults, required, args, kwargs)
        return elementwise.call_into(op, args, self, name)

    return method


def reflected(op: Op):
    """The operator with its operands exchanged, for numbers on the left."""

    def method(self, other):
        if isinstance(other, Tensor | Symbol | int | float):
            return elementwise.call(op, (other, self))
        return NotImplemented

    return method


def reducing(op: Op):
    """The function of a reduction: (input, dim=None, keepdim=False, *, dtype=None)."""
    from numtape import dtypes, layout

    def function(input, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None):
        if isinstance(input, Symbol):
            from numtape import graph

            return graph.reduction(op, input)
        if axis is not None:
            dim = axis
        if keepdims is not None:
            keepdim = keepdims
        if not isinstance(input, Tensor):
            raise TypeError(f"{op.name}(): argument 'input' must be Tensor, not {type(input).__name__}")
        if dtype is not None:
            input = input.to(dtypes.check(op.name, dtype))
        if "check" in op.traits:
            op.traits["check"](op.name, input._spec.dtype)
        result = rows.call(op, (input,), layout.dims_of(op.name, dim, input._spec.ndim), keepdim)
        return result if out is None else into(op.name, result, out)

    return function


def into(name: str, result: Tensor, out: Tensor) -> Tensor:
    """Copy a finished result into the tensor given as `out=`."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}: out: expected a Tensor, got {type(out).__name__}")
    if mode.state.enabled and (out._requires_grad or result._requires_grad):
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.")
    if out._spec.shape != result._spec.shape:
        if out._spec.numel:
            raise RuntimeError(f"{name}: out: expected shape {list(result.shape)}, got {list(out.shape)}; give a tensor of that shape, or an empty one")
        fresh = result.to(out._spec.dtype)
        out._storage, out._address, out._spec = fresh._storage, fresh._address, fresh._spec
        return out
    return out.copy_(result)
