"""Elementwise ops into memory that is there: in-place methods and `out=`."""

from __future__ import annotations

from numtape import dtypes, layout
from numtape.autograd import mode, tape
from numtape.device import cpu
from numtape.dispatch import elementwise
from numtape.graph import Symbol
from numtape.kernels.cpu.driver import launch
from numtape.op import Op
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, check_inplace, empty, rebase


def call_into(op: Op, args: tuple, target: Tensor, name: str) -> Tensor:
    """Run an elementwise op in place: the result goes into `target`, which is the first argument."""
    check_inplace(target, name)
    args = near(args, target, name)
    key, operands, recorded, traced = elementwise.scan(op, args, target)
    if key is None:
        return call_into(op, elementwise.with_complex(op, args), target, name)
    if traced:
        raise RuntimeError(f"{name}: in-place operations cannot be used in a formula or derivative rule")
    plan = op.plans.get(key)
    if plan is None:
        check_target(op, args, target, name)
        plan = op.plans[key] = elementwise.make_plan(op, args, target._spec)
    if recorded and mode.state.enabled and target._spec.dtype.differentiable:
        if not plan.direct or not op.vjp:
            old = target.clone()
            return target.copy_(elementwise.call(op, tuple(old if a is target else a for a in args)))
        node = elementwise.prepare(op, args)
        if node is not None:
            _keep_old(node, target)
        write(op, plan, args, operands, target, name)
        if node is not None:
            elementwise.finish(node, target)
            rebase(target, node)
    else:
        write(op, plan, args, operands, target, name)
    return target


def near(args: tuple, target: Tensor, name: str) -> tuple:
    """The arguments on the device of what is written."""
    where = target._spec.device
    for a in args:
        if isinstance(a, Tensor) and a._spec.device is not where:
            if where is cpu or a._spec.ndim or a._spec.device is not cpu:  # only a number, as it were, follows to a card
                raise RuntimeError(elementwise.apart(name, where, a._spec.device))
            return tuple(a.to(where) if isinstance(a, Tensor) else a for a in args)
    return args


def _keep_old(node, target: Tensor) -> None:
    """Where a rule names what is about to be overwritten, keep a copy, connected to the old history."""
    for k, a in enumerate(node.saved):
        if a is target:
            copy = alias(target).clone()
            copy._node, copy._requires_grad = target._current_node(), target._requires_grad
            node.saved[k], node.versions[k] = copy, copy._storage.version


def write(op, plan, args, operands, target, name):
    """Launch into the memory of `target`; operands that overlap it in part are copied first."""
    memory = target._storage
    if plan.table:
        if any(isinstance(a, Tensor) and overlaps(a, target) for a in args):
            # the copies live in args until the launch is over
            args = tuple(alias(a).clone() if isinstance(a, Tensor) and overlaps(a, target) else a for a in args)
            key, operands, _, _ = elementwise.scan(op, args, target)
            plan = op.plans.get(key)
            if plan is None:
                plan = op.plans[key] = elementwise.make_plan(op, args, target._spec)
        try:
            launch(plan.table, target._address, *operands)
        except OverflowError:
            raise RuntimeError(f"{name}: a number is too large for int64") from None
    memory.version += 1
    memory.writer = name


def overlaps(a: Tensor, b: Tensor) -> bool:
    """Whether some element of a stands in b's memory at another place than in a."""
    if a._storage is not b._storage:
        return False
    if a._address == b._address and a._spec.strides == b._spec.strides and a._spec.shape == b._spec.shape:
        return False
    end_a = a._address + a._spec.extent * a._spec.dtype.itemsize
    end_b = b._address + b._spec.extent * b._spec.dtype.itemsize
    return a._address < end_b and b._address < end_a


def check_target(op, args, target, name):
    shape = layout.broadcast_shapes(name, *(a._spec.shape for a in args if isinstance(a, Tensor)))
    if shape != target._spec.shape:
        raise RuntimeError(f"{name}: output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}")
    if layout.overlaps_itself(target._spec.shape, target._spec.strides):
        raise RuntimeError(
            f"{name}: unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    symbols, _, _ = elementwise.leaves(op, args)
    result = elementwise.trace_call(op, tuple(symbols))
    kind = result.dtype if isinstance(result, Symbol) else dtypes.scalar_dtype(result)
    if op.traits.get("wirtinger") and target._spec.dtype.is_complex and not kind.is_complex:
        raise RuntimeError(f"In-place {op.name} is not supported for complex tensors.")
    if not dtypes.can_cast(kind, target._spec.dtype) and not op.traits.get("converts"):
        raise RuntimeError(f"{name}: result type {kind.name} can't be cast to the desired output type {target._spec.dtype.name}")


def call_out(op: Op, args: tuple, out: Tensor) -> Tensor:
    """Run an elementwise op into the tensor given as `out=`."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{op.name}: out: expected a Tensor, got {type(out).__name__}")
    if mode.state.enabled and any(isinstance(a, Tensor) and tape.needs_grad(a) for a in (out, *args)):
        raise RuntimeError(f"{op.name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.")
    shape = layout.broadcast_shapes(op.name, *(a._spec.shape for a in args if isinstance(a, Tensor)))
    if out._spec.shape != shape:
        if out._spec.numel:
            raise RuntimeError(f"{op.name}: out: expected shape {list(shape)}, got {list(out.shape)}; give a tensor of that shape, or an empty one")
        fresh = empty(spec_of(out._spec.dtype, out._spec.device, shape), op.name)
        out._storage, out._address, out._spec = fresh._storage, fresh._address, fresh._spec
    args = near(args, out, op.name)
    if elementwise.scan(op, args)[0] is None:
        args = elementwise.with_complex(op, args)
    _, operands, _, _ = elementwise.scan(op, args, out)
    key = (out._spec, *elementwise.scan(op, args)[0])
    plan = op.plans.get(key)
    if plan is None:
        check_target(op, args, out, op.name)
        plan = op.plans[key] = elementwise.make_plan(op, args, out._spec)
    write(op, plan, args, operands, out, op.name)
    return out
