"""Public functions made from op records: the function, the method, the in-place method and `out=`."""

from __future__ import annotations

import numpy as np

from numtape.autograd import mode, tape
from numtape.dispatch import elementwise, forward, inplace, rows  # noqa: F401  (forward adds itself to the pulls)
from numtape.graph import FULL, Symbol
from numtape.kernels.cpu.driver import launch, launch_new
from numtape.op import Op
from numtape.tensor import Tensor, make

_new = object.__new__
_next = tape._next
Node = tape.Node
_NEITHER = (None, None)
_state = mode.state
_OPERANDS = (Tensor, Symbol, int, float, complex, np.number, np.bool_)
_NUMBERS = (int, float, complex, np.number, np.bool_)
PUBLIC = {"x": "input", "y": "other"}


def unary(op: Op):
    """The function of an op of one tensor; the common call is one look-up and one launch."""
    plans, call = op.plans, elementwise.call

    def function(input, *, out=None):
        if out is not None:
            return inplace.call_out(op, (input,), out)
        try:
            plan = plans[(input._spec,)]
        except (AttributeError, KeyError):
            if input is None or isinstance(input, (int, float)):
                raise TypeError(f"{op.name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}") from None
            return call(op, (input,))
        base = input._base
        recorded = (input._requires_grad or base is not None and base._requires_grad) and _state.enabled
        if not plan.table or recorded and not plan.direct:
            return call(op, (input,))
        t = _new(Tensor)
        t._storage = memory = launch_new(plan.table, input._address)
        t._address, t._spec = memory.address, plan.spec
        t._requires_grad, t._node, t._base = False, None, None
        if recorded and op.vjp and plan.spec.dtype.differentiable:
            edge = input._node or input if base is None else tape.edge_of(input)
            if edge is not None:
                keeps_input, keeps_result = op.masks.get(1) or op.mask(1)
                node = _node(op, (edge,), t)
                if keeps_input:
                    node.saved, node.versions = [input], [input._storage.version]
                else:
                    node.saved, node.versions = [None], [None]
                if keeps_result:
                    node.saved.append(_twin(t))
                    node.versions.append(0)
                if _state.watched:
                    tape.watch(node)
        return t

    return function


def binary(op: Op):
    """The function of an op of two operands; known specs (or a tensor and a number) go straight to the launch."""
    plans, call, masks, name, pull = op.plans, elementwise.call, op.masks, op.name, elementwise.pull

    def run(input, other):
        kind = type(other)
        number = kind is float or kind is int
        try:
            base = input._base
            recorded = input._requires_grad or base is not None and base._requires_grad
            if number:
                plan = plans[input._spec, kind]
            else:
                plan = plans[input._spec, other._spec]
                if not recorded:
                    base = other._base
                    recorded = other._requires_grad or base is not None and base._requires_grad
            if not plan.table or recorded and not plan.direct:
                return call(op, (input, other))
            memory = launch_new(plan.table, input._address, other if number else other._address)
        except (AttributeError, KeyError, OverflowError, MemoryError):
            # a new combination, or an error to be worded there
            if isinstance(input, _NUMBERS) and isinstance(other, _NUMBERS):
                raise TypeError(f"{op.name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}") from None
            return call(op, (input, other)) if isinstance(other, _OPERANDS) else NotImplemented
        t = _new(Tensor)
        t._storage = memory
        t._address, t._spec = memory.address, plan.spec
        t._requires_grad, t._node, t._base = False, None, None
        if recorded and _state.enabled and op.vjp and plan.spec.dtype.differentiable:
            differentiated = 0
            left = right = None
            if input._requires_grad or input._base is not None:
                left = input._node or input if input._base is None else tape.edge_of(input)
                differentiated = 0 if left is None else 1
            if not number and (other._requires_grad or other._base is not None):
                right = other._node or other if other._base is None else tape.edge_of(other)
                differentiated += 0 if right is None else 2
            if differentiated:
                t._node = node = _new(Node)
                t._requires_grad = True
                node.seq = _next()
                node.label, node.inputs, node.pull, node.op, node.spec, node.rare = name, (left, right), pull, op, plan.spec, None
                keeps_left, keeps_right, keeps_result = masks.get(differentiated) or op.mask(differentiated)
                if keeps_left or keeps_right or keeps_result:
                    node.saved = saved = [input if keeps_left else None, other if keeps_right or number else None]
                    node.versions = versions = [
                        input._storage.version if keeps_left else None,
                        other._storage.version if keeps_right and not number else None,
                    ]
                    if keeps_result:
                        saved.append(_twin(t))
                        versions.append(0)
                else:
                    node.saved, node.versions = (None, other) if number else _NEITHER, None
                if _state.watched:
                    tape.watch(node)
        return t

    def function(input, other, *, out=None):
        result = run(input, other) if out is None else inplace.call_out(op, (input, other), out)
        if result is NotImplemented:
            raise TypeError(f"{op.name}(): argument 'other' must be Tensor or Number, not {type(other).__name__}")
        return result

    op.operator = run
    return function


def _node(op: Op, inputs: tuple, t: Tensor):
    """A node of an elementwise call, put on its result; the caller adds what is saved."""
    node = _new(tape.Node)
    node.seq = _next()
    node.label, node.inputs, node.pull, node.op, node.spec, node.rare = op.name, inputs, elementwise.pull, op, t._spec, None
    t._node, t._requires_grad = node, True
    return node


