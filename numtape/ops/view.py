"""Views: other shapes and strides over the same memory. Their derivatives are views too, or writes into zeros."""

from __future__ import annotations

from math import prod

from numtape import layout
from numtape.autograd import mode
from numtape.dispatch import elementwise
from numtape.dispatch.record import recorded, view_of
from numtape.graph import Symbol
from numtape.op import Op
from numtape.ops.define import composite, derived
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, alias, empty


def tensor_of(name: str, x) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")
    return x


def sizes_of(name: str, sizes) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f([2, 3])` alike."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    try:
        return tuple(n.__index__() for n in sizes)
    except AttributeError:
        raise TypeError(f"{name}: expected ints as sizes, got {tuple(sizes)!r}") from None


def _like(x: Tensor, shape, strides) -> Spec:
    s = x._spec
    return spec_of(s.dtype, s.device, tuple(shape), tuple(strides))


# ------------------------------------------------------------------------------------------------ copies between layouts
_clone = Op("clone", "elementwise", lambda x: x, None, (lambda g: g,), inplace=False)
_convert = derived(Op("convert", "elementwise", lambda x, dtype: _converted(x, dtype), None, static=("dtype",), converts=True))


def _converted(x, dtype):
    from numtape import graph

    return graph.convert(x, dtype)


def copied(x: Tensor, spec: Spec) -> Tensor:
    """x's elements in new memory laid out (and typed) as `spec`; not recorded."""
    out = empty(spec, "clone")
    _write(x, out)
    return out


def _write(source: Tensor, target: Tensor, name: str = "copy_") -> None:
    key, operands, _, _ = elementwise.scan(_convert, (source, target._spec.dtype), target)
    plan = _convert.plans.get(key)
    if plan is None:
        elementwise._check_target(_convert, (source, target._spec.dtype), target, name)
        plan = _convert.plans[key] = elementwise.make_plan(_convert, (source, target._spec.dtype), target._spec)
    elementwise.write(_convert, plan, (source, target._spec.dtype), operands, target, name)


@composite
def clone(input, *, memory_format=None):
    "A copy in new memory, of the same layout where that is dense."
    x, s = tensor_of("clone", input), input._spec
    dense = layout.is_dense(s.shape, s.strides)
    return recorded(copied(x, s if dense else _like(x, s.shape, layout.output_strides(s.shape, [(s.shape, s.strides)]))), "clone", (x,), lambda n, g: (g,))


@composite
def contiguous(input, *, memory_format=None):
    "The tensor itself if its elements lie in row-major order, else a copy in which they do."
    x = tensor_of("contiguous", input)
    if x._spec.contiguous:
        return x
    return recorded(copied(x, spec_of(x._spec.dtype, x._spec.device, x._spec.shape)), "clone", (x,), lambda n, g: (g,))


@composite
def to(input, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None):
    "The tensor with another dtype or on another device: itself if it already is so."
    from numtape import dtypes
    from numtape.device import device as device_type

    if isinstance(input, Symbol):
        return _converted(input, args[0] if args else dtype)
    x = tensor_of("to", input)
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a._spec.dtype, a._spec.device
        elif isinstance(a, (str, device_type)):
            device = a
        elif isinstance(a, bool):
            pass  # non_blocking, copy by position
        elif a is not None:
            dtype = a
    if device is not None:
        device_type(device)
    kind = x._spec.dtype if dtype is None else dtypes.check("to", dtype)
    if kind is x._spec.dtype and not copy:
        return x
    source, s = x._spec.dtype, x._spec
    strides = s.strides if layout.is_dense(s.shape, s.strides) else layout.output_strides(s.shape, [(s.shape, s.strides)])
    out = copied(x, spec_of(kind, s.device, s.shape, strides))
    if kind.is_floating_point:
        recorded(out, "to", (x,), lambda n, g: (g.to(source),))
    return out


def copy_(self, source, non_blocking=False):
    """Write the elements of `source` (broadcast, converted) into this tensor."""
    from numtape import creation_of
    from numtape.autograd import tape
    from numtape.tensor import check_inplace, rebase

    check_inplace(self, "copy_")
    if not isinstance(source, Tensor):
        source = creation_of(source)
    _write(source, self)
    if mode.state.enabled and self._spec.dtype.is_floating_point and (source._requires_grad or self._requires_grad):
        matched = source
        if source._requires_grad:
            shape, kind = source._spec.shape, source._spec.dtype
            pull = lambda n, g: (None, sum_to(g, shape).to(kind))
        else:
            pull = lambda n, g: (None, None)
        rebase(self, tape.Node("copy_", (None, tape.edge_of(matched)), pull, self._spec))
    return self


# ------------------------------------------------------------------------------------------------ broadcasting
def expanded(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x broadcast to `shape`, which must be possible; a view with strides of 0."""
    if x._spec.shape == shape:
        return x
    source = x._spec.shape
    key = (x._spec, "expand", shape)
    spec = _specs.get(key) or _remember(key, _like(x, shape, layout.expand_strides(source, x._spec.strides, shape)))
    return view_of(x, spec, 0, "expand", lambda n, g: (sum_to(g, source),))


@composite
def expand(input, *sizes):
    "A view in which dims of size 1 are repeated to the given sizes; -1 keeps a size."
    if isinstance(input, Symbol):
        return input
    shape = sizes_of("expand", sizes)
    x = tensor_of("expand", input)
    lead = len(shape) - x._spec.ndim
    if lead < 0:
        raise RuntimeError(f"expand: the number of sizes provided ({len(shape)}) must be greater or equal to the number of dimensions in the tensor ({x.ndim})")
    full = []
    for i, n in enumerate(shape):
        have = x._spec.shape[i - lead] if i >= lead else 1
        if n == -1 and i < lead:
            raise RuntimeError(f"expand: -1 is not allowed for the new dim {i} in {list(shape)}")
        n = have if n == -1 else n
        if have not in (1, n) or n < 0:
            raise RuntimeError(
                f"expand: The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton dimension {i}. "
                f"Target sizes: {list(shape)}. Tensor sizes: {list(x.shape)}"
            )
        full.append(n)
    return expanded(x, tuple(full))


@composite
def expand_as(input, other):
    "A view broadcast to the shape of `other`."
    return expand(input, *other.shape)


@composite
def broadcast_to(input, shape):
    "A view broadcast to `shape`."
    return expand(input, *shape)


def repeated(g: Tensor, dims, shape) -> Tensor:
    """g, which lacks `dims` (or has them with size 1), repeated along them to `shape`: the derivative of a sum."""
    s = g._spec
    key = (s, "repeated", dims, shape)
    spec = _specs.get(key)
    if spec is None:
        strides = iter(s.strides)
        if s.ndim == len(shape):
            full = [0 if d in dims else n for d, n in enumerate(s.strides)]
        else:
            full = [0 if d in dims else next(strides) for d in range(len(shape))]
        spec = _remember(key, _like(g, shape, full))
    if not mode.state.enabled:
        return alias(g, spec)
    kept = s.ndim == len(shape)
    return view_of(g, spec, 0, "expand", lambda n, gg: (gg.sum(dims, kept),))


_specs: dict = {}  # (spec, name of the view, its arguments) -> the view's spec


def _remember(key, spec):
    if len(_specs) > 16384:
        _specs.clear()
    _specs[key] = spec
    return spec


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum over what broadcasting `shape` repeated: the derivative of `expand`."""
    from numtape.ops.reduce import sum

    if g._spec.shape == shape:
        return g
    lead = g._spec.ndim - len(shape)
    dims = [d for d in range(g._spec.ndim) if d < lead or shape[d - lead] == 1 and g._spec.shape[d] != 1]
    if dims:
        g = sum(g, dims, True)
    return g.reshape(shape) if lead else g


@composite
def broadcast_tensors(*tensors):
    "Views of all tensors broadcast to their common shape."
    shape = layout.broadcast_shapes("broadcast_tensors", *(t._spec.shape for t in tensors))
    return [expanded(t, shape) for t in tensors]


# ------------------------------------------------------------------------------------------------ reshaping
@composite
def view(input, *shape):
    "The same elements in another shape, without a copy; an error where only a copy can do it."
    from numtape.dtypes import dtype

    if len(shape) == 1 and isinstance(shape[0], dtype):
        raise RuntimeError(f"view: reinterpreting the memory as {shape[0]} is not supported yet; use .to({shape[0]}) to convert the values")
    x = tensor_of("view", input)
    target = layout.infer_shape("view", sizes_of("view", shape), x._spec.numel)
    strides = layout.view_strides(x._spec.shape, x._spec.strides, target)
    if strides is None:
        raise RuntimeError(
            f"view: size {list(target)} is not compatible with the input tensor's size {list(x.shape)} and stride {list(x.stride())} "
            "(at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return _viewed(x, target, strides)


def _viewed(x, target, strides):
    source = x._spec.shape
    return view_of(x, _like(x, target, strides), 0, "view", lambda n, g: (reshape(g, *source),))


@composite
def reshape(input, *shape):
    "The same elements in another shape: a view if possible, else a copy. One size may be -1."
    x = tensor_of("reshape", input)
    try:
        spec = _specs[x._spec, "reshape", shape]
    except (KeyError, TypeError):
        pass
    else:
        source = x._spec.shape
        return view_of(x, spec, 0, "view", lambda n, g: (g.reshape(source),))
    target = layout.infer_shape("reshape", sizes_of("reshape", shape), x._spec.numel)
    strides = layout.view_strides(x._spec.shape, x._spec.strides, target)
    if strides is None:
        x = contiguous(x)
        strides = layout.contiguous_strides(target)
    elif all(type(n) is int for n in shape):
        _remember((x._spec, "reshape", shape), _like(x, target, strides))
    return _viewed(x, target, strides)


@composite
def view_as(input, other):
    "The same elements in the shape of `other`, without a copy."
    return view(input, *other.shape)


@composite
def reshape_as(input, other):
    "The same elements in the shape of `other`."
    return reshape(input, *other.shape)


@composite
def flatten(input, start_dim=0, end_dim=-1):
    "The dims from start_dim to end_dim as one."
    x = tensor_of("flatten", input)
    if not x._spec.ndim:
        return reshape(x, 1)
    first, last = layout.dim_of("flatten", start_dim, x.ndim), layout.dim_of("flatten", end_dim, x.ndim)
    if first > last:
        raise RuntimeError(f"flatten() has invalid args: start_dim ({start_dim}) cannot come after end_dim ({end_dim})")
    shape = x._spec.shape
    return x if first == last else reshape(x, *shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])


@composite
def ravel(input):
    "All elements in one dim."
    return reshape(input, -1)


@composite
def unflatten(input, dim, sizes):
    "One dim as several; one size may be -1."
    x = tensor_of("unflatten", input)
    d = layout.dim_of("unflatten", dim, x.ndim)
    sizes = layout.infer_shape("unflatten", sizes, x._spec.shape[d])
    return view(x, *x._spec.shape[:d], *sizes, *x._spec.shape[d + 1 :])


@composite
def squeeze(input, dim=None):
    "Without dims of size 1: all of them, or those given."
    x = tensor_of("squeeze", input)
    s = x._spec
    dims = set(range(s.ndim)) if dim is None else set(layout.dims_of("squeeze", dim, s.ndim) if dim != () else ())
    keep = [d for d in range(s.ndim) if d not in dims or s.shape[d] != 1]
    return _viewed(x, [s.shape[d] for d in keep], [s.strides[d] for d in keep])


@composite
def unsqueeze(input, dim):
    "With a dim of size 1 put in at `dim`."
    x = tensor_of("unsqueeze", input)
    s = x._spec
    d = layout.dim_of("unsqueeze", dim, s.ndim + 1)
    stride = s.shape[d] * s.strides[d] if d < s.ndim else 1
    return _viewed(x, (*s.shape[:d], 1, *s.shape[d:]), (*s.strides[:d], stride, *s.strides[d:]))


# ------------------------------------------------------------------------------------------------ permuting
@composite
def permute(input, *dims):
    "The dims in another order."
    x = tensor_of("permute", input)
    order = sizes_of("permute", dims)
    if len(order) != x._spec.ndim:
        raise RuntimeError(f"permute: number of dimensions in the tensor input does not match the length of the desired ordering: {x.ndim} against {len(order)}")
    order = tuple(layout.dim_of("permute", d, x._spec.ndim) for d in order)
    if len(set(order)) != len(order):
        raise RuntimeError(f"permute: duplicate dims are not allowed, got {dims}")
    inverse = tuple(order.index(d) for d in range(len(order)))
    s = x._spec
    spec = _like(x, [s.shape[d] for d in order], [s.strides[d] for d in order])
    return view_of(x, spec, 0, "permute", lambda n, g: (permute(g, inverse),))


@composite(aliases=("swapaxes", "swapdims"))
def transpose(input, dim0, dim1):
    "With two dims exchanged."
    x = tensor_of("transpose", input)
    if spec := _specs.get((x._spec, "transpose", dim0, dim1)):
        return view_of(x, spec, 0, "transpose", lambda n, g: (transpose(g, dim0, dim1),))
    a, b = layout.dim_of("transpose", dim0, x._spec.ndim), layout.dim_of("transpose", dim1, x._spec.ndim)
    if not x._spec.ndim:
        return permute(x, ())
    shape, strides = list(x._spec.shape), list(x._spec.strides)
    shape[a], shape[b], strides[a], strides[b] = shape[b], shape[a], strides[b], strides[a]
    spec = _remember((x._spec, "transpose", dim0, dim1), _like(x, shape, strides))
    return view_of(x, spec, 0, "transpose", lambda n, g: (transpose(g, a, b),))


@composite
def t(input):
    "The transpose of a matrix; vectors and numbers as they are."
    if input._spec.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input._spec.ndim == 2 else input


@composite(aliases=("moveaxis",))
def movedim(input, source, destination):
    "With dims moved to other positions, the rest in order."
    x = tensor_of("movedim", input)
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(f"movedim: source and destination must have the same number of dims, got {source} and {destination}")
    source = [layout.dim_of("movedim", d, x.ndim) for d in source]
    destination = [layout.dim_of("movedim", d, x.ndim) for d in destination]
    if len(set(source)) != len(source) or len(set(destination)) != len(destination):
        raise RuntimeError(f"movedim: repeated dim in source {source} or destination {destination}")
    order: list = [None] * x.ndim
    for s, d in zip(source, destination):
        order[d] = s
    rest = iter([d for d in range(x.ndim) if d not in source])
    return permute(x, [next(rest) if d is None else d for d in order])


# ------------------------------------------------------------------------------------------------ parts
def part(x: Tensor, shape, strides, offset: int, name: str) -> Tensor:
    """A view of some of x's elements; the derivative writes into zeros there."""
    whole, spec = x._spec, _like(x, shape, strides)
    return view_of(x, spec, offset, name, lambda n, g: (as_strided_pull(g, spec, offset, whole),))


def as_strided_pull(g: Tensor, spec: Spec, offset: int, whole: Spec) -> Tensor:
    """Zeros of `whole` with g added where a view of it, `spec` at `offset` elements, lies."""
    from numtape.ops.reduce import sum
    from numtape.tensor import view as view_tensor

    repeated = [d for d, (n, s) in enumerate(zip(spec.shape, spec.strides)) if s == 0 and n > 1]
    if repeated:
        g = sum(g, repeated, True)
        spec = spec_of(spec.dtype, spec.device, tuple(1 if d in repeated else n for d, n in enumerate(spec.shape)), spec.strides)
    if layout.overlaps_itself(spec.shape, spec.strides):
        raise RuntimeError(f"the derivative of a view whose elements overlap (strides {spec.strides} of shape {tuple(spec.shape)}) is not supported yet")
    dense = layout.is_dense(whole.shape, whole.strides)
    if not dense:
        raise RuntimeError("the derivative of an in-place change of a view of memory with gaps is not supported yet; clone() the tensor first")
    zeros = empty(whole, "zeros")
    zeros.fill_(0)
    view_tensor(zeros, spec, offset).copy_(g)
    return zeros


def as_strided_scatter_pull(g: Tensor, spec: Spec, offset: int, whole: Spec):
    """The gradients of (whole, part) when `part` was written over a view of `whole`."""
    inner = as_strided_read(g, spec, offset, whole)
    rest = clone(g)
    if rest._spec is not whole:
        rest = _relaid(g, whole)
    from numtape.tensor import view as view_tensor

    view_tensor(rest, spec, offset).fill_(0)
    return rest, inner


def _relaid(g: Tensor, whole: Spec) -> Tensor:
    target = empty(whole, "clone")
    return target.copy_(g)


def as_strided_read(g: Tensor, spec: Spec, offset: int, whole: Spec) -> Tensor:
    if g._spec is not whole:
        g = _relaid(g, whole)
    return part(g, spec.shape, spec.strides, offset, "as_strided")


@composite
def narrow(input, dim, start, length):
    "The elements start, ..., start + length - 1 of a dim."
    x = tensor_of("narrow", input)
    s = x._spec
    if not s.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = layout.dim_of("narrow", dim, s.ndim)
    start, n = int(start), s.shape[d]
    if length < 0:
        raise RuntimeError(f"narrow(): length must be non-negative, got {length}")
    if not -n <= start <= n:
        raise IndexError(f"narrow(): start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"narrow(): start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return part(x, (*s.shape[:d], length, *s.shape[d + 1 :]), s.strides, start * s.strides[d], "narrow")


@composite
def select(input, dim, index):
    "One index of a dim, which disappears."
    x = tensor_of("select", input)
    s = x._spec
    if found := _specs.get((s, "select", dim, index)):
        spec, offset = found
        return view_of(x, spec, offset, "select", lambda n, g: (as_strided_pull(g, spec, offset, s),))
    if not s.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = layout.dim_of("select", dim, s.ndim)
    index, n = index.__index__(), s.shape[d]
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(s.shape)} at dimension {d}")
    index = index + n if index < 0 else index
    shape, strides = s.shape[:d] + s.shape[d + 1 :], s.strides[:d] + s.strides[d + 1 :]
    _remember((s, "select", dim, index), (_like(x, shape, strides), index * s.strides[d]))
    return part(x, shape, strides, index * s.strides[d], "select")


@composite
def unbind(input, dim=0):
    "The slices along a dim, as a tuple of views."
    x = tensor_of("unbind", input)
    d = layout.dim_of("unbind", dim, x.ndim)
    return tuple(select(x, d, i) for i in range(x._spec.shape[d]))


@composite
def split(tensor, split_size_or_sections, dim=0):
    "Views of consecutive pieces: of one size (the last may be smaller), or of the sizes listed."
    x = tensor_of("split", tensor)
    d = layout.dim_of("split", dim, x.ndim)
    n = x._spec.shape[d]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or size == 0 and n:
            raise RuntimeError(f"split expects split_size be positive, but got split_size={size}")
        sections = [size] * (n // size) + ([n % size] if n % size else []) if size else [0]
        sections = sections or [0]
    else:
        sections = list(split_size_or_sections)
        if builtins_sum(sections) != n or min(sections, default=0) < 0:
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {d}), but got {sections}")
    starts = [builtins_sum(sections[:i]) for i in range(len(sections))]
    return tuple(narrow(x, d, a, k) for a, k in zip(starts, sections))


builtins_sum = sum


@composite
def chunk(input, chunks, dim=0):
    "At most `chunks` views of equal size, the last one smaller."
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input._spec.shape[layout.dim_of("chunk", dim, input.ndim)]
    return split(input, max(-(-n // chunks), 1), dim) if n else split(input, [0] * chunks, dim)
