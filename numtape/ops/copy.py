"""Copies: to other layouts and dtypes, and into existing memory."""

from __future__ import annotations

from numtape import dtypes, graph, layout, storage
from numtape.autograd import mode, tape
from numtape.device import device as device_type
from numtape.device import placed
from numtape.dispatch import elementwise, inplace
from numtape.dispatch.record import recorded
from numtape.graph import Symbol
from numtape.kernels.cpu.calls import remembering
from numtape.op import Op
from numtape.ops.define import composite, derived
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, alias, check_inplace, empty, rebase


def tensor_of(name: str, x, argument: str = "input") -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument '{argument}' must be Tensor, not {type(x).__name__}")
    return x


def alike(name: str, x: Tensor, *others) -> None:
    """Refuse tensors of another dtype than x's; parameters of float32 may stand beside an input of half that size."""
    kind = x._spec.dtype
    for t in others:
        if isinstance(t, Tensor) and t._spec.dtype is not kind and not (kind.itemsize == 2 and kind.is_floating_point and t._spec.dtype is dtypes.float32):
            raise RuntimeError(f"{name}: expected all tensors to have the same dtype, but got {kind.name} and {t._spec.dtype.name}; convert one with .to()")


def like(x: Tensor, shape, strides) -> Spec:
    """The spec of x in another shape."""
    s = x._spec
    return spec_of(s.dtype, s.device, tuple(shape), tuple(strides))


_clone = Op("clone", "elementwise", lambda x: x, None, (lambda g: g,), inplace=False, complex=True)
_convert = derived(Op("convert", "elementwise", lambda x, dtype: _converted(x, dtype), None, static=("dtype",), converts=True, complex=True))


def _converted(x, dtype):
    return graph.convert(x, dtype)


def copied(x: Tensor, spec: Spec) -> Tensor:
    """x's elements in new memory laid out (and typed) as `spec`; not recorded."""
    out = empty(spec, "clone")
    write_into(x, out)
    out._storage.version, out._storage.writer = 0, None
    return out


def duplicated(x: Tensor, kind) -> Tensor:
    """x's elements as dtype `kind` in new memory, laid out as x is where that is dense; not recorded. A call like one before is one look-up."""
    found = _duplicates.get(kind)
    if found is None:
        found = _duplicates[kind] = remembering(1, unconnected=True)
    known, learn = found
    out = known(x)
    if out is None:
        s = x._spec
        strides = s.strides if layout.is_dense(s.shape, s.strides) else layout.output_strides(s.shape, [(s.shape, s.strides)])
        out = copied(x, spec_of(kind, s.device, s.shape, strides))
        plan = copying(x, out)
        if plan.table:
            learn((x,), out._spec, plan, table=plan.table)
    return out


_duplicates: dict = {}  # dtype -> what knows and learns copies in it


def write_into(source: Tensor, target: Tensor, name: str = "copy_") -> None:
    """Write source, broadcast and converted, into the memory of target; not recorded."""
    shape = target._spec.shape
    if source._spec.device is not target._spec.device:
        source = moved(alias(source), target._spec.device)
    if source._spec.shape != shape:
        if layout.broadcast_shapes(name, source._spec.shape, shape) != shape:
            raise RuntimeError(f"{name}: the source of shape {list(source._spec.shape)} cannot be broadcast to the target's shape {list(shape)}")
        source = alias(source, like(source, shape, layout.expand_strides(source._spec.shape, source._spec.strides, shape)))
    key, operands, _, _ = elementwise.scan(_convert, (source, target._spec.dtype), target)
    plan = _convert.plans.get(key)
    if plan is None:
        inplace.check_target(_convert, (source, target._spec.dtype), target, name)
        plan = _convert.plans[key] = elementwise.make_plan(_convert, (source, target._spec.dtype), target._spec)
    inplace.write(_convert, plan, (source, target._spec.dtype), operands, target, name)


def copying(source: Tensor, target: Tensor):
    """The plan that writes what is laid out as `source` into memory laid out as `target`."""
    args = source, target._spec.dtype
    key = elementwise.scan(_convert, args, target)[0]
    plan = _convert.plans.get(key)
    if plan is None:
        plan = _convert.plans[key] = elementwise.make_plan(_convert, args, target._spec)
    return plan