def _twin(t: Tensor) -> Tensor:
    """The result for its own node to keep: without the node, so that the two do not hold each other."""
    out = _new(Tensor)
    out._storage, out._address, out._spec = t._storage, t._address, t._spec
    out._requires_grad, out._node, out._base = False, None, None
    return out


def general(op: Op):
    """The function of an elementwise op of any parameters, bound by position or by name."""
    names = tuple(PUBLIC.get(n, n) for n in op.names)
    required = len(names) - len(op.defaults)

    def function(*args, out=None, **kwargs):
        if kwargs or len(args) != len(names):
            args = bind(op.name, names, op.defaults, required, args, kwargs)
        if args[0] is None or not op.static and not any(isinstance(a, (Tensor, Symbol)) for a in args):
            raise TypeError(f"{op.name}(): argument '{names[0]}' (position 1) must be Tensor, not {type(args[0]).__name__}")
        if out is not None:
            return inplace.call_out(op, args, out)
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


def in_place(op: Op, function):
    """The in-place method: `x.op_(...)` writes the result into x."""
    name = f"{op.name}_"
    names = tuple(PUBLIC.get(n, n) for n in op.names)
    required = len(names) - len(op.defaults)
    count = len(names)

    def method(self, *args, **kwargs):
        args = (self, *args)
        if kwargs or len(args) != count:
            args = bind(name, names, op.defaults, required, args, kwargs)
        if write_plain(op, self, args, name):
            return self
        return inplace.call_into(op, args, self, name)

    return method


def write_plain(op: Op, target: Tensor, args: tuple, name: str) -> bool:
    """The common in-place call: a plan is known, nothing is recorded, no operand shares the target's memory but itself."""
    try:
        key = [target._spec]
        operands = [target._address]
        numbers = []
        memory = target._storage
        for a in args:
            kind = type(a)
            if kind is float or kind is int:
                key.append(kind)
                numbers.append(a)
            else:
                if (a._requires_grad or a._base is not None) and _state.enabled or a._storage is memory and a is not target:
                    return False
                key.append(a._spec)
                operands.append(a._address)
        plan = op.plans[tuple(key)]
        if not plan.table:
            return False
        launch(plan.table, *operands, *numbers)
    except (AttributeError, KeyError, OverflowError):
        return False
    memory.version += 1
    memory.writer = name
    return True


def reflected(op: Op):
    """The operator with its operands exchanged, for numbers on the left."""

    def method(self, other):
        if isinstance(other, Tensor | Symbol | int | float | complex):
            return elementwise.call(op, (other, self))
        return NotImplemented

    return method


def reducing(op: Op):
    """The function of a reduction: (input, dim=None, keepdim=False, *, dtype=None)."""
    from numtape import dtypes, layout

    plans: dict = {}

    def function(input, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None):
        if dtype is None and out is None and axis is None and keepdims is None:
            t = known_reduction(op, plans, input, dim, keepdim)
            if t is not None:
                return t
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
        dims = layout.dims_of(op.name, dim, input._spec.ndim)
        try:
            result = rows.call(op, (input,), dims, keepdim)
        except IndexError as problem:
            if dim is None:
                raise RuntimeError(str(problem)) from None
            raise
        learn_reduction(op, plans, input, (input._spec, dims, keepdim, (FULL,)), dim, dims, keepdim)
        if dtype is not None:  # added up in int64, returned as asked
            result = result.to(dtype)
        return result if out is None else into(op.name, result, out)

    return function


def known_reduction(op: Op, plans: dict, input, dim, keepdim) -> Tensor | None:
    """A reduction whose plan is known for this spec and dim, and whose rule (if it is recorded) needs nothing saved."""
    try:
        plan, dims = plans[input._spec, dim, keepdim]
    except (AttributeError, KeyError, TypeError):  # a new combination, a symbol, or dims as a list
        return None
    recorded = (input._requires_grad or input._base is not None and input._base._requires_grad) and _state.enabled
    if recorded and not op.traits.get("linear"):
        return None
    t = make(launch_new(plan.table, input._address), plan.spec)
    if plan.second is not None:
        t = plan.second(t)
    return rows.note_linear(op, input, t, dims, len(op.names)) if recorded else t


def learn_reduction(op: Op, plans: dict, input, key, dim, dims, keepdim) -> None:
    """Remember the plan that a reduction was just run with, for `known_reduction`."""
    plan = op.plans.get(key)
    if plan is not None and plan.table and not isinstance(dim, list):
        if len(plans) > 4096:
            plans.clear()
        plans[input._spec, dim, keepdim] = plan, dims


def into(name: str, result: Tensor, out: Tensor) -> Tensor:
    """Copy a finished result into the tensor given as `out=`."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}: out: expected a Tensor, got {type(out).__name__}")
    if mode.state.enabled and (tape.needs_grad(out) or tape.needs_grad(result)):
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.")
    elementwise.same_device(name, result, out)
    if out._spec.shape != result._spec.shape:
        if out._spec.numel:
            raise RuntimeError(f"{name}: out: expected shape {list(result.shape)}, got {list(out.shape)}; give a tensor of that shape, or an empty one")
        fresh = result.to(out._spec.dtype)
        out._storage, out._address, out._spec = fresh._storage, fresh._address, fresh._spec
        return out
    return out.copy_(result)
