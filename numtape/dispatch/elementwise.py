"""Elementwise calls: find or make the plan, launch one kernel, leave a node on the tape.

A plan is found by the specs of the tensor operands, the types of the number operands and the values of static ones. Making
one traces the op on symbols, prints the expression into the elementwise template, and lays out the slots.
"""

from __future__ import annotations

import numpy as np

from numtape import dtypes, graph, layout
from numtape.arrays import from_array
from numtape.autograd import mode, tape
from numtape.device import cpu
from numtape.dispatch import derive
from numtape.graph import Symbol
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.calls import remembering
from numtape.kernels.cpu.driver import launch_new
from numtape.op import Op, promoted, refuse_complex
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, alias, empty, make

PLANS = 4096  # plans kept per op


class Plan:
    """How to run one op on operands of known specs."""

    __slots__ = ("direct", "identity", "keep", "spec", "table")

    def __init__(self, table, spec: Spec, direct: bool, identity: int | None = None):
        self.keep, self.table = table, table.address if table else 0
        self.spec = spec
        self.direct = direct  # whether gradients may flow as they are: no operand is broadcast or converted
        self.identity = identity  # the position of the argument that already is the result


def call(op: Op, args: tuple) -> Tensor:
    """Run an elementwise op on tensors and numbers, given in the order of `op.names`."""
    try:
        key, operands, recorded, traced = scan(op, args)
    except AttributeError:  # a batch of `vmap`, which has no spec
        if not mode.state.layers:
            raise
        return mode.state.layers[-1].meet(op.name, lambda *args: call(op, args), args)
    if traced:
        return trace_call(op, args)
    plan = op.plans.get(key)
    if plan is None:
        if key is None:
            return call(op, with_complex(op, args))
        near = together(op.name, args)
        if near is not args:
            return call(op, near)
        plan = op.plans[key] = make_plan(op, args, None)
    if recorded and op.vjp and mode.state.enabled and plan.spec.dtype.differentiable:
        if not plan.direct:
            return call(op, match(op, args, plan.spec.shape))
        node = prepare(op, args)
        out = _run(op, plan, args, operands)
        if node is None:
            return out
        if plan.identity is not None:
            out = alias(out)
        finish(node, out)
        out._node, out._requires_grad = node, True
        return out
    return _run(op, plan, args, operands)


def _run(op, plan, args, operands):
    if plan.table:
        try:
            return make(launch_new(plan.table, *operands), plan.spec)
        except MemoryError:
            raise MemoryError(f"{op.name}: cannot allocate {plan.spec.nbytes:,} bytes for the result of shape {tuple(plan.spec.shape)}") from None
        except OverflowError:
            raise RuntimeError(f"{op.name}: a number is too large for int64") from None
    if plan.identity is not None:
        return args[plan.identity]
    return empty(plan.spec, op.name)


def scan(op: Op, args: tuple, target: Tensor | None = None):
    """The key of a call's plan, the operands of its launch, whether a tensor requires grad, whether it is being traced.

    The key is None if there is a complex number among the arguments: `with_complex` makes a tensor of it.
    """
    key: list = [] if target is None else [target._spec]
    operands: list = []
    numbers: list = []
    recorded = traced = False
    static = op.static
    for name, a in zip(op.names, args):
        kind = type(a)
        if kind is Tensor or isinstance(a, Tensor):
            key.append(a._spec)
            operands.append(a._address)
            if a._requires_grad or a._base is not None and tape.needs_grad(a):
                recorded = True
        elif static and name in static or a is None:
            key.append((a,))
        elif kind is float or kind is int or kind is bool:
            key.append(kind)
            numbers.append(a)
        elif kind is Symbol:
            traced = True
        elif isinstance(a, (float, int, np.generic)):
            a = a.item() if isinstance(a, np.generic) else a
            key.append(float if isinstance(a, float) else type(a) if isinstance(a, bool) else int)
            numbers.append(a)
        elif isinstance(a, (complex, np.complexfloating)):
            return None, operands, recorded, traced or any(type(b) is Symbol for b in args)
        else:
            raise TypeError(f"{op.name}(): argument '{name}' must be Tensor or Number, not {kind.__name__}")
    if numbers:
        operands += numbers
    return tuple(key), operands, recorded, traced


