"""The same memory seen otherwise: strided views, windows, other dtypes, shapes changed in place, and storages."""

from __future__ import annotations

from numtape import dtypes, layout
from numtape.autograd import tape
from numtape.dispatch.record import known_view, view_of
from numtape.ops.complex import conj
from numtape.ops.copy import copy_, like, tensor_of
from numtape.ops.creation import arange
from numtape.ops.define import composite
from numtape.ops.diagonal import tril, triu
from numtape.ops.index import index_add_into_zeros, index_select
from numtape.ops.part import part
from numtape.ops.view import reshape, sizes_of, squeeze, t, transpose, unsqueeze
from numtape.spec import spec_of
from numtape.tensor import Tensor, check_inplace, empty


# ------------------------------------------------------------------------------------------------ views
def places(shape, strides, device, offset=0) -> Tensor:
    """The distance of each element from the first one, in row-major order."""
    found = arange(1, device=device) + offset
    for n, s in zip(shape, strides):
        found = reshape(unsqueeze(found, 1) + arange(n, device=device) * s, -1)
    return found


@composite
def as_strided(input, size, stride, storage_offset=None):
    "A view with the given sizes, strides and offset (in elements from the start of the storage)."
    x = tensor_of("as_strided", input)
    size, stride = sizes_of("as_strided", (size,)), sizes_of("as_strided", (stride,))
    if len(size) != len(stride):
        raise RuntimeError(f"as_strided: mismatch in length of strides and shape: {list(stride)} and {list(size)}")
    if any(n < 0 for n in size) or any(n < 0 for n in stride):
        raise RuntimeError(f"as_strided: Negative strides (and sizes) are not supported at the moment, got size {list(size)}, strides: {list(stride)}")
    start = x.storage_offset() if storage_offset is None else storage_offset
    spec = like(x, size, stride)
    if start < 0:
        raise RuntimeError(f"as_strided: Tensor: invalid storage offset {start}")
    if (start + spec.extent) * spec.dtype.itemsize > x._storage.nbytes and spec.numel:
        raise RuntimeError(
            f"as_strided: setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, and itemsize {spec.dtype.itemsize} requiring a "
            f"storage size of {(start + spec.extent) * spec.dtype.itemsize} are out of bounds for storage of size {x._storage.nbytes}"
        )
    whole, moved = x._spec, start - x.storage_offset()
    return view_of(x, spec, moved, "as_strided", lambda n, g: (_gathered(g, moved, spec, whole),))


def _gathered(g: Tensor, moved: int, spec, whole) -> Tensor:
    """The gradient of `whole` when g is that of a view `spec` of its memory, `moved` elements behind it; views may overlap."""
    first = min(moved, 0)
    count = max(moved + spec.extent, whole.extent) - first
    memory = spec_of(spec.dtype, spec.device, (count,))
    written = index_add_into_zeros(reshape(g, -1), 0, places(spec.shape, spec.strides, spec.device, moved - first), memory)
    read = places(whole.shape, whole.strides, whole.device, -first)
    found = index_select(written, 0, read)
    if layout.overlaps_itself(whole.shape, whole.strides):
        ones = reshape(arange(1, device=spec.device).to(spec.dtype) + 1, 1).expand(read.numel())
        found = found / index_select(index_add_into_zeros(ones, 0, read, memory), 0, read)
    return reshape(found, whole.shape)


