"""Elements at indexed places of a tensor: read, written, or combined with others; with their derivatives.

Places are (dims, indices): for each of `dims` of the tensor an integer tensor, which are broadcast with each other. In the result the
broadcast dims stand where the indexed dims stood if those are neighbours, and first otherwise.
"""

from __future__ import annotations

import functools
from math import prod

from numtape import dtypes, layout
from numtape.autograd import mode, tape
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous, copied
from numtape.ops.view import expanded
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, check_inplace, empty, rebase

MEMORY = {1: "u8", 2: "i16", 4: "i32", 8: "i64", 16: "c128"}


# ------------------------------------------------------------------------------------------------ checks
def error_cell(name: str, device, n: int, dim: int):
    """Two words that a kernel sets when an index is out of range for a dim of size n; `check()` raises the error."""
    make = _cells.get(device.type)
    if make is None:
        make = _cells[device.type] = pattern(device, "driver").index_check
    with placing(device):
        return make(name, n, dim)


_cells: dict = {}  # what makes error cells, by kind of device


def check(cells, kind=IndexError) -> None:
    """Raise what kernels found wrong with indices: an IndexError, or another kind where PyTorch has it so."""
    for cell in cells:
        try:
            cell.check()
        except IndexError as problem:
            if kind is IndexError:
                raise
            raise kind(str(problem)) from None