def together(name: str, args: tuple) -> tuple:
    """The arguments on one device: a zero-dimensional tensor on the CPU follows the others, anything else apart is an error."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    if not tensors or all(a._spec.device is tensors[0]._spec.device for a in tensors):
        return args
    where = next(a._spec.device for a in tensors if a._spec.device is not cpu)
    for a in tensors:
        if a._spec.device is not where and (a._spec.device is not cpu or a._spec.ndim):
            raise RuntimeError(apart(name, where, a._spec.device))
    return tuple(a.to(where) if isinstance(a, Tensor) else a for a in args)


def apart(name: str, where, other) -> str:
    """The message about operands on two devices."""
    return (
        f"{name}: Expected all tensors to be on the same device, but found at least two devices, {where} and {other}! "
        f"Move one of them, for instance with .to('{where}')"
    )


def same_device(name: str, *tensors) -> None:
    """Refuse operands on several devices."""
    for t in tensors[1:]:
        if t._spec.device is not tensors[0]._spec.device:
            raise RuntimeError(apart(name, tensors[0]._spec.device, t._spec.device))


def with_complex(op: Op, args: tuple) -> tuple:
    """The arguments with complex numbers as zero-dimensional tensors, of the dtype that the op would compute them in."""
    kind = promoted(_operands(op, args))
    return tuple(from_array(np.array(a, kind.numpy)) if isinstance(a, (complex, np.complexfloating)) else a for a in args)


def _operands(op: Op, args: tuple) -> list:
    """The arguments that count for the dtype, as rules want them."""
    return [(a._spec.dtype, 0 if a._spec.ndim else 1) if isinstance(a, Tensor) else (dtypes.scalar_dtype(a), 2) for a in args if _counts(op, a)]


def check_complex(op: Op, args: tuple) -> None:
    """Refuse complex tensors unless the op is defined for them."""
    if not op.traits.get("complex") and not op.traits.get("pullback"):
        for a in args:
            if isinstance(a, Tensor):
                refuse_complex(op.name, a._spec.dtype)


def evaluate(op: Op, values: list) -> Tensor:
    """`call` for plain tensors and numbers when nothing is recorded: the backward walk's way to a kernel."""
    if op.calls is None:
        op.calls = remembering(len(values), unconnected=True)
    known, learn = op.calls
    t = known(*values)
    if t is not None:
        return t
    key = []
    operands = []
    numbers = None
    for v in values:
        kind = type(v)
        if kind is float or kind is int:
            key.append(kind)
            if numbers is None:
                numbers = [v]
            else:
                numbers.append(v)
        elif isinstance(v, Tensor):
            key.append(v._spec)
            operands.append(v._address)
        else:
            return call(op, values)
    plan = op.plans.get(tuple(key))
    if plan is None or not plan.table:
        return call(op, values)
    learn(values, plan.spec, plan, table=plan.table)
    return make(launch_new(plan.table, *operands) if numbers is None else launch_new(plan.table, *operands, *numbers), plan.spec)


def trace_call(op: Op, args: tuple):
    """Write the call down: a formula with a derivative of its own stays one symbol, others are taken apart."""
    if op.rule is not None:
        return graph.call(op, args)
    body = op.fn(*args)
    if op.vjp is None or any(isinstance(v, derive.Derived) for v in op.vjp) or not isinstance(body, Symbol):
        return body
    inputs = tuple(graph.as_symbol(a) for a in args if not isinstance(a, (str, type(None), tuple)))
    return Symbol(op, inputs, body.dtype, priority=body.priority, extent=body.extent, value=(body, args))


# ------------------------------------------------------------------------------------------------ plans
def leaves(op: Op, args: tuple):
    """The symbols of a call's operands, as its arguments; and the tensor and the number symbols in launch order."""
    symbols, tensors, numbers = [], [], []
    for name, a in zip(op.names, args):
        if isinstance(a, Tensor):
            symbol = graph.leaf(a._spec.dtype, 0 if a._spec.ndim else 1)
            tensors.append(symbol)
        elif a is None or name in op.static:
            symbol = a
        else:
            symbol = graph.leaf(dtypes.scalar_dtype(a), 2, graph.ROW)
            numbers.append(symbol)
        symbols.append(symbol)
    return symbols, tensors, numbers


def lowering(tensors, numbers):
    """A `Lowering` that knows the operands' names, and the dtype codes of the number slots."""
    printer = graph.Lowering({s: f"x{k}" for k, s in enumerate(tensors)})
    codes = []
    for k, s in enumerate(numbers):
        code = "f64" if s.dtype.is_floating_point else "i64"
        printer.slots[s] = (f"s{k}", dtypes.float64 if code == "f64" else dtypes.int64)
        codes.append(code)
    return printer, codes


