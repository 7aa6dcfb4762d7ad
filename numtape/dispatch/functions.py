"""Public functions made from op records: the function, the method, the in-place method and `out=`."""

from __future__ import annotations

import numpy as np

from numtape import dtypes, layout
from numtape.autograd import mode, tape
from numtape.dispatch import elementwise, forward, inplace, rows  # noqa: F401  (forward adds itself to the pulls)
from numtape.graph import FULL, Symbol
from numtape.kernels.cpu.calls import forget, introduce, remembering
from numtape.kernels.cpu.driver import launch, launch_new
from numtape.op import Op
from numtape.tensor import Tensor, make

_new = object.__new__
_next = tape._next
Node = tape.Node
_NEITHER = (None, None)
_PLAIN_NUMBERS = (float, int)
_state = mode.state
_OPERANDS = (Tensor, Symbol, int, float, complex, np.number, np.bool_)
_NUMBERS = (int, float, complex, np.number, np.bool_)
PUBLIC = {"x": "input", "y": "other"}
dtypes.on_new_default.append(forget)
introduce(Tensor)


def unary(op: Op):
    """The function of an op of one tensor; a call like one before is one built-in."""
    known, learn = remembering(1, completes=True)

    def function(input, *, out=None):
        if out is not None:
            return inplace.call_out(op, (input,), out)
        t = known(input)
        if t is not None:
            if t._requires_grad:
                note_unary(op, input, t)
            return t
        if input is None or isinstance(input, (int, float)):
            raise TypeError(f"{op.name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        t = elementwise.call(op, (input,))
        _learn_plan(learn, op.plans.get((getattr(input, "_spec", None),)), (input,))
        return t

    return function


def _learn_plan(learn, plan, args) -> None:
    if plan is not None and plan.table:
        learn(args, plan.spec, plan, table=plan.table, direct=plan.direct)


def note_unary(op: Op, input, t) -> None:
    """Put a result on the tape that was made by a known call, and requires grad for now."""
    t._requires_grad = False
    if not _state.enabled or not op.vjp or not t._spec.dtype.differentiable:
        return
    edge = input._node or input if input._base is None else tape.edge_of(input)
    if edge is None:
        return
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


def binary(op: Op):
    """The function of an op of two operands; a call with known specs (or a tensor and a number) is one built-in."""
    plans, masks, name, pull = op.plans, op.masks, op.name, elementwise.pull
    known, learn = remembering(2, completes=True)

    def run(input, other):
        t = known(input, other)
        if t is None:
            return anew(input, other)
        if not t._requires_grad:
            return t
        t._requires_grad = False
        if not _state.enabled or not op.vjp or not t._spec.dtype.differentiable:
            return t
        if isinstance(input, Tensor) and (input._requires_grad or input._base is not None):
            left = input._node or input if input._base is None else tape.edge_of(input)
            differentiated = 0 if left is None else 1
        else:
            left, differentiated = None, 0
        number, number_left = type(other) in _PLAIN_NUMBERS, type(input) in _PLAIN_NUMBERS
        if not number and (other._requires_grad or other._base is not None):
            right = other._node or other if other._base is None else tape.edge_of(other)
            differentiated += 0 if right is None else 2
        else:
            right = None
        if differentiated:
            t._node = node = _new(Node)
            t._requires_grad = True
            node.seq = _next()
            node.label, node.inputs, node.pull, node.op, node.spec, node.rare = name, (left, right), pull, op, t._spec, None
            keeps_left, keeps_right, keeps_result = masks.get(differentiated) or op.mask(differentiated)
            if keeps_left or keeps_right or keeps_result:
                node.saved = saved = [input if keeps_left or number_left else None, other if keeps_right or number else None]
                node.versions = versions = [
                    input._storage.version if keeps_left and not number_left else None,
                    other._storage.version if keeps_right and not number else None,
                ]
                if keeps_result:
                    saved.append(_twin(t))
                    versions.append(0)
            else:
                node.saved, node.versions = (None, other) if number else (input, None) if number_left else _NEITHER, None
            if _state.watched:
                tape.watch(node)
        return t

    def anew(input, other):
        """A call of a new kind, or with an error to be worded."""
        if isinstance(input, _NUMBERS) and isinstance(other, _NUMBERS):
            raise TypeError(f"{op.name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        t = elementwise.call(op, (input, other))
        _learn_plan(learn, plans.get((getattr(input, "_spec", type(input)), getattr(other, "_spec", type(other)))), (input, other))
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
    """The function of an elementwise op of any parameters, bound by position or by name; a call like one before is one built-in."""
    names = tuple(PUBLIC.get(n, n) for n in op.names)
    required = len(names) - len(op.defaults)
    known, learn = (lambda *args: None, None) if op.static else remembering(len(names))

    def function(*args, out=None, **kwargs):
        if kwargs or len(args) != len(names):
            args = bind(op.name, names, op.defaults, required, args, kwargs)
        if out is None and (t := known(*args)) is not None:
            return t
        if args[0] is None or not op.static and not any(isinstance(a, (Tensor, Symbol)) for a in args):
            raise TypeError(f"{op.name}(): argument '{names[0]}' (position 1) must be Tensor, not {type(args[0]).__name__}")
        if out is not None:
            return inplace.call_out(op, args, out)
        t = elementwise.call(op, args)
        if learn is not None and type(t) is Tensor and t._spec.device.type == "cpu" and all(_may_be_known(a) for a in args):
            _learn_plan(learn, op.plans.get(elementwise.scan(op, args)[0]), args)
        return t

    return function


def _may_be_known(a) -> bool:
    """Whether a call with this operand is looked up: one that requires grad goes the long way, numbers of other types are none."""
    return type(a) in _PLAIN_NUMBERS or isinstance(a, Tensor) and not a._requires_grad and a._base is None


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
    known = Reductions(op)

    def function(input, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None):
        if dtype is None and out is None and axis is None and keepdims is None:
            t = known(input, dim, keepdim)
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
        known.learn((input._spec, dims, keepdim, (FULL,)), input, dim, dims, keepdim)
        if dtype is not None:  # added up in int64, returned as asked
            result = result.to(dtype)
        return result if out is None else into(op.name, result, out)

    return function


class Reductions:
    """The calls of a reduction that are known, by spec and dim; what is recorded is known if its rule needs nothing saved."""

    def __init__(self, op: Op):
        self.op, self.linear = op, bool(op.traits.get("linear"))
        self.dims: dict = {}  # (number of dims, dim as given) -> the dims
        self.plans: dict = {}  # those of two launches
        self.known, self._learn = remembering(1, completes=self.linear)

    def __call__(self, input, dim, keepdim) -> Tensor | None:
        t = self.known(input, dim, keepdim)
        if t is None:
            try:
                plan = self.plans[input._spec, dim, keepdim]
            except (AttributeError, KeyError, TypeError):  # a new combination, a symbol, or dims as a list
                return None
            recorded = (input._requires_grad or input._base is not None and input._base._requires_grad) and _state.enabled
            if recorded and not self.linear:
                return None
            t = plan.second(make(launch_new(plan.table, input._address), plan.spec))
        elif t._requires_grad:
            t._requires_grad, recorded = False, _state.enabled
        else:
            return t
        return rows.note_linear(self.op, input, t, self.dims[input._spec.ndim, dim], len(self.op.names)) if recorded else t

    def learn(self, key, input, dim, dims, keepdim) -> None:
        """Remember the plan that a reduction was just run with."""
        plan = self.op.plans.get(key)
        if plan is not None and plan.table and not isinstance(dim, list):
            self.dims[input._spec.ndim, dim] = dims
            if plan.second is None:
                self._learn((input, dim, keepdim), plan.spec, plan, table=plan.table, direct=True)
            else:
                if len(self.plans) > 4096:
                    self.plans.clear()
                self.plans[input._spec, dim, keepdim] = plan


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
