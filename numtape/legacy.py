"""Names of PyTorch's older style: typed constructors such as `FloatTensor`, memory formats, the default tensor type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numtape import dtypes, ops
from numtape.device import device as Device
from numtape.device import set_default_device
from numtape.tensor import Tensor

_NAMES = {
    "float32": "FloatTensor", "float64": "DoubleTensor", "int64": "LongTensor", "int32": "IntTensor",
    "int16": "ShortTensor", "int8": "CharTensor", "uint8": "ByteTensor", "bool": "BoolTensor",
}  # fmt: skip


class TensorType(type):
    """The type of `FloatTensor` and its kin: calling one makes a tensor, and tensors of its dtype and device are instances of it.

    >>> import numtape as nt
    >>> nt.FloatTensor(2, 3).shape
    numtape.Size([2, 3])
    >>> nt.LongTensor([1, 2])
    tensor([1, 2])
    >>> isinstance(nt.ones(3), nt.FloatTensor)
    True
    """

    dtype: dtypes.dtype
    kind: str

    def __call__(cls, *data, device=None):
        """Uninitialised memory of the sizes given, or a tensor of one sequence."""
        where = cls.kind if device is None else Device(device)
        if Device(where).type != cls.kind:
            raise RuntimeError(f"legacy constructor expects device type: {cls.kind} but device type: {Device(where).type} was passed")
        return made(cls.dtype, where, data)

    def __instancecheck__(cls, instance) -> bool:
        return type.__instancecheck__(Tensor, instance) and instance.dtype is cls.dtype and instance.device.type == cls.kind

    def __repr__(cls) -> str:
        return f"<class 'numtape.{'cuda.' if cls.kind == 'cuda' else ''}{cls.__name__}'>"


def made(kind: dtypes.dtype, where, data: tuple) -> Tensor:
    """What a typed constructor makes of its arguments."""
    empty, tensor = ops.PUBLIC["empty"], ops.PUBLIC["tensor"]
    if len(data) == 1 and not isinstance(data[0], int):
        (given,) = data
        if isinstance(given, Tensor):
            if given.dtype is not kind:
                raise TypeError(f"new(): expected a tensor of {kind.name}, got {given.dtype.name}; convert it with .to({kind})")
            return given.detach().to(where)
        if type(given).__name__ == "Size":
            return empty(given, dtype=kind, device=where)
        if isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str):
            return tensor(given, dtype=kind, device=where)
        raise TypeError(f"new(): data must be a sequence (got {type(given).__name__})")
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in data):
        raise TypeError(f"new(): expected sizes, one sequence or one tensor, got {data!r:.80}")
    return empty(data or (0,), dtype=kind, device=where)


def _of(kind: str) -> dict[str, TensorType]:
    doc = "`{}(2, 3)` is uninitialised memory of these sizes, `{}([1, 2])` a tensor of the numbers."
    return {
        name: TensorType(name, (), {"dtype": dtypes.ALL[of], "kind": kind, "is_cuda": kind == "cuda", "__doc__": doc.format(name, name), "__module__": "numtape"})
        for of, name in _NAMES.items()
    }


TYPES, CUDA_TYPES = _of("cpu"), _of("cuda")


def new(self: Tensor, *data, device=None) -> Tensor:
    """A tensor of this one's dtype and device: uninitialised memory of the sizes given, or one sequence."""
    return made(self.dtype, self.device if device is None else device, data)


def set_default_tensor_type(t: str | TensorType) -> None:
    """Set the default dtype, and the default device, to those of a floating-point tensor type such as `numtape.DoubleTensor` or its name.

    >>> import numtape as nt
    >>> nt.set_default_tensor_type("torch.FloatTensor")
    >>> nt.get_default_dtype()
    numtape.float32
    """
    found: object = t
    if isinstance(t, str):
        _, _, name = t.rpartition(".")
        found = (CUDA_TYPES if ".cuda." in t else TYPES).get(name)
    if not isinstance(found, TensorType):
        raise TypeError(f"set_default_tensor_type: invalid type object: {t!r}; expected a type such as numtape.FloatTensor, or its name")
    if not found.dtype.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {found!r}")
    dtypes.set_default_dtype(found.dtype)
    set_default_device(None if found.kind == "cpu" else "cuda")


# ------------------------------------------------------------------------------------------------ layouts and memory formats
class _Constant:
    """A named constant."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"numtape.{self.name}"

    def __reduce__(self):
        return _constant, (self.name,)


class layout(_Constant):
    """How the elements of a tensor are kept: `numtape.strided`, by sizes and strides."""


class memory_format(_Constant):
    """In what order the dims of a tensor lie in memory: `contiguous_format`, `preserve_format`, `channels_last`, `channels_last_3d`."""


def _constant(name: str) -> _Constant:
    found = PUBLIC[name]
    assert isinstance(found, _Constant)
    return found


strided = layout("strided")
FORMATS = {name: memory_format(name) for name in ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")}

Tensor.new = new  # type: ignore[attr-defined]
Tensor.layout = property(lambda self: strided, doc="`numtape.strided`, as of every tensor.")  # type: ignore[attr-defined]
PUBLIC = {**TYPES, **FORMATS, "strided": strided, "memory_format": memory_format, "set_default_tensor_type": set_default_tensor_type}