def moved(x: Tensor, where: device_type) -> Tensor:
    """x's elements on another device, in the same layout where that is dense; not recorded."""
    s = x._spec
    if not layout.is_dense(s.shape, s.strides):
        x = copied(x, like(x, s.shape, layout.output_strides(s.shape, [(s.shape, s.strides)])))
    out = empty(spec_of(s.dtype, where, s.shape, x._spec.strides), "to")
    storage.transfer(out._address, where, x._address, s.device, s.nbytes)
    return out


@composite
def clone(input, *, memory_format=None):
    "A copy in new memory, of the same layout where that is dense."
    x, s = tensor_of("clone", input), input._spec
    if memory_format is not None:
        strides = layout.format_strides("clone", memory_format, s.shape)
        if strides is not None:
            return recorded(copied(x, like(x, s.shape, strides)), "clone", (x,), lambda n, g: (g,))
    return recorded(duplicated(x, s.dtype), "clone", (x,), lambda n, g: (g,))


@composite
def contiguous(input, *, memory_format=None):
    "The tensor itself if its elements lie in row-major order, else a copy in which they do."
    x = tensor_of("contiguous", input)
    if memory_format is not None and memory_format.name != "contiguous_format":
        if memory_format.name == "preserve_format" and not x._spec.contiguous:
            raise RuntimeError("contiguous: preserve memory format is unsupported by the contiguous operator")
        layout.format_strides("contiguous", memory_format, x._spec.shape)  # an error where the rank is another
        return x if x.is_contiguous(memory_format=memory_format) else clone(x, memory_format=memory_format)
    if x._spec.contiguous:
        return x
    return recorded(copied(x, spec_of(x._spec.dtype, x._spec.device, x._spec.shape)), "clone", (x,), lambda n, g: (g,))


@composite
def to(input, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None):
    "The tensor with another dtype or on another device ('cpu', 'cuda', 'cuda:1'): itself if it already is so."
    if isinstance(input, Symbol):
        return _converted(input, args[0] if args else dtype)
    x = tensor_of("to", input)
    if len(args) == 1 and type(args[0]) is dtypes.dtype and not copy and dtype is device is memory_format is None:
        return _cast(x, args[0])
    flags = [a for a in args if isinstance(a, bool)]  # non_blocking, then copy
    copy = copy or len(flags) > 1 and flags[1]
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a._spec.dtype, a._spec.device
        elif isinstance(a, (str, device_type)) or isinstance(a, int) and not isinstance(a, bool):
            device = a
        elif isinstance(a, bool):
            continue
        elif a is not None:
            dtype = a
    source, s = x._spec.dtype, x._spec
    origin = s.device
    where = origin if device is None else placed(device)
    kind = source if dtype is None else dtypes.check("to", dtype)
    wanted = None if memory_format is None else layout.format_strides("to", memory_format, s.shape)
    if kind is source and where is origin and not copy and (wanted is None or x.is_contiguous(memory_format=memory_format)):
        return x
    if wanted is not None:  # laid out first, then converted and moved as it lies
        laid = clone(x, memory_format=memory_format)
        return laid if kind is source and where is origin else to(laid, where, kind, non_blocking=non_blocking)
    out = x
    if kind.itemsize >= source.itemsize and where is not origin:  # the fewer bytes travel
        out = moved(alias(x), where)
    if kind is not source or where is origin:
        out = duplicated(out, kind)
    if out._spec.device is not where:
        out = moved(out, where)
    if kind.differentiable:
        recorded(out, "to", (x,), lambda n, g: (g.to(origin, source),))
    return out


def _cast(x: Tensor, kind) -> Tensor:
    """The tensor with another dtype: itself if it already has it."""
    source = x._spec.dtype
    if kind is source:
        return x
    out = duplicated(x, kind)
    return recorded(out, "to", (x,), lambda n, g: (g.to(source),)) if kind.differentiable else out


def copy_(self, source, non_blocking=False):
    """Write the elements of `source` (broadcast, converted) into this tensor."""
    from numtape.ops.creation import as_tensor
    from numtape.ops.view import sum_to

    check_inplace(self, "copy_")
    if not isinstance(source, Tensor):
        source = as_tensor(source)
    write_into(source, self)
    if mode.state.enabled and self._spec.dtype.differentiable and (tape.needs_grad(source) or tape.needs_grad(self)):
        matched = source
        if tape.needs_grad(source):
            shape, kind, where = source._spec.shape, source._spec.dtype, source._spec.device
            pull = lambda n, g: (None, sum_to(g, shape).to(where, kind))
        else:
            pull = lambda n, g: (None, None)
        rebase(self, tape.Node("copy_", (None, tape.edge_of(matched)), pull, self._spec))
    return self
