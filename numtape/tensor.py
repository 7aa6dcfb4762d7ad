"""`Tensor`: memory, a spec, and its place on the tape. No arithmetic: ops install themselves as methods."""

from __future__ import annotations

import ctypes
import weakref

import numpy as np

from numtape import autograd, dtypes, storage
from numtape.autograd import tape
from numtape.autograd.handles import Handle
from numtape.autograd.inplace import check_inplace, keep_retaining, rebase, view_node
from numtape.device import cpu, device
from numtape.dtypes import dtype
from numtape.layout import CHANNELS_LAST, format_strides
from numtape.spec import Size, Spec

_new = object.__new__
_READ = {"b8": ctypes.c_bool, "u8": ctypes.c_uint8, "i8": ctypes.c_int8, "i16": ctypes.c_int16, "i32": ctypes.c_int32}
_READ |= {"i64": ctypes.c_int64, "f32": ctypes.c_float, "f64": ctypes.c_double}  # what `item` reads in place


class Tensor:
    """An n-dimensional array that can record what is computed from it.

    Make one with `numtape.tensor`, `zeros`, `randn`, ...; `Tensor(data)` makes one of the default dtype, as in PyTorch.

    >>> import numtape as nt
    >>> x = nt.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__dict__", "__weakref__", "_address", "_base", "_node", "_requires_grad", "_seen", "_spec", "_storage")
    __array_priority__ = 1000

    # Rare state lives in the instance's __dict__ and defaults to these.
    _grad = None
    _hooks = None
    _post_hooks = None
    _generation = 0

    def __new__(cls, *data, dtype=None, device=None):
        if dtype is not None and dtype is not dtypes.get_default_dtype():
            raise TypeError(f"Tensor: makes tensors of the default dtype, got dtype={dtype}; use numtape.tensor(data, dtype=...)")
        from numtape import legacy

        source = legacy.made(dtypes.get_default_dtype(), cpu if device is None else device, data)
        self = _new(cls)
        self._storage, self._address, self._spec = source._storage, source._address, source._spec
        self._requires_grad, self._node, self._base = False, None, None
        return self

    # -------------------------------------------------------------------------------------------- what it is
    @property
    def shape(self) -> Size:
        """The sizes, a tuple."""
        return self._spec.size

    @property
    def dtype(self) -> dtype:
        """The element type."""
        return self._spec.dtype

    @property
    def device(self) -> device:
        """Where the memory is."""
        return self._spec.device

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return self._spec.ndim

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._spec.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._spec.nbytes

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is on an NVIDIA GPU."""
        return self._spec.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether the memory is the host's."""
        return self._spec.device is cpu

    def dim(self) -> int:
        """The number of dims."""
        return self._spec.ndim

    ndimension = dim

    def size(self, dim: int | None = None):
        """The sizes, or the size of one dim."""
        if dim is None:
            return self._spec.size
        from numtape.layout import dim_of

        if not self._spec.ndim:
            raise IndexError("size: a zero-dimensional tensor has no dims; use size() without arguments")
        return self._spec.shape[dim_of("size", dim, self._spec.ndim)]

    def stride(self, dim: int | None = None):
        """The strides in elements, or that of one dim."""
        return self._spec.strides if dim is None else self._spec.strides[dim]

    def numel(self) -> int:
        """The number of elements."""
        return self._spec.numel

    nelement = numel

    def element_size(self) -> int:
        """Bytes per element."""
        return self._spec.dtype.itemsize

    def storage_offset(self) -> int:
        """The offset of the first element in its storage, in elements."""
        return (self._address - self._storage.address) // self._spec.dtype.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._address if self._spec.numel else 0

    def is_contiguous(self, memory_format=None) -> bool:
        """Whether elements lie in row-major order (or in that of another memory format) without gaps."""
        if memory_format is None or memory_format.name in ("contiguous_format", "preserve_format"):
            return self._spec.contiguous
        shape, name = self._spec.shape, memory_format.name
        if name not in CHANNELS_LAST or len(shape) != len(CHANNELS_LAST[name]):
            return False
        wanted = format_strides("is_contiguous", memory_format, shape)
        return not self._spec.numel or all(n == 1 or a == b for n, a, b in zip(shape, self._spec.strides, wanted))

    def is_floating_point(self) -> bool:
        return self._spec.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self._spec.dtype.is_complex

    def get_device(self) -> int:
        """The number of the GPU, -1 for the CPU."""
        return -1 if self._spec.device is cpu else self._spec.device.index

    @property
    def _version(self) -> int:
        return self._storage.version

    # -------------------------------------------------------------------------------------------- the tape
    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded."""
        return tape.needs_grad(self)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start (or, for a leaf, stop) recording operations on it, in place."""
        if requires_grad and not self._spec.dtype.differentiable:
            raise RuntimeError(f"only Tensors of floating point and complex dtype can require gradients, got {self._spec.dtype}")
        if not requires_grad and self._requires_grad and not self.is_leaf:
            raise RuntimeError("you can only change requires_grad flags of leaf variables. Use detach() to cut it from the graph.")
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` accumulated, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value._spec.shape != self._spec.shape:
                raise RuntimeError(f"grad: expected shape {tuple(self.shape)}, got {tuple(value.shape)}")
            if value._spec.dtype is not self._spec.dtype:
                raise RuntimeError(f"grad: expected {self.dtype}, got {value.dtype}")
            if value._spec.device is not self._spec.device:
                raise RuntimeError(f"grad: expected a tensor on {self.device}, got one on {value.device}; move it with .to()")
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def grad_fn(self):
        """The recorded operation that made it, or None."""
        return self._current_node() if tape.needs_grad(self) else None

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than by a recorded operation."""
        return not tape.needs_grad(self) or self._current_node() is None

    def _current_node(self):
        """The node, brought up to date if the base of this view was changed in place since."""
        base = self._base
        if base is not None and self._seen != base._generation:
            self._seen = base._generation
            if base._requires_grad:
                self._requires_grad = True
                before, self._node = self._node, view_node(base, self)
                keep_retaining(self, before)
        return self._node

    def _check_inplace(self, name: str) -> None:
        check_inplace(self, name)

    def _rebase(self, node) -> None:
        rebase(self, node)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
        """Add the gradient of this tensor to the `.grad` of the leaves it was computed from.

        `gradient` has this tensor's shape and may be left out for one element. `retain_graph` keeps what was saved for a
        second walk, `create_graph` records the walk itself. `inputs` limits the walk to these tensors.
        """
        if gradient is None and inputs is None and not create_graph and self._requires_grad and self._spec.numel == 1:
            tape.backward((self,), (autograd._one(self),), retain_graph=retain_graph, create_graph=False)
        else:
            autograd.backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def register_hook(self, hook):
        """Call `hook(grad)` when the gradient of this tensor is known; what it returns, if anything, takes its place."""
        if not tape.needs_grad(self):
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        node = self._current_node()
        if node is None:
            if self._hooks is None:
                self._hooks = {}
            return Handle(self._hooks, hook)
        return Handle(node.hook_table(), hook)

    def register_post_accumulate_grad_hook(self, hook):
        """Call `hook(tensor)` after `.grad` of this leaf was accumulated."""
        if not tape.needs_grad(self):
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self._post_hooks is None:
            self._post_hooks = {}
        return Handle(self._post_hooks, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf tensor in `.grad` too."""
        if not tape.needs_grad(self):
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node = self._current_node()
        if node is not None and not self.retains_grad:
            node.hook_table()
            node.rare["retain"] = [*(node.note("retain") or ()), weakref.ref(self)]

    def record_stream(self, stream) -> None:
        """Say that work in `stream` (a `numtape.cuda.Stream`) uses this tensor: its memory is used again only after that."""
        if self._spec.device is cpu:
            raise RuntimeError("record_stream: the tensor is on the CPU, which has no streams")
        if self._storage.owner is not None and hasattr(self._storage.owner, "record_stream"):  # else the memory is another library's
            self._storage.owner.record_stream(stream._stream)

    @property
    def retains_grad(self) -> bool:
        node = self._current_node()
        return node is not None and any(r() is self for r in node.note("retain") or ())

    def detach(self) -> Tensor:
        """The same memory, cut from the tape."""
        return alias(self)

    def detach_(self) -> Tensor:
        """Cut this tensor from the tape, in place."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place; use detach() instead.")
        self._node, self._requires_grad = None, False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, cut from the tape."""
        return alias(self)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        self._storage, self._address, self._spec = value._storage, value._address, value._spec

    # -------------------------------------------------------------------------------------------- to Python and NumPy
    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A NumPy array that shares this tensor's memory, which must be the host's; with `force`, of a copy there."""
        if tape.needs_grad(self) and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self._spec.device is not cpu:
            if force:
                return self.detach().cpu().numpy()
            raise TypeError(f"can't convert {self._spec.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
        if self._spec.dtype.numpy is None:
            raise TypeError(f"numpy: Got unsupported ScalarType {self._spec.dtype.name}: NumPy has none; convert with .float() first")
        return storage.as_array(self._storage, self._address, self._spec)

    def __array_namespace__(self, *, api_version: str | None = None):
        """`numtape.array_api`, the namespace of the Python array API standard."""
        from numtape import array_api

        if api_version not in (None, "2021.12", "2022.12", "2023.12", array_api.__array_api_version__):
            raise ValueError(f"__array_namespace__: expected a version up to {array_api.__array_api_version__}, got {api_version!r}")
        return array_api

    def to_device(self, device, /, *, stream=None) -> Tensor:
        """This tensor on another device, by the name of the array API standard."""
        return self.to(device)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A DLPack capsule over this tensor's memory, for `from_dlpack` of any library."""
        from numtape import interop

        return interop.dlpack(self, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's (kind, number) of the device."""
        from numtape import interop

        return interop.dlpack_device(self)

    @property
    def __cuda_array_interface__(self) -> dict:
        """The memory of a tensor on a card, for CuPy, Numba and PyTorch."""
        from numtape import interop

        return interop.cuda_array_interface(self)

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"Unable to avoid copy while creating an array as requested: the tensor's dtype is {self.dtype}, not {dtype}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self):
        """The one element as a Python number."""
        if self._spec.numel != 1:
            raise RuntimeError(f"a Tensor with {self._spec.numel} elements cannot be converted to Scalar")
        if self._spec.device is not cpu:
            return self.detach().cpu().item()
        read = _READ.get(self._spec.dtype.code)
        return read.from_address(self._address).value if read else self.reshape(()).tolist()

    def tolist(self):
        """Nested lists of Python numbers."""
        if self._spec.device is not cpu:
            return self.detach().cpu().tolist()
        if self._spec.dtype.numpy is None:
            return self.detach().float().tolist()
        return storage.as_array(self._storage, self._address, self._spec).tolist()

    def __bool__(self) -> bool:
        if self._spec.numel != 1:
            what = "no values" if self._spec.numel == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
        return bool(self.item())

    def _one(self):
        """The one element, for `float(tensor)` and its kin."""
        if self._spec.numel != 1:
            raise ValueError(f"only one element tensors can be converted to Python scalars, got {self._spec.numel} elements")
        return self.item()

    def __float__(self) -> float:
        return float(_real(self._one()))

    def __complex__(self) -> complex:
        return complex(self._one())

    def __int__(self) -> int:
        return int(_real(self._one()))

    def __index__(self) -> int:
        if self._spec.dtype.differentiable or self._spec.numel != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self._spec.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._spec.shape[0]

    def __iter__(self):
        if not self._spec.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))  # type: ignore[attr-defined]

    def __reversed__(self):
        return self.flip(0) if self._spec.ndim else self  # type: ignore[attr-defined]

    def __delitem__(self, index):
        raise TypeError("Tensor does not support deleting items")

    def __contains__(self, element) -> bool:
        if not isinstance(element, (Tensor, int, float, complex)):
            raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")
        return bool((self == element).any())

    __hash__ = object.__hash__

    def __repr__(self, *, tensor_contents=None) -> str:
        from numtape import printing

        return printing.text(self, tensor_contents)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self._spec.ndim else object.__format__(self, spec)


def _real(value):
    """A number as a real one, refused unless its imaginary part is zero."""
    if isinstance(value, complex):
        if value.imag:
            raise RuntimeError(f"value cannot be converted to a real number without overflow: {value}; take .real or .abs() first")
        return value.real
    return value


# ------------------------------------------------------------------------------------------------ making tensors
def make(memory, spec: Spec) -> Tensor:
    """A tensor over a whole storage."""
    self = _new(Tensor)
    self._storage, self._address, self._spec = memory, memory.address, spec
    self._requires_grad, self._node, self._base = False, None, None
    return self


def empty(spec: Spec, op: str = "empty") -> Tensor:
    """A new uninitialised tensor."""
    return make(storage.new(spec.nbytes, op, spec.device), spec)


def alias(source: Tensor, spec: Spec | None = None, offset: int = 0) -> Tensor:
    """A tensor over the same memory that is not connected to the tape; `offset` in elements."""
    self = _new(Tensor)
    self._storage, self._spec = source._storage, spec or source._spec
    self._address = source._address + offset * source._spec.dtype.itemsize
    self._requires_grad, self._node, self._base = False, None, None
    return self


def view(source: Tensor, spec: Spec, offset: int = 0) -> Tensor:
    """A view: an alias that knows its base, so that writing to one reaches the other's history. Not recorded here."""
    self = alias(source, spec, offset)
    self._base = base = source if source._base is None else source._base
    self._seen = base._generation
    return self


def rewrap(kind: type, source: Tensor) -> Tensor:
    """`source`'s memory as an instance of a subclass of Tensor."""
    self = _new(kind)
    self._storage, self._address, self._spec = source._storage, source._address, source._spec
    self._requires_grad, self._node, self._base = source._requires_grad, source._node, None
    return self