def make_plan(op: Op, args: tuple, target: Spec | None) -> Plan:
    """Trace, print, compile (or load) and lay out. With `target`, the result is converted to its dtype and written there."""
    if len(op.plans) > PLANS:
        op.plans.clear()
    if op.traits.get("floats") and not any(a._spec.dtype.differentiable for a in args if isinstance(a, Tensor)):
        raise RuntimeError(f"{op.name}: not implemented for {args[0]._spec.dtype.name} tensors; expected floating point, convert with .float()")
    if op.traits.get("numbers") and all(a._spec.dtype is dtypes.bool for a in args if isinstance(a, Tensor)):
        raise RuntimeError(f"{op.name}: not implemented for bool tensors; convert with .to(numtape.int64)")
    check_complex(op, args)
    symbols, tensors, numbers = leaves(op, args)
    result = trace_call(op, tuple(symbols))
    specs = [a._spec for a in args if isinstance(a, Tensor)]
    shape = layout.broadcast_shapes(op.name, *(s.shape for s in specs))
    if not isinstance(result, Symbol):
        result = graph.as_symbol(result)
    if op.traits.get("pullback"):
        result = graph.convert(result, _gradient_dtype(result, symbols[0].dtype))
    if target is None:
        position = next((i for i, s in enumerate(symbols) if s is result), None)
        if position is not None and isinstance(args[position], Tensor) and args[position]._spec.shape == shape:
            return Plan(None, args[position]._spec, True, position)
        spec = spec_of(result.dtype, specs[0].device, shape, layout.output_strides(shape, [(s.shape, s.strides) for s in specs]))
    else:
        spec = target
    wanted = op.rule(op.name, _operands(op, args))[0] if op.rule is not None else [result.dtype] * len(args)
    kinds = [kind for a, kind in zip((a for a in args if _counts(op, a)), wanted) if isinstance(a, Tensor)]
    same = all(s.shape == shape and s.dtype is kind for s, kind in zip(specs, kinds) if s.dtype.differentiable)
    return Plan(build(op.name, spec, specs, graph.convert(result, spec.dtype), tensors, numbers), spec, same and spec.dtype is result.dtype)


def _gradient_dtype(result: Symbol, kind):
    """The dtype of a rule's result, `kind` being that of the gradient it started from: either is complex if it needs to be."""
    if result.dtype.is_complex != kind.is_complex and result.priority < 2:
        return kind.to_complex() if result.dtype.is_complex else kind.to_real()
    return kind


def build(name, out: Spec, specs, result: Symbol, tensors, numbers):
    """The launch of an elementwise expression over operands of these specs; None if there is nothing to compute."""
    if out.numel == 0:
        return None
    strides = [layout.expand_strides(s.shape, s.strides, out.shape) for s in specs]
    sizes, steps = layout.coalesce(out.shape, out.strides, *strides)
    printer, codes = lowering(tensors, numbers)
    lines = printer.lower([result])
    signature = f"{', '.join(s.dtype.name for s in specs)} -> {out.dtype.name}"
    inputs, value = [s.dtype.code for s in specs], printer.cast(result, out.dtype)
    with placing(out.device):
        table = pattern(out.device, "elementwise").table
        return table(name, signature, printer.imports(), out.dtype.code, inputs, codes, lines, value, sizes, steps, out.nbytes)


# ------------------------------------------------------------------------------------------------ recording
def match(op: Op, args: tuple, shape) -> tuple:
    """The arguments with those that require grad expanded and converted, as recorded ops, to what the op computes with."""
    operands = _operands(op, args)
    kinds = None
    if op.rule is not None:
        kinds = op.rule(op.name, operands)[0]
    else:
        symbols, _, _ = leaves(op, args)
        kinds = [trace_call(op, tuple(symbols)).dtype] * len(operands)
    result, position = [], 0
    for a in args:
        kind = None
        if _counts(op, a):
            kind, position = kinds[position], position + 1
        if isinstance(a, Tensor) and a._requires_grad:
            if a._spec.dtype is not kind:
                a = a.to(kind)
            if a._spec.shape != shape:
                a = a.expand(shape)
        elif isinstance(a, Tensor) and a._spec.dtype.differentiable and a._spec.dtype is not kind:
            a = a.to(kind)
        if isinstance(a, Tensor) and a._spec.shape != shape and a._spec.dtype.differentiable:
            a = a.expand(shape)
        result.append(a)
    return tuple(result)