def type_name(kind) -> str:
    """PyTorch's name of a dtype in messages: Float, Long."""
    names = {"float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}
    return (names | {"complex64": "ComplexFloat", "complex128": "ComplexDouble"}).get(kind.name, kind.name)


def check_target(x: Tensor, name: str) -> None:
    """Refuse to write into memory where several elements are one, or to a leaf that requires grad."""
    check_inplace(x, name)
    if layout.overlaps_itself(x._spec.shape, x._spec.strides):
        raise RuntimeError(
            f"{name}: unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )


def whole_numbers(index: Tensor) -> Tensor:
    """An index as int64."""
    return index if index._spec.dtype is dtypes.int64 else index.detach().to(dtypes.int64)


# ------------------------------------------------------------------------------------------------ changing a tensor
def changed(name: str, x: Tensor, inputs: tuple, write, pull, *, save=(), inplace=False, keep_layout=False) -> Tensor:
    """x changed by `write(memory)`, in place or in a copy, and recorded: `pull` gives the gradients of (x, *inputs).

    `write` gets a tensor over the memory to change, after all checks of arguments; it must not fail half-way.
    """
    if inplace:
        check_target(x, name)
        tracked = mode.state.enabled and x._spec.dtype.differentiable
        edges = [tape.edge_of(t) if tracked and isinstance(t, Tensor) and tape.needs_grad(t) else None for t in (x, *inputs)]
        save = tuple(alias(s).clone() if s is not None and s._storage is x._storage else s for s in save)
        write(alias(x))
        x._storage.version += 1
        x._storage.writer = name
        if tracked and any(e is not None for e in edges):
            node = tape.Node(name, tuple(edges), pull, x._spec)
            node.save(*save)
            rebase(x, node)
        return x
    s = x._spec
    dense = keep_layout and layout.is_dense(s.shape, s.strides)
    out = copied(alias(x), s if dense else spec_of(s.dtype, s.device, s.shape))
    write(alias(out))
    out._storage.version = 0
    return recorded(out, name, (x, *inputs), pull, save=save) if s.dtype.differentiable else out


def zeros(shape, like: Tensor) -> Tensor:
    """Zeros of a shape, of the dtype and on the device of `like`."""
    return empty(spec_of(like._spec.dtype, like._spec.device, tuple(shape)), "zeros").fill_(0)


# ------------------------------------------------------------------------------------------------ finding places
def find(name: str, x: Tensor, dims, indices, *, wrap=True, kind=IndexError) -> tuple[Tensor, tuple[int, ...]]:
    """The offset in x of each place, as int64 of one dim, and the indices' common shape. Every index is checked here."""
    s = x._spec
    key = ("find", s, dims, wrap, *[i._spec for i in indices])
    known = _tables.get(key)
    if known is None:
        known = _remember(key, _finding(name, s, dims, indices, wrap))
    table, spec, shape = known
    found = empty(spec, name)
    if table is not None:
        cells = [error_cell(name, s.device, s.shape[d], d) for d in dims]
        launch(table.address, found._address, *[i._address for i in indices], *[c.address for c in cells])
        check(cells, kind)
    return found, shape


def _finding(name: str, s, dims, indices, wrap):
    """The launch that finds places in a tensor of spec s (None: there are none), the spec of its result, and the indices' common shape."""
    try:
        shape = layout.broadcast_shapes(name, *(i._spec.shape for i in indices))
    except RuntimeError:
        listed = ", ".join(str(list(i.shape)) for i in indices)
        raise IndexError(f"{name}: shape mismatch: indexing tensors could not be broadcast together with shapes {listed}") from None
    if any(i._spec.device is not s.device for i in indices):
        raise RuntimeError(f"{name}: expected all tensors on one device, got the tensor on {s.device} and indices on {', '.join(str(i.device) for i in indices)}")
    spec = spec_of(dtypes.int64, s.device, (prod(shape),))
    if not spec.numel:
        return None, spec, shape
    steps = [layout.expand_strides(i._spec.shape, i._spec.strides, shape) for i in indices]
    sizes, (_, *steps) = layout.coalesce(shape, layout.contiguous_strides(shape), *steps)
    ranges = [(s.shape[d], s.strides[d], -s.shape[d] if wrap else 0) for d in dims]
    with placing(s.device):
        return pattern(s.device, "places").positions(sizes, steps, ranges), spec, shape


_tables: dict = {}


def _remember(key, value):
    """Keep a launch, or launches, laid out for specs."""
    if len(_tables) > 4096:
        _tables.clear()
    _tables[key] = value
    return value


def _arrangement(ndim: int, dims) -> tuple[int, list[int]]:
    """Where the indices' dims stand in the result, and the dims of a tensor that are not indexed."""
    rest = [d for d in range(ndim) if d not in dims]
    neighbours = dims == tuple(range(dims[0], dims[0] + len(dims)))
    return (dims[0] if neighbours else 0), rest


@functools.lru_cache(4096)
def result_shape(own: tuple[int, ...], dims, shape) -> tuple[int, ...]:
    """The shape of what is read from a tensor of shape `own`; `shape` is the indices' common one."""
    first, rest = _arrangement(len(own), dims)
    kept = [own[d] for d in rest]
    return (*kept[:first], *shape, *kept[first:])


# ------------------------------------------------------------------------------------------------ reading
def read(name: str, x: Tensor, dims, indices, *, wrap=True, kind=IndexError) -> Tensor:
    """What stands at the places of x, recorded."""
    s, indices = x._spec, tuple(whole_numbers(i) for i in indices)
    places, shape = find(name, x, dims, indices, wrap=wrap, kind=kind)
    key = ("read", s, dims, shape)
    table, spec = _tables.get(key) or _remember(key, _reading(x, dims, shape))
    out = empty(spec, name)
    if table is not None:
        launch(table.address, out._address, x._address, places._address)
    return recorded(out, name, (x,), lambda node, g: (add_into_zeros(name, g, dims, node.unpack(), s),), save=indices)


def _reading(x: Tensor, dims, shape):
    """The launch that reads places of x (None: there are none), and the spec of its result."""
    s = x._spec
    first, rest = _arrangement(s.ndim, dims)
    spec = spec_of(s.dtype, s.device, result_shape(s.shape, dims, shape))
    if not spec.numel:
        return None, spec
    strides = spec.strides
    own = (*strides[:first], *strides[first + len(shape) :])
    sizes, steps = layout.coalesce(tuple(s.shape[d] for d in rest), own, tuple(s.strides[d] for d in rest))
    step = strides[first + len(shape) - 1] if shape else 0
    with placing(s.device):
        return pattern(s.device, "places").read(MEMORY[s.dtype.itemsize], prod(shape), step, sizes, steps), spec


def add_into_zeros(name: str, g: Tensor, dims, indices, spec) -> Tensor:
    """Zeros of `spec`'s shape to which g is added at places: the derivative of `read`."""
    out = empty(spec_of(spec.dtype, spec.device, spec.shape), name)
    out.fill_(0)
    write_places(f"{name}_add", out, dims, indices, g, "add")
    out._storage.version = 0
    return recorded(out, f"{name}_add", (g,), lambda node, gg: (read(name, gg, dims, node.unpack()),), save=indices)


# ------------------------------------------------------------------------------------------------ writing
def stored(places, how: str, kind) -> str:
    """What a kernel stores, in the pattern's words: `how` is store, add or multiply."""
    if kind is dtypes.bool:
        return {"store": places.STORE, "add": places.EITHER, "multiply": places.BOTH}[how]
    return {"store": places.STORE, "add": places.ADD, "multiply": places.MULTIPLY}[how]


def write_places(name: str, x: Tensor, dims, indices, value: Tensor, how: str, found=None) -> None:
    """Store or add `value`, which has the shape of the result of reading, at the places of x; not recorded."""
    s = x._spec
    places, shape = found or find(name, x, dims, indices)
    if not value._spec.numel or not places._spec.numel:
        return
    value = alias(value) if value._storage is not x._storage else contiguous(alias(value).clone())
    key = ("write", how, s, value._spec, dims, shape)
    table = _tables.get(key) or _remember(key, _writing(x, dims, shape, value, how))
    if table == "copy":
        value = contiguous(value)
        key = ("write", how, s, value._spec, dims, shape)
        table = _tables.get(key) or _remember(key, _writing(x, dims, shape, value, how))
    launch(table.address, x._address, value._address, places._address)


def _writing(x: Tensor, dims, shape, value: Tensor, how: str):
    """The launch that writes a value at places of x; "copy" where the value's strides over places are not one, so that it must be copied."""
    s = x._spec
    first, rest = _arrangement(s.ndim, dims)
    strides, n = value._spec.strides, len(shape)
    step = layout.view_strides(shape, strides[first : first + n], (prod(shape),))
    if step is None:
        return "copy"
    sizes, steps = layout.coalesce(tuple(s.shape[d] for d in rest), tuple(s.strides[d] for d in rest), (*strides[:first], *strides[first + n :]))
    code = MEMORY[s.dtype.itemsize] if how == "store" else s.dtype.code
    with placing(s.device):
        module = pattern(s.device, "places")
        return module.write(how, code, stored(module, how, s.dtype), prod(shape), step[0], sizes, steps)


def put(name, x: Tensor, dims, indices, value: Tensor, *, accumulate=False, inplace=False, wrap=True, kind=IndexError, keep_layout=True) -> Tensor:
    """x with `value` (of x's dtype, broadcast to the result of reading) stored or added at the places, recorded."""
    indices = tuple(whole_numbers(i) for i in indices)
    found = find(name, x, dims, indices, wrap=wrap, kind=kind)
    value = broadcast_value(name, value, result_shape(x._spec.shape, dims, found[1]))
    same_device(name, x, value)
    if inplace or x._spec.contiguous or keep_layout and layout.is_dense(x._spec.shape, x._spec.strides):
        write = lambda memory: write_places(name, memory, dims, indices, value, "add" if accumulate else "store", found)
    else:
        write = lambda memory: write_places(name, memory, dims, indices, value, "add" if accumulate else "store")
    of_x, of_value = tape.needs_grad(x), tape.needs_grad(value)

    def pull(node, g):
        saved = node.unpack()
        left = right = None
        if of_x:
            left = g if accumulate else fill(name, g, dims, saved, 0)
        if of_value:
            right = read(name, g, dims, saved)
        return left, right

    return changed(name, x, (value,), write, pull, save=indices, inplace=inplace, keep_layout=keep_layout)


def fill(name, x: Tensor, dims, indices, number, **how) -> Tensor:
    """x with a number stored at the places."""
    value = empty(spec_of(x._spec.dtype, x._spec.device, ()), name)
    value.fill_(number)
    return put(name, x, dims, indices, value, **how)


def broadcast_value(name: str, value: Tensor, shape) -> Tensor:
    """`value` broadcast to what it is written over; leading dims of size 1 may be too many."""
    if value._spec.shape == shape:
        return value
    given = value
    while value._spec.ndim > len(shape) and value._spec.shape[0] == 1:
        value = value.squeeze(0)
    own = value._spec.shape
    lead = len(shape) - len(own)
    if lead < 0 or any(n not in (1, m) for n, m in zip(own, shape[lead:])):
        raise RuntimeError(f"{name}: shape mismatch: value tensor of shape {list(given.shape)} cannot be broadcast to indexing result of shape {list(shape)}")
    return expanded(value, tuple(shape))