@known_view
@composite
def unfold_dim(input, dimension, size, step):
    "A view of all windows of `size` elements along a dim, `step` apart; the windows' elements are the last dim."
    x = tensor_of("unfold", input)
    s = x._spec
    d = layout.dim_of("unfold", dimension, s.ndim)
    n, distance = (s.shape[d], s.strides[d]) if s.ndim else (1, 1)
    if not 0 <= size <= n:
        raise RuntimeError(f"unfold: maximum size for tensor at dimension {d} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"unfold: step is {step} but must be > 0")
    if not s.ndim:
        return view_of(x, like(x, (size,), (1,)), 0, "unfold", lambda node, g: (reshape(g.sum(), ()),))
    windows = (n - size) // step + 1
    shape = (*s.shape[:d], windows, *s.shape[d + 1 :], size)
    strides = (*s.strides[:d], step * distance, *s.strides[d + 1 :], distance)
    if step >= size:
        return part(x, shape, strides, 0, "unfold", lambda z: unfold_dim(z, d, size, step))
    return view_of(x, like(x, shape, strides), 0, "unfold", lambda node, g: (_folded(g, d, size, step, s),))


def _folded(g, d, size, step, whole):
    """The gradient of overlapping windows: each element gets the sum of those of the windows it is in."""
    rows = g.movedim(-1, d + 1)
    count = g._spec.shape[d]
    index = reshape(unsqueeze(arange(count, device=g.device) * step, 1) + arange(size, device=g.device), -1)
    return index_add_into_zeros(reshape(rows, (*whole.shape[:d], count * size, *whole.shape[d + 1 :])), d, index, whole)


def reinterpreted(x: Tensor, kind) -> Tensor:
    """A view of the bytes of x as another dtype; the last dim grows or shrinks as elements do. No gradient."""
    kind, s = dtypes.check("view", kind), x._spec
    shape, strides, a, b = list(s.shape), list(s.strides), s.dtype.itemsize, kind.itemsize
    if a != b:
        if not s.ndim:
            raise RuntimeError(f"view: self.dim() cannot be 0 to view {s.dtype.name} as {kind.name} (different element sizes)")
        if strides[-1] != 1:
            raise RuntimeError(f"view: self.stride(-1) must be 1 to view {s.dtype.name} as {kind.name} (different element sizes), but got {strides[-1]}")
        if a < b:
            ratio = b // a
            if shape[-1] % ratio or x.storage_offset() % ratio or any(n % ratio for n in strides[:-1]):
                raise RuntimeError(
                    f"view: self.size(-1), self.storage_offset() and self.stride() must be divisible by {ratio} to view {s.dtype.name} as {kind.name} "
                    f"(different element sizes), but got size {shape[-1]}, offset {x.storage_offset()}, strides {tuple(strides)}"
                )
            shape[-1] //= ratio
            strides = [n // ratio for n in strides[:-1]] + [1]
        else:
            ratio = a // b
            shape[-1] *= ratio
            strides = [n * ratio for n in strides[:-1]] + [1]
    spec = spec_of(kind, s.device, tuple(shape), tuple(strides))
    found = view_of(x.detach(), spec, 0, "view", None)
    return found


def adjoint(self):
    """The matrices with rows and columns exchanged, conjugated."""
    if self.ndim < 2:
        raise RuntimeError(f"adjoint: tensor.adjoint() is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor.")
    return conj(transpose(self, -2, -1))


def _hermitian(self):
    if self.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.")
    return conj(transpose(self, 0, 1) if self.ndim else self)


# ------------------------------------------------------------------------------------------------ shapes changed in place
def _reshaping(view, name, doc):
    def method(self, *args, **kwargs):
        check_inplace(self, name)
        seen = view(self, *args, **kwargs)
        if seen is not self:
            self._spec, self._node, self._requires_grad = seen._spec, seen._node, seen._requires_grad
            self._storage.version += 1
            self._storage.writer = name
        return self

    method.__name__, method.__doc__ = name, doc
    return method


squeeze_ = _reshaping(squeeze, "squeeze_", "`squeeze` in place: this tensor itself changes its shape.")
unsqueeze_ = _reshaping(unsqueeze, "unsqueeze_", "`unsqueeze` in place: this tensor itself changes its shape.")
transpose_ = _reshaping(transpose, "transpose_", "`transpose` in place: this tensor itself changes its shape.")
t_ = _reshaping(t, "t_", "`t` in place: this tensor itself changes its shape.")
as_strided_ = _reshaping(as_strided, "as_strided_", "`as_strided` in place: this tensor itself changes its shape.")


def resize_(self, *sizes, memory_format=None):
    """Another shape in place, row-major over the same memory; where that is too small, in new memory that begins with the old elements."""
    shape = sizes_of("resize_", sizes)
    if tape.needs_grad(self):
        raise RuntimeError("resize_: cannot resize variables that require grad")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"resize_: Trying to resize to a negative dimension {min(shape)}: {list(shape)}")
    if shape == self._spec.shape:
        return self
    spec = spec_of(self._spec.dtype, self._spec.device, shape)
    start = self.storage_offset()
    if (start + spec.numel) * spec.dtype.itemsize > self._storage.nbytes:
        if self._base is not None:
            raise RuntimeError("resize_: a view cannot outgrow the memory it shares; clone() it first")
        kind = spec.dtype
        old = _flat(self)
        fresh = empty(spec, "resize_")
        head = like(fresh, (min(old.numel(), spec.numel),), (1,))
        if head.numel:
            target = view_of(fresh, head, 0, "view", None)
            target.copy_(view_of(old, spec_of(kind, spec.device, head.shape, (1,)), 0, "view", None))
        self._storage, self._address = fresh._storage, fresh._address
    self._spec = spec
    self._storage.version += 1
    self._storage.writer = "resize_"
    return self


def _flat(x: Tensor) -> Tensor:
    """All elements of x's memory from its first one on."""
    count = x._storage.nbytes // x._spec.dtype.itemsize - x.storage_offset()
    return view_of(x.detach(), like(x, (count,), (1,)), 0, "view", None)


def resize_as_(self, other, memory_format=None):
    """Resized to the shape of `other`, in place."""
    return resize_(self, *other.shape)


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Let this tensor see other memory: that of a tensor or of a storage (from an offset on, with sizes and strides), or none."""
    check_inplace(self, "set_")
    if self._base is not None or self._node is not None:
        raise RuntimeError("set_: the tensor is a view, or was computed by a recorded operation; detach() it first")
    if source is None:
        source, size = self.new_empty(0), None
    if isinstance(source, UntypedStorage):
        source = source._tensor().view(self._spec.dtype)
        size = (source._spec.numel - storage_offset,) if size is None else size
    elif not isinstance(source, Tensor):
        raise TypeError(f"set_(): argument 'source' must be Tensor or a storage, not {type(source).__name__}")
    if source._spec.dtype is not self._spec.dtype or source._spec.device is not self._spec.device:
        raise RuntimeError(f"set_: expected a source of {self.dtype} on {self.device}, got {source.dtype} on {source.device}")
    found = source.detach()
    if size is not None:
        shape = sizes_of("set_", (size,))
        found = found.as_strided(shape, layout.contiguous_strides(shape) if not stride else sizes_of("set_", (stride,)), storage_offset)
    self._storage, self._address, self._spec = found._storage, found._address, found._spec
    return self


def written(name, function, doc=None):
    """The in-place method of a function whose result has this tensor's shape."""

    def method(self, *args, **kwargs):
        check_inplace(self, name)
        result = function(self, *args, **kwargs)
        if result._spec.shape != self._spec.shape:
            raise RuntimeError(f"{name}: output with shape {list(self.shape)} doesn't match the broadcast shape {list(result.shape)}")
        if not dtypes.can_cast(result._spec.dtype, self._spec.dtype):
            raise RuntimeError(f"{name}: result type {result.dtype} can't be cast to the desired output type {self.dtype}")
        return copy_(self, result)

    method.__name__, method.__doc__ = name, doc or f"{function.__doc__} In place."
    return method


# ------------------------------------------------------------------------------------------------ elements in Python
def apply_(self, callable):
    """Every element replaced by what a Python function makes of it: slow, on the CPU only."""
    return _by_python("apply_", self, lambda x: callable(x), ())


def map_(self, tensor, callable):
    """Every element replaced by what a Python function makes of it and of the element of `tensor` there: slow, on the CPU only."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"map_(): argument 'tensor' must be Tensor, not {type(tensor).__name__}")
    if tensor._spec.dtype is not self._spec.dtype:
        raise TypeError(f"map_: expected {self.dtype} for 'other' (got {tensor.dtype})")
    if tensor.requires_grad:
        raise RuntimeError("map_: Can't call map_() on Variable that requires grad. Use var.detach().map_() instead.")
    return _by_python("map_", self, callable, (tensor.expand(self.shape),))


def _by_python(name, self, function, others):
    if tape.needs_grad(self):
        raise RuntimeError(f"{name}: Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    if self.is_cuda or any(o.is_cuda for o in others):
        raise TypeError(f"{name} is only implemented on CPU tensors")
    from numtape.ops.creation import tensor

    columns = [reshape(x, -1).tolist() for x in (self, *others)]
    values = [function(*given) for given in zip(*columns)]
    return copy_(self, reshape(tensor(values, dtype=self.dtype), self.shape))


# ------------------------------------------------------------------------------------------------ storages
class UntypedStorage:
    """A window on the bytes behind a tensor.

    >>> import numtape as nt
    >>> nt.zeros(2, 3).untyped_storage().nbytes()
    24
    """

    __slots__ = ("_block", "device", "dtype")

    def __init__(self, block, device, dtype=None):
        self._block, self.device, self.dtype = block, device, dtype

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._block.nbytes

    def size(self) -> int:
        """The number of bytes, or of elements for the typed storage of `Tensor.storage()`."""
        return self._block.nbytes // (self.dtype.itemsize if self.dtype else 1)

    __len__ = size

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._block.address

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and self._block is other._block

    def __hash__(self) -> int:
        return id(self._block)

    def _tensor(self) -> Tensor:
        from numtape.tensor import make

        kind = self.dtype or dtypes.uint8
        return make(self._block, spec_of(kind, self.device, (self.size(),)))

    def __getitem__(self, index):
        found = self._tensor()[index]
        return found.item() if not found.ndim else found

    def __setitem__(self, index, value):
        self._tensor()[index] = value

    def tolist(self) -> list:
        """All bytes (or elements) as Python numbers."""
        return self._tensor().tolist()


def untyped_storage(self):
    """The bytes behind the tensor, which views of it share."""
    return UntypedStorage(self._storage, self.device)


def storage(self):
    """The elements behind the tensor, which views of it share."""
    return UntypedStorage(self._storage, self.device, self.dtype)


def is_set_to(self, tensor):
    """Whether both have the same memory, offset, sizes and strides."""
    return self._storage is tensor._storage and self._address == tensor._address and self._spec is tensor._spec


FUNCTIONS = {"adjoint": adjoint}
METHOD_ONLY = {
    "unfold": unfold_dim, "adjoint": adjoint, "squeeze_": squeeze_, "unsqueeze_": unsqueeze_, "transpose_": transpose_, "swapaxes_": transpose_, "swapdims_": transpose_,
    "t_": t_, "as_strided_": as_strided_, "resize_": resize_, "resize_as_": resize_as_, "set_": set_, "apply_": apply_, "map_": map_, "storage": storage,
    "untyped_storage": untyped_storage, "is_set_to": is_set_to, "tril_": written("tril_", tril),
    "triu_": written("triu_", triu), "H": property(_hermitian, doc="A matrix with rows and columns exchanged, conjugated."),
    "mH": property(adjoint, doc="The matrices with rows and columns exchanged, conjugated."),
}  # fmt: skip
FUNCTION_ONLY: set = set()
PRIVATE = {"unfold_dim", "repeat"}
