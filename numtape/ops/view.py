"""Views: other shapes and strides over the same memory. Their derivatives are views too, or writes into zeros."""

from __future__ import annotations

from math import prod

from numtape import layout
from numtape.autograd import mode
from numtape.dispatch.record import known_view, view_of
from numtape.graph import Symbol
from numtape.ops.copy import contiguous, tensor_of
from numtape.ops.copy import like as _like
from numtape.ops.define import composite
from numtape.tensor import Tensor, alias


def sizes_of(name: str, sizes) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f([2, 3])` alike."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    try:
        return tuple(n.__index__() for n in sizes)
    except AttributeError:
        raise TypeError(f"{name}: expected ints as sizes, got {tuple(sizes)!r}") from None


# ------------------------------------------------------------------------------------------------ broadcasting
def expanded(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x broadcast to `shape`, which must be possible; a view with strides of 0."""
    if x._spec.shape == shape:
        return x
    source = x._spec.shape
    key = (x._spec, "expand", shape)
    spec = _specs.get(key) or _remember(key, _like(x, shape, layout.expand_strides(source, x._spec.strides, shape)))
    return view_of(x, spec, 0, "expand", lambda n, g: (sum_to(g, source),))


@known_view
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
    return expand(input, *tensor_of("expand_as", other, "other").shape)


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

    have = g.shape  # g may be a batch of `vmap`, which has no spec
    if have == shape:
        return g
    lead = len(have) - len(shape)
    dims = [d for d in range(len(have)) if d < lead or shape[d - lead] == 1 and have[d] != 1]
    if dims:
        g = sum(g, dims, True)
    return g.reshape(shape) if lead else g


@composite
def broadcast_tensors(*tensors):
    "Views of all tensors broadcast to their common shape."
    shape = layout.broadcast_shapes("broadcast_tensors", *(tensor_of("broadcast_tensors", t, f"tensors[{k}]")._spec.shape for k, t in enumerate(tensors)))
    return [expanded(t, shape) for t in tensors]


# ------------------------------------------------------------------------------------------------ reshaping
@known_view
@composite
def view(input, *shape):
    "The same elements in another shape, without a copy; an error where only a copy can do it."
    from numtape.dtypes import dtype

    if len(shape) == 1 and isinstance(shape[0], dtype):
        from numtape.ops.reinterpret import reinterpreted

        return reinterpreted(tensor_of("view", input), shape[0])
    x = tensor_of("view", input)
    try:
        spec = _specs[x._spec, "view", shape]
    except (KeyError, TypeError):
        pass
    else:
        source = x._spec.shape
        return view_of(x, spec, 0, "view", lambda n, g: (reshape(g, *source),))
    target = layout.infer_shape("view", sizes_of("view", shape), x._spec.numel)
    strides = layout.view_strides(x._spec.shape, x._spec.strides, target)
    if strides is None:
        raise RuntimeError(
            f"view: size {list(target)} is not compatible with the input tensor's size {list(x.shape)} and stride {list(x.stride())} "
            "(at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    if all(type(n) is int for n in shape):
        _remember((x._spec, "view", shape), _like(x, target, strides))
    return _viewed(x, target, strides)


def _viewed(x, target, strides):
    source = x._spec.shape
    return view_of(x, _like(x, target, strides), 0, "view", lambda n, g: (reshape(g, *source),))


@known_view
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
    return view(input, *tensor_of("view_as", other, "other").shape)


@composite
def reshape_as(input, other):
    "The same elements in the shape of `other`."
    return reshape(input, *tensor_of("reshape_as", other, "other").shape)


@known_view
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
    "All elements in one dim, contiguous."
    return view(contiguous(input), -1)


@known_view
@composite
def unflatten(input, dim, sizes):
    "One dim as several; one size may be -1."
    x = tensor_of("unflatten", input)
    d = layout.dim_of("unflatten", dim, x.ndim)
    sizes = layout.infer_shape("unflatten", sizes, x._spec.shape[d])
    return view(x, *x._spec.shape[:d], *sizes, *x._spec.shape[d + 1 :])


@known_view
@composite
def squeeze(input, dim=None):
    "Without dims of size 1: all of them, or those given."
    x = tensor_of("squeeze", input)
    s = x._spec
    if dim is None and (found := _specs.get((s, "squeeze"))):
        source = s.shape
        return view_of(x, found, 0, "view", lambda n, g: (reshape(g, *source),))
    dims = set(range(s.ndim)) if dim is None else set(layout.dims_of("squeeze", dim, s.ndim) if dim != () else ())
    keep = [d for d in range(s.ndim) if d not in dims or s.shape[d] != 1]
    if dim is None:
        _remember((s, "squeeze"), _like(x, [s.shape[d] for d in keep], [s.strides[d] for d in keep]))
    return _viewed(x, [s.shape[d] for d in keep], [s.strides[d] for d in keep])


@known_view
@composite
def unsqueeze(input, dim):
    "With a dim of size 1 put in at `dim`."
    x = tensor_of("unsqueeze", input)
    s = x._spec
    if type(dim) is int and (found := _specs.get((s, "unsqueeze", dim))):
        source = s.shape
        return view_of(x, found, 0, "view", lambda n, g: (reshape(g, *source),))
    d = layout.dim_of("unsqueeze", dim, s.ndim + 1)
    stride = s.shape[d] * s.strides[d] if d < s.ndim else 1
    shape, strides = (*s.shape[:d], 1, *s.shape[d:]), (*s.strides[:d], stride, *s.strides[d:])
    _remember((s, "unsqueeze", dim), _like(x, shape, strides))
    return _viewed(x, shape, strides)


# ------------------------------------------------------------------------------------------------ permuting
@known_view
@composite
def permute(input, *dims):
    "The dims in another order."
    x = tensor_of("permute", input)
    try:
        spec, inverse = _specs[x._spec, "permute", dims]
    except (KeyError, TypeError):
        pass
    else:
        return view_of(x, spec, 0, "permute", lambda n, g: (permute(g, inverse),))
    order = sizes_of("permute", dims)
    if len(order) != x._spec.ndim:
        raise RuntimeError(f"permute: number of dimensions in the tensor input does not match the length of the desired ordering: {x.ndim} against {len(order)}")
    order = tuple(layout.dim_of("permute", d, x._spec.ndim) for d in order)
    if len(set(order)) != len(order):
        raise RuntimeError(f"permute: duplicate dims are not allowed, got {dims}")
    inverse = tuple(order.index(d) for d in range(len(order)))
    s = x._spec
    spec = _like(x, [s.shape[d] for d in order], [s.strides[d] for d in order])
    if all(type(n) is int for n in dims):
        _remember((s, "permute", dims), (spec, inverse))
    return view_of(x, spec, 0, "permute", lambda n, g: (permute(g, inverse),))


@known_view
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


@known_view
@composite
def t(input):
    "The transpose of a matrix; vectors and numbers as they are."
    if input._spec.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    if input._spec.ndim < 2:
        return input
    s = input._spec
    key = (s, "transpose", 0, 1)
    spec = _specs.get(key) or _remember(key, _like(input, s.shape[::-1], s.strides[::-1]))
    return view_of(input, spec, 0, "t", lambda n, g: (t(g),))


@known_view
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
    if not x.ndim:
        return permute(x, ())
    order: list = [None] * x.ndim
    for s, d in zip(source, destination):
        order[d] = s
    rest = iter([d for d in range(x.ndim) if d not in source])
    return permute(x, [next(rest) if d is None else d for d in order])
