"""Where masks hold: nonzero, and what is selected or written there."""

from __future__ import annotations

from math import prod

from numtape import dtypes, layout
from numtape.autograd import tape
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.functions import into
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops import places
from numtape.ops.copy import contiguous, tensor_of
from numtape.ops.define import composite
from numtape.ops.scan import cumsum
from numtape.ops.view import expanded
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty


def positions_where(mask: Tensor) -> Tensor:
    """The positions, in the flattened mask (of any dtype), of what is not zero."""
    mask = mask.detach()
    if mask._spec.dtype not in (dtypes.bool, dtypes.uint8):
        mask = mask.ne(0)
    mask = contiguous(mask)
    device, size = mask._spec.device, mask._spec.numel
    several = lambda *shape: spec_of(dtypes.int64, device, shape)
    whole = lambda n: empty(several(n), "nonzero")
    if not size:
        return whole(0)
    with placing(device):
        template = pattern(device, "places")
        at_once = template.compact_at_once(size)
        if at_once is not None:
            found = whole(size + 1)
            launch(at_once.address, found._address, mask._address)
            return alias(found, several(alias(found, several(), size).item()))
        counting, listing = template.count(size), template.compact(size)
    counts = whole(template.pieces(size))
    launch(counting.address, counts._address, mask._address)
    ends = cumsum(counts, 0) if counts._spec.numel > 1 else counts
    found = whole(ends[-1].item())
    if found._spec.numel:
        launch(listing.address, found._address, mask._address, counts._address, ends._address)
    return found


def split_positions(positions: Tensor, shape) -> list[Tensor]:
    """Positions in a flattened tensor of `shape` as one index for each dim."""
    return list(coordinates(positions, shape).unbind(0))


def coordinates(positions: Tensor, shape) -> Tensor:
    device, count = positions._spec.device, positions._spec.numel
    out = empty(spec_of(dtypes.int64, device, (len(shape), count)), "nonzero")
    if count and shape:
        with placing(device):
            table = pattern(device, "places").coordinates(count, tuple(shape))
        launch(table.address, out._address, positions._address)
    return out


@composite
def nonzero(input, *, out=None, as_tuple=False):
    "The indices of what is not zero, in order: a row each (N, dims), or with as_tuple a vector for each dim."
    x = tensor_of("nonzero", input)
    if as_tuple:
        x = x.reshape(1) if not x._spec.ndim else x
        return tuple(split_positions(positions_where(x), x._spec.shape))
    result = coordinates(positions_where(x), x._spec.shape).t()
    return result if out is None else into("nonzero", result, out)


@composite
def argwhere(input):
    "The indices of what is not zero, a row each (N, dims)."
    return nonzero(input)


# ------------------------------------------------------------------------------------------------ selecting and writing
def _mask_of(name: str, mask, message: str) -> Tensor:
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name}(): argument 'mask' must be Tensor, not {type(mask).__name__}")
    if mask._spec.dtype is not dtypes.bool:
        raise RuntimeError(message.format(type_name=places.type_name(mask._spec.dtype)))
    return mask.detach()


@composite
def masked_select(input, mask, *, out=None):
    "What stands where the mask (bool) holds, in order, as a vector; the two are broadcast with each other."
    x = tensor_of("masked_select", input)
    mask = _mask_of("masked_select", mask, "masked_select: expected BoolTensor for mask, got {type_name}")
    same_device("masked_select", x, mask)
    shape = layout.broadcast_shapes("masked_select", x._spec.shape, mask._spec.shape)
    result = selected("masked_select", expanded(x, shape), positions_where(expanded(mask, shape)))
    return result if out is None else into("masked_select", result, out)


def selected(name: str, x: Tensor, positions: Tensor) -> Tensor:
    """What stands at positions of the flattened x, without a copy of x."""
    shape = x._spec.shape
    if not shape:
        return places.read(name, x.reshape(1), (0,), (positions,))
    if layout.view_strides(shape, x._spec.strides, (prod(shape),)) is not None:
        return places.read(name, x.reshape(-1), (0,), (positions,))
    return places.read(name, x, tuple(range(len(shape))), split_positions(positions, shape))


def _masked_scatter(name: str, x: Tensor, mask: Tensor, source, inplace: bool) -> Tensor:
    if not isinstance(source, Tensor):
        raise TypeError(f"{name}(): argument 'source' must be Tensor, not {type(source).__name__}")
    if source._spec.dtype is not x._spec.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {places.type_name(x._spec.dtype)} and {places.type_name(source._spec.dtype)}"
        )
    same_device(name, x, mask, source)
    positions = positions_where(expanded(mask, x._spec.shape))
    count = positions._spec.numel
    if count > source._spec.numel:
        raise RuntimeError(f"{name}: Number of elements of source < number of ones in mask: {source._spec.numel} < {count}")
    values = source.reshape(-1)[:count]
    shape = x._spec.shape or (1,)
    where = split_positions(positions, shape)
    dims = tuple(range(len(shape)))
    of_x, of_values = tape.needs_grad(x), tape.needs_grad(values)
    laid = lambda t: t if t._spec.ndim else t.reshape(1)

    def write(memory):
        places.write_places(name, laid(memory), dims, where, values, "store")

    def pull(node, g):
        *saved, held = node.unpack()
        left = g.masked_fill(held, 0) if of_x else None
        right = places.read(name, laid(g), dims, saved) if of_values else None
        return left, right

    return places.changed(name, x, (values,), write, pull, save=(*where, alias(mask)), inplace=inplace)


@composite
def masked_scatter(input, mask, source):
    "The tensor with the elements of `source`, one after another, where the mask (bool, broadcast) holds."
    x = tensor_of("masked_scatter", input)
    mask = _mask_of("masked_scatter", mask, "masked_scatter_ only supports boolean masks, but got mask with dtype {type_name}")
    shape = layout.broadcast_shapes("masked_scatter", x._spec.shape, mask._spec.shape)
    return _masked_scatter("masked_scatter", expanded(x, shape), mask, source, False)


def masked_scatter_(self, mask, source):
    """Write the elements of `source`, one after another, where the mask (bool, broadcast) holds."""
    mask = _mask_of("masked_scatter_", mask, "masked_scatter_ only supports boolean masks, but got mask with dtype {type_name}")
    places.check_target(self, "masked_scatter_")
    if layout.broadcast_shapes("masked_scatter_", self._spec.shape, mask._spec.shape) != self._spec.shape:
        raise RuntimeError(f"masked_scatter_: the mask of shape {list(mask.shape)} cannot be broadcast to the tensor's shape {list(self.shape)}")
    return _masked_scatter("masked_scatter_", self, mask, source, True)


METHODS = {"masked_scatter_": masked_scatter_}