def _counts(op, a):
    return isinstance(a, (Tensor, int, float, complex, np.complexfloating))


def prepare(op: Op, args):
    """A node for a call about to run, with the arguments that its rules need; None if none is to be differentiated."""
    inputs: list = []
    differentiated, bit = 0, 1
    for a, recipe in zip(args, op.recipes or op.rules()):
        edge = None
        if recipe is not None and isinstance(a, Tensor):
            edge = tape.edge_of(a) if a._base is not None else (a._node or a) if a._requires_grad else None
            if edge is not None:
                differentiated |= bit
        inputs.append(edge)
        bit += bit
    if not differentiated:
        return None
    node = tape.Node(op.name, inputs, pull)
    node.op = op
    saved, versions = [], []
    for a, wanted in zip(args, op.masks.get(differentiated) or op.mask(differentiated)):
        if wanted and isinstance(a, Tensor):
            saved.append(a)
            versions.append(a._storage.version)
        else:
            saved.append(None if isinstance(a, Tensor) else a)
            versions.append(None)
    node.saved, node.versions = saved, versions if True in op.masks[differentiated] else None
    node.spec = op.masks[differentiated][-1]  # whether the result is wanted too: `finish` adds it
    return node


def finish(node, out: Tensor) -> None:
    """Let the node keep the result if a rule needs it."""
    if node.spec:
        node.saved.append(alias(out))
        node.versions.append(out._storage.version)
    node.spec = out._spec
    if mode.state.packers:
        tape.pack(node)


def unpack(node):
    """The saved arguments (and result) of a node, unless freed or overwritten."""
    saved = node.saved
    if saved is None:
        raise RuntimeError(tape.freed(node))
    if node.rare is not None and "packed" in node.rare:
        return tape.unpacked(node)
    if node.versions is not None:
        for a, version in zip(saved, node.versions):
            if version is not None and a._storage.version != version:
                raise RuntimeError(tape.overwritten(node, a._spec, a._storage, version))
    return saved


def pull(node, gradient):
    """The gradients of an elementwise call: one fused kernel each, or the rule on tensors while recording."""
    op, saved = node.op, node.saved if node.versions is None else unpack(node)
    recording = mode.state.enabled
    if recording and len(saved) > len(op.names):
        out = alias(saved[-1])
        out._node, out._requires_grad = node, True
        saved = [*saved[:-1], out]
    gradients: list = []
    for i, edge in enumerate(node.inputs):
        if edge is None:
            gradients.append(None)
            continue
        rule, places, same = op.recipes[i]
        if same:
            gradients.append(gradient)
        elif recording:
            gradients.append(rule(*[gradient if k < 0 else saved[k] for k in places]))
        elif i == 0 and edge is node.inputs[-1] and len(node.inputs) == 2 and op.recipes[1] is not None:
            rule_op, places = _both(op)  # x op x: the sum of the two gradients in one kernel
            return [evaluate(rule_op, [gradient if k < 0 else saved[k] for k in places]), None]
        else:
            gradients.append(evaluate(op.pullbacks.get(i) or pullback(op, i), [gradient if k < 0 else saved[k] for k in places]))
    return gradients


def _both(op: Op):
    """The sum of the two gradients of a binary op, as an op, and the places of its values."""
    found = op.pullbacks.get(-1)
    if found is None:
        (left, left_places, _), (right, right_places, _) = op.rules()
        places = tuple(dict.fromkeys((-1, *left_places, *right_places)))

        def rule(*values):
            value = dict(zip(places, values))
            return left(*[value[k] for k in left_places]) + right(*[value[k] for k in right_places])

        joint = Op(f"{op.name}.vjp01", "elementwise", rule, names=tuple("g" if k < 0 else f"v{k}" for k in places), static=op.static, pullback=True)
        found = op.pullbacks[-1] = (joint, places)
    return found


def pullback(op: Op, i: int) -> Op:
    """The derivative rule for input i, as an elementwise op of its own."""
    found = op.pullbacks.get(i)
    if found is None:
        found = op.pullbacks[i] = Op(f"{op.name}.vjp{i}", "elementwise", op.gradient(i), names=op.saves[i], static=op.static, pullback=True, complex=True)
    return found
