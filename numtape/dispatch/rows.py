"""Reductions and row formulas: sum, softmax, variance, and their derivatives, one kernel each.

The op is traced on symbols that are one value per element or one per row (`graph.FULL`, `graph.ROW`). Its reductions are
grouped into stages, each one pass over the row; the text of all stages goes into the row template, or, for one plain
reduction over a dim that is not innermost, into the column template.
"""

from __future__ import annotations

from math import prod

from numtape import dtypes, graph, layout
from numtape.autograd import mode, tape
from numtape.dispatch import elementwise
from numtape.dispatch.program import FIRST, LAST, Program
from numtape.graph import FULL, ROW
from numtape.kernels import placing
from numtape.kernels.cpu.driver import launch_new
from numtape.kernels.cpu.elementwise import stride_class
from numtape.op import Op
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty, make

PLANS = 4096


class Plan:
    __slots__ = ("keep", "second", "spec", "table")

    def __init__(self, table, spec, second=None):
        self.keep, self.table, self.spec, self.second = table, table.address if table else 0, spec, second


# ------------------------------------------------------------------------------------------------ calls
def call(op: Op, args: tuple, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """Run a row op over `dims` (ascending, from the front) of its first argument; others are tensors, numbers or static."""
    recorded = False
    if op.vjp is not None and mode.state.enabled:
        for a in args:
            if isinstance(a, Tensor) and (a._requires_grad or a._base is not None and tape.needs_grad(a)):
                recorded = True
    if not recorded:
        return run(op, args, dims, keepdim, _extents(op, args))
    args = _match(op, args)
    if op.traits.get("linear"):
        return note_linear(op, args[0], run(op, args, dims, keepdim, _extents(op, args)), dims, len(args))
    node = elementwise.prepare(op, args)
    out = run(op, args, dims, True, _extents(op, args))
    if node is not None:
        node.pull = pull
        elementwise.finish(node, out)
    if op.traits["reduces"] and not keepdim:
        out = _squeezed(out, dims)
    if node is not None:
        node.spec = (dims, args[0]._spec, out._spec)
    if node is not None and out._spec.dtype.differentiable:
        out._node, out._requires_grad = node, True
    return out


def note_linear(op: Op, x: Tensor, out: Tensor, dims, count=1) -> Tensor:
    """Record a reduction whose derivative needs nothing but the shape."""
    edge = tape.edge_of(x)
    if edge is not None and out._spec.dtype.differentiable:
        out._node = node = tape.Node(op.name, (edge,) if count == 1 else (edge, *[None] * (count - 1)), pull_linear)
        node.op, node.spec = op, (dims, x._spec, out._spec)
        out._requires_grad = True
    return out


def pull_linear(node, gradient):
    """The gradient of a sum or mean: the rule itself, which is a view."""
    dims, spec, _ = node.spec
    found = node.op.vjp[0](gradient, dims, spec.shape)
    return (found,) if len(node.inputs) == 1 else (found, *[None] * (len(node.inputs) - 1))


def _extents(op, args):
    found = op.traits.get("extents")
    if found is None:
        per_row = op.traits.get("per_row", ())
        found = op.traits["extents"] = tuple(ROW if name in per_row else FULL for name in op.names)
    return found


def _match(op, args):
    kind, shape = args[0]._spec.dtype, args[0]._spec.shape
    for a in args:
        if isinstance(a, Tensor) and a._requires_grad and (a._spec.dtype is not kind or a._spec.shape != shape):
            break
    else:
        return args
    return tuple(a.to(kind).expand(shape) if isinstance(a, Tensor) and a._requires_grad else a for a in args)


def _squeezed(out: Tensor, dims) -> Tensor:
    key = (out._spec, dims)
    spec = _squeezed_specs.get(key)
    if spec is None:
        shape = tuple(n for d, n in enumerate(out._spec.shape) if d not in dims)
        spec = _squeezed_specs[key] = spec_of(out._spec.dtype, out._spec.device, shape)
    return make(out._storage, spec)


_squeezed_specs: dict = {}
_kept_specs: dict = {}


def with_dims(g: Tensor, dims, shape, view=False) -> Tensor:
    """The gradient of a reduction with the reduced dims put back, of size 1; with `view` not recorded in any mode."""
    if mode.state.enabled and not view:
        return g.reshape(tuple(1 if d in dims else n for d, n in enumerate(shape)))
    key = (g._spec, dims)
    spec = _kept_specs.get(key)
    if spec is None:
        s = g._spec
        sizes, strides = iter(s.shape), iter(s.strides)
        if s.ndim == len(shape):
            spec = s
        else:
            full = [(1, 0) if d in dims else (next(sizes), next(strides)) for d in range(len(shape))]
            spec = spec_of(s.dtype, s.device, tuple(n for n, _ in full), tuple(n for _, n in full))
        _kept_specs[key] = spec
    return alias(g, spec)


def pull(node, gradient):
    """The gradients of a row op: one kernel each, or the rule on tensors while recording."""
    op, saved = node.op, elementwise.unpack(node)
    dims, spec, result = node.spec
    if op.traits["reduces"]:
        gradient = with_dims(gradient, dims, spec.shape)
    values = dict(zip(op.names, saved)) | {"g": gradient, "dim": dims, "shape": spec.shape}
    recording = mode.state.enabled
    if len(saved) > len(op.names):
        values["out"] = out = alias(saved[-1])
        if recording:  # connected in the shape that the call returned
            out._spec, out._node, out._requires_grad = result, node, True
            values["out"] = with_dims(out, dims, spec.shape) if op.traits["reduces"] else out
    gradients: list = []
    for i, edge in enumerate(node.inputs):
        if edge is None:
            gradients.append(None)
            continue
        names = op.saves[i]
        if names == ("g",) and not op.traits["reduces"] and (op.recipes or op.rules())[i][2]:
            gradients.append(gradient)  # handed on as it is: the bias of a layer_norm
            continue
        arguments = tuple(values[name] for name in names)
        if recording or op.traits.get("rule_on_tensors"):
            gradients.append(op.gradient(i)(*arguments))
        else:
            reduces = op.traits["reduces"]
            per_row = op.traits.get("per_row", ())
            extents = tuple(ROW if reduces and name in ("g", "out") or name in per_row else FULL for name in names)
            gradients.append(run(_pullback(op, i), arguments, dims, True, extents, spec.shape))
    return gradients


def _pullback(op: Op, i: int) -> Op:
    found = op.pullbacks.get(i)
    if found is None:
        traits = {"static": (*op.static, "dim", "shape"), "reduces": False, "pullback": True}
        found = op.pullbacks[i] = Op(f"{op.name}.vjp{i}", "row", op.gradient(i), names=op.saves[i], **traits)
    return found


def run(op: Op, args, dims, keepdim, extents, shape=None) -> Tensor:
    """Run without recording. `shape` is that of the full operands, if none of them is the first argument."""
    key, operands, _, _ = elementwise.scan(op, args)
    key = (*key, dims, keepdim, extents)
    plan = op.plans.get(key)
    if plan is None:
        if len(op.plans) > PLANS:
            op.plans.clear()
        elementwise.same_device(op.name, *(a for a in args if isinstance(a, Tensor)))
        elementwise.check_complex(op, args)
        with placing(args[0]._spec.device):
            plan = make_plan(op, args, dims, keepdim, extents, shape or args[0]._spec.shape)
        if plan is None:  # the reduced dims are no single run of memory: bring them together first
            return _run_gathered(op, args, dims, keepdim, extents, shape or args[0]._spec.shape)
        op.plans[key] = plan
    if not plan.table:
        return _empty(op, plan, args)
    out = make(launch_new(plan.table, *operands), plan.spec)
    return plan.second(out) if plan.second is not None else out


def _empty(op, plan, args):
    """The result over no elements: the identity of a sum or product, NaN of a mean, an error where there is none."""
    out = empty(plan.spec, op.name)
    if plan.spec.numel:
        value = op.traits.get("empty")
        if value is None:
            raise IndexError(
                f"{op.name}(): Expected reduction dim to be specified for input.numel() == 0, or to have non-zero size: "
                f"there is nothing to reduce in a tensor of shape {tuple(args[0].shape)}"
            )
        out.fill_(value)
    return out


def _run_gathered(op, args, dims, keepdim, extents, shape):
    """With the reduced dims brought together at the end, in copies where they are apart; or, where that gives the same, one run of dims
    after the other."""
    ndim = len(shape)
    first = max(d for d in range(ndim) if d not in dims or d == dims[0]) + 1
    if (op.family == "reduction" or op.traits.get("stepwise")) and dims[0] < first - 1 < ndim - 1:
        inner = tuple(range(first, ndim))
        rest = tuple(d for d in dims if d < first)
        part = run(op, args, inner, True, extents, shape)
        return run(op, (part, *args[1:]), rest, keepdim, extents) if keepdim else _squeezed(run(op, (part, *args[1:]), rest, True, extents), dims)
    order = [*(d for d in range(ndim) if d not in dims), *dims]
    moved = []
    with mode.no_grad():
        for a, extent in zip(args, extents):
            if isinstance(a, Tensor):
                a = a.permute(order)
                a = a.contiguous() if extent == FULL else a
            moved.append(a)
        out = run(op, tuple(moved), tuple(range(ndim - len(dims), ndim)), True, extents, tuple(shape[d] for d in order))
        out = out.permute([order.index(d) for d in range(ndim)])
        return out.squeeze(dims) if op.traits["reduces"] and not keepdim else out


# ------------------------------------------------------------------------------------------------ plans
def make_plan(op, args, dims, keepdim, extents, shape):
    symbols, tensors, numbers, specs = [], [], [], []
    for name, a, extent in zip(op.names, args, extents):
        if isinstance(a, Tensor):
            symbol = graph.leaf(a._spec.dtype, 0, extent)
            tensors.append(symbol)
            specs.append(a._spec)
        elif a is None or name in op.static:
            symbol = a
        else:
            symbol = graph.leaf(dtypes.scalar_dtype(a), 2, ROW)
            numbers.append(symbol)
        symbols.append(symbol)
    root = graph.as_symbol(op.fn(*symbols) if op.family == "row" else graph.reduction(op, symbols[0]))
    if op.traits.get("pullback"):
        root = graph.convert(root, symbols[op.names.index("g")].dtype)
    reduces = op.traits["reduces"]
    kept = tuple(1 if d in dims else n for d, n in enumerate(shape))
    result_shape = shape if not reduces else kept if keepdim else tuple(n for d, n in enumerate(shape) if d not in dims)
    spec = spec_of(root.dtype, args[0]._spec.device, result_shape)
    length = prod(shape[d] for d in dims)
    if spec.numel == 0 or (length == 0 and reduces):
        return Plan(None, spec)
    strides = [layout.expand_strides(s.shape, s.strides, shape) for s in specs]
    full_out = layout.contiguous_strides(shape)
    kept_out = layout.contiguous_strides(kept)
    out_strides = tuple(0 if d in dims else s for d, s in enumerate(kept_out)) if reduces else full_out
    inner_order = [out_strides if not reduces else strides[0], *strides] if not reduces else strides
    sizes, inner = layout.coalesce(tuple(shape[d] for d in dims), *[tuple(s[d] for d in dims) for s in inner_order])
    if len(sizes) > 1:
        return None
    if sizes:
        inner_steps = [s[0] for s in inner]
    else:  # one element: what is per row has no step
        inner_steps = [0 if s.extent == ROW else 1 for s in tensors]
        if not reduces:
            inner_steps = [1, *inner_steps]
    if reduces:
        inner_steps = [1, *inner_steps]
    rest = [d for d in range(len(shape)) if d not in dims]
    outer, outer_steps = layout.coalesce(tuple(shape[d] for d in rest), *[tuple(s[d] for d in rest) for s in (out_strides, *strides)])
    program = Program(root, tensors, numbers, spec.device)
    if program.single and len(specs) == 1 and inner_steps[1] != 1 and outer and outer_steps[1][-1] == 1 and length > 1:
        return _column_plan(op, program, spec, specs[0], length, inner_steps[1], outer, outer_steps)
    if program.single and len(specs) == 1 and not outer and length > 2 * program.rows.PIECE and not numbers:
        return _two_phase_plan(op, program, spec, specs[0], length, inner_steps)
    if program.strips and _side_by_side(program, reduces, length, inner_steps, outer, outer_steps):
        return _strip_plan(op, program, spec, specs, reduces, length, inner_steps, outer, outer_steps)
    classes = [None if reduces else stride_class(inner_steps[0]), *(stride_class(s) for s in inner_steps[1:])]
    text = program.text(op.name, spec.dtype.code, [(s.dtype.code, c) for s, c in zip(specs, classes[1:])], classes[0])
    arguments = 1 + len(specs) + len(numbers)
    return Plan(program.rows.table(op.name, text, prod(outer), length, 0, length, outer, inner_steps, outer_steps, arguments, spec.nbytes), spec)


def _side_by_side(program, reduces, length, inner_steps, outer, outer_steps) -> bool:
    """Whether rows are better walked together: they are short, or lie beside each other in memory."""
    if not outer or length == 1 or outer[-1] < program.strips.LEAST:
        return False
    if length <= program.strips.SHORT:
        return True
    full = [(inner, steps[-1]) for s, inner, steps in zip(program.tensors, inner_steps[1:], outer_steps[1:]) if s.extent == FULL]
    if not reduces:
        full.append((inner_steps[0], outer_steps[0][-1]))
    return all(inner != 1 and beside in (0, 1) for inner, beside in full) and any(beside == 1 for _, beside in full)


def _strip_plan(op, program, spec, specs, reduces, length, inner_steps, outer, outer_steps):
    """A row program for rows side by side."""
    classes = [stride_class(s[-1]) for s in outer_steps]
    text = program.text(op.name, spec.dtype.code, [(s.dtype.code, c) for s, c in zip(specs, classes[1:])], None if reduces else classes[0], beside=True)
    arguments = 1 + len(specs) + len(program.numbers)
    return Plan(program.strips.table(op.name, text, length, length, outer, inner_steps, outer_steps, arguments, spec.nbytes), spec)


def _two_phase_plan(op, program, spec, operand, length, inner_steps):
    """Pieces first, then the pieces' results: the same pieces whatever the number of threads."""
    table, piece = program.rows.table, program.rows.PIECE
    pieces = -(-length // piece)
    partial = program.reductions[0].partial
    partials = spec_of(partial, spec.device, (pieces,))
    text = program.text(op.name, partial.code, [(operand.dtype.code, stride_class(inner_steps[1]))], None, phase=FIRST)
    first = table(op.name, text, pieces, piece, length, length, (pieces,), inner_steps, [(1,), (piece * inner_steps[1],)], 2, partials.nbytes)
    text = program.text(op.name, spec.dtype.code, [(partial.code, "c")], None, phase=LAST)
    last = table(op.name, text, 1, pieces, 0, length, (), (1, 1), [(), ()], 2, spec.nbytes)
    return Plan(first, partials, lambda parts, table=last: make(launch_new(table.address, parts._address), spec))


def _column_plan(op, program, spec, operand, length, row_step, outer, outer_steps):
    """A reduction along columns side by side; where few columns are long (and the device wants more units) in two phases."""
    *rest, count = outer
    out_steps, in_steps = outer_steps
    arguments = 2 + len(program.numbers)
    table, code = program.columns.table, operand.dtype.code
    pieces = 1 if program.numbers else program.columns.pieces(length, prod(outer))
    if pieces == 1:
        text = program.column_text(op.name, spec.dtype.code, code)
        return Plan(table(op.name, text, length, 0, count, row_step, out_steps[-1], rest, out_steps[:-1], in_steps[:-1], arguments, spec.nbytes), spec)
    piece = -(-length // pieces)
    pieces = -(-length // piece)
    partial = program.reductions[0].partial
    partials = spec_of(partial, spec.device, (*rest, pieces, count))
    text = program.column_text(op.name, partial.code, code, FIRST)
    steps = (*in_steps[:-1], piece * row_step)
    first = table(op.name, text, piece, length, count, row_step, 1, (*rest, pieces), partials.strides[:-1], steps, arguments, partials.nbytes)
    text = program.column_text(op.name, spec.dtype.code, partial.code, LAST)
    last = table(op.name, text, pieces, 0, count, count, out_steps[-1], rest, out_steps[:-1], partials.strides[:-2], arguments, spec.nbytes, length)
    return Plan(first, partials, lambda parts, table=last: make(launch_new(table.address, parts._address), spec))
