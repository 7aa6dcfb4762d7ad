"""Making tensors."""

from __future__ import annotations

import math

import numpy as np

from numtape import dtypes
from numtape.arrays import from_array, share_array
from numtape.autograd.tape import needs_grad
from numtape.device import cpu, placed, wanted
from numtape.dispatch import elementwise, inplace
from numtape.dispatch.functions import into
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.layout import format_strides, output_strides
from numtape.op import Op
from numtape.ops.arithmetic import zero
from numtape.ops.define import composite
from numtape.ops.view import sizes_of
from numtape.spec import Spec, spec_of
from numtape.tensor import _READ as CELLS
from numtape.tensor import Tensor, alias
from numtape.tensor import empty as empty_of_spec

_py_float, _py_bool, _py_int = float, bool, int
_NUMBERS = {float, bool, int}
_WRITTEN = {float, bool, int, list}


def _kind(op, dtype):
    return dtypes.get_default_dtype() if dtype is None else dtypes.check(op, dtype)


def _spec(op: str, shape, dtype, device) -> Spec:
    if any(n < 0 for n in shape):
        raise RuntimeError(f"{op}: Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    kind = _kind(op, dtype)
    if math.prod(shape) * kind.itemsize >= 2**63:
        raise RuntimeError(f"{op}: invalid size, the tensor of shape {list(shape)} would be larger than any memory")
    return spec_of(kind, wanted(device), tuple(shape))


def _sized(op: str, size: tuple, dtype, device) -> Spec:
    """The spec of a new tensor whose sizes are given as f(2, 3) or f((2, 3))."""
    for n in size:
        if type(n) is not _py_int:
            return _spec(op, sizes_of(op, size), dtype, device)
    key = size, dtypes.get_default_dtype() if dtype is None else dtype, device
    found = _specs.get(key)
    if found is None or device is None and wanted(None) is not found.device:
        found = _spec(op, size, dtype, device)
        if found.device is cpu:
            if len(_specs) > 4096:
                _specs.clear()
            _specs[key] = found
    return found


_specs: dict = {}  # (sizes, dtype, device as given) -> spec on the CPU


def _finish(t: Tensor, requires_grad) -> Tensor:
    return t.requires_grad_() if requires_grad else t


def rarely(function, args: tuple, out, dtype, device, requires_grad, rare: dict, **options) -> Tensor:
    """A call of a creating function with arguments that seldom come: out=, size=, pin_memory=."""
    name, rare = function.__name__, dict(rare)
    size = rare.pop("size", None)
    if size is not None:
        if args:
            raise TypeError(f"{name}() got its sizes twice, by position and as 'size'")
        args = (size,)
    if rare.pop("pin_memory", False):
        raise RuntimeError(f"{name}: pin_memory=True is not supported: numtape copies to a GPU through pinned memory of its own")
    if rare:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(rare))}'")
    if out is None:
        return function(*args, dtype=dtype, device=device, requires_grad=requires_grad, **options)
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if dtype is not None and dtype is not out._spec.dtype:
        raise RuntimeError(f"{name}: dtype {dtype} does not match the dtype of the out parameter ({out.dtype})")
    return into(name, function(*args, dtype=out._spec.dtype, device=out._spec.device, **options), out)


def _fill_value(x, value):
    "`value` in x's dtype."
    return value


_fill = Op("fill", "elementwise", _fill_value, lambda name, operands: ([operands[0][0]] * 2, operands[0][0]), (lambda g: zero(g), None), complex=True)


def fill_(self, value):
    """Set every element to `value`, a number or a zero-dimensional tensor."""
    if isinstance(value, Tensor):
        if value._spec.ndim:
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
        if value.requires_grad:
            return self.copy_(value)
        value = value.item()
    if not isinstance(value, (_py_int, _py_float, complex, np.generic)):
        raise TypeError(f"fill_(): argument 'value' must be Number, not {type(value).__name__}")
    _check_number("fill_", value, self._spec.dtype)
    if isinstance(value, (complex, np.complexfloating)):
        return self.copy_(from_array(np.array(value, np.complex128 if self._spec.dtype.is_complex else None)))
    if self._spec.dtype is dtypes.uint64 and value >= 2**63:  # numbers travel to kernels as int64
        return self.copy_(from_array(np.array(value, np.uint64)))
    if 0 in self._spec.strides and self._spec.numel and not needs_grad(self):  # expanded: the elements that there are in memory
        s = self._spec
        once = alias(self, spec_of(s.dtype, s.device, tuple(1 if step == 0 else n for n, step in zip(s.shape, s.strides)), s.strides))
        inplace.call_into(_fill, (once, value), once, "fill_")
        return self
    return inplace.call_into(_fill, (self, value), self, "fill_")


def _check_number(op, value, kind):
    """Refuse a number that an integer dtype cannot hold."""
    if isinstance(value, complex) and not kind.is_complex:
        if value.imag:
            raise RuntimeError(f"{op}: value cannot be converted to type {kind.name} without overflow: {value}")
        value = value.real
    if kind.category == dtypes.INT:
        limits = dtypes.iinfo(kind)
        if value != value or not limits.min <= value <= limits.max:
            raise RuntimeError(f"{op}: value cannot be converted to type {kind.name} without overflow: {value}; it holds {limits.min} to {limits.max}")


def check_numbers(op, kind, *values) -> None:
    """Refuse ints that an integer tensor beside them cannot hold."""
    if kind.category == dtypes.INT:
        for value in values:
            if type(value) is _py_int:
                _check_number(op, value, kind)


def zero_(self):
    """Set every element to zero."""
    return fill_(self, 0)


def _filled(spec, value, op) -> Tensor:
    t = empty_of_spec(spec, op)
    key = spec, type(value)
    table = _fills.get(key)
    if table is None or spec.dtype.category == dtypes.INT and not 0 <= value <= 1:
        fill_(t, value)
        plan = _fill.plans.get(elementwise.scan(_fill, (t, value), t)[0])
        if plan is not None and plan.table:
            if len(_fills) > 4096:
                _fills.clear()
            _fills[key] = plan
        t._storage.version = 0
    else:
        launch(table.table, t._address, t._address, value)
    return t


_fills: dict = {}  # (spec, type of the number) -> the plan that fills new memory


@composite(creation=True)
def empty(*size, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None, out=None, **rare):
    "A tensor of uninitialised memory."
    if rare or out is not None:
        return rarely(empty, size, out, dtype, device, requires_grad, rare, memory_format=memory_format)
    if memory_format is not None:
        spec = _spec("empty", sizes_of("empty", size), dtype, device)
        if memory_format.name == "preserve_format":
            raise RuntimeError("empty: unsupported memory format preserve_format: there is nothing to preserve")
        return _finish(empty_of_spec(spec_of(spec.dtype, spec.device, spec.shape, format_strides("empty", memory_format, spec.shape)), "empty"), requires_grad)
    return _finish(empty_of_spec(_sized("empty", size, dtype, device), "empty"), requires_grad)


@composite(creation=True)
def zeros(*size, dtype=None, device=None, requires_grad=False, layout=None, out=None, **rare):
    "A tensor of zeros."
    if rare or out is not None:
        return rarely(zeros, size, out, dtype, device, requires_grad, rare)
    return _finish(_filled(_sized("zeros", size, dtype, device), 0, "zeros"), requires_grad)


@composite(creation=True)
def ones(*size, dtype=None, device=None, requires_grad=False, layout=None, out=None, **rare):
    "A tensor of ones."
    if rare or out is not None:
        return rarely(ones, size, out, dtype, device, requires_grad, rare)
    return _finish(_filled(_sized("ones", size, dtype, device), 1, "ones"), requires_grad)


@composite(creation=True)
def full(size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, out=None, **rare):
    "A tensor filled with one value; its dtype follows from the value unless given."
    if rare or out is not None:
        return rarely(full, (size, fill_value), out, dtype, device, requires_grad, rare)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    kind = dtypes.scalar_dtype(fill_value) if dtype is None else dtype
    return _finish(_filled(_spec("full", sizes_of("full", (size,) if not isinstance(size, int) else ((size,),)), kind, device), fill_value, "full"), requires_grad)


def _like_spec(op, x, dtype, device, memory_format=None):
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}(): argument 'input' must be Tensor, not {type(x).__name__}")
    s = x._spec
    if dtype is None and device is None and memory_format is None and s.contiguous:
        return spec_of(s.dtype, s.device, s.shape)
    kind = s.dtype if dtype is None else dtypes.check(op, dtype)
    strides = None if memory_format is None else format_strides(op, memory_format, s.shape)
    return spec_of(kind, s.device if device is None else placed(device), s.shape, strides or output_strides(s.shape, [(s.shape, s.strides)]))


@composite(creation=True)
def empty_like(input, *, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None):
    "Uninitialised memory of the shape and dtype of `input`."
    return _finish(empty_of_spec(_like_spec("empty_like", input, dtype, device, memory_format), "empty_like"), requires_grad)


@composite(creation=True)
def zeros_like(input, *, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None):
    "Zeros of the shape and dtype of `input`."
    return _finish(_filled(_like_spec("zeros_like", input, dtype, device, memory_format), 0, "zeros_like"), requires_grad)


@composite(creation=True)
def ones_like(input, *, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None):
    "Ones of the shape and dtype of `input`."
    return _finish(_filled(_like_spec("ones_like", input, dtype, device, memory_format), 1, "ones_like"), requires_grad)


@composite(creation=True)
def full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None):
    "One value in the shape and dtype of `input`."
    return _finish(_filled(_like_spec("full_like", input, dtype, device, memory_format), fill_value, "full_like"), requires_grad)


def new_empty(self, *size, dtype=None, device=None, requires_grad=False, layout=None, **rare):
    """Uninitialised memory with this tensor's dtype unless given."""
    return empty(*size, dtype=dtype or self.dtype, device=self.device if device is None else device, requires_grad=requires_grad, **rare)


def new_zeros(self, *size, dtype=None, device=None, requires_grad=False, layout=None, **rare):
    """Zeros with this tensor's dtype unless given."""
    return zeros(*size, dtype=dtype or self.dtype, device=self.device if device is None else device, requires_grad=requires_grad, **rare)


def new_ones(self, *size, dtype=None, device=None, requires_grad=False, layout=None, **rare):
    """Ones with this tensor's dtype unless given."""
    return ones(*size, dtype=dtype or self.dtype, device=self.device if device is None else device, requires_grad=requires_grad, **rare)


def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, **rare):
    """One value, with this tensor's dtype unless given."""
    return full(size, fill_value, dtype=dtype or self.dtype, device=self.device if device is None else device, requires_grad=requires_grad, **rare)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A tensor of `data`, with this tensor's dtype unless given."""
    return tensor(data, dtype=dtype or self.dtype, device=self.device if device is None else device, requires_grad=requires_grad)


# ------------------------------------------------------------------------------------------------ from data
def _array_of(op: str, data, kind):
    """Python numbers, sequences, arrays and tensors as a NumPy array of the dtype PyTorch would choose."""
    if isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array__"):
        array = np.asarray(data)
        if array.dtype == object:
            raise TypeError(f"{op}: can't convert an array of Python objects; expected numbers")
    else:
        try:
            array = np.array(_plain(data))
        except ValueError:
            raise ValueError(f"{op}: expected sequences of equal lengths at each depth, got a ragged one") from None
        if array.dtype == object or array.dtype.kind in "USV":
            raise TypeError(f"{op}: expected numbers, sequences of numbers, an array or a tensor, got {type(data).__name__} {data!r:.60}")
        if array.dtype.kind == "f" and array.size and (kind is None or kind.category == dtypes.INT) and np.abs(array).max() >= 2.0**53:
            array = _whole(op, _plain(data), array, kind)  # NumPy takes ints beyond int64 as floats
        if array.dtype.kind == "f":
            if kind is None:
                with np.errstate(over="ignore"):
                    array = array.astype(dtypes.get_default_dtype().numpy or np.float32)
        elif array.dtype.kind == "c":
            array = array.astype(dtypes.get_default_dtype().to_complex().numpy) if kind is None else array
        elif array.dtype == np.uint64 and kind is not dtypes.uint64:
            raise RuntimeError(f"{op}: Overflow when unpacking long: {array.max()} is too large for int64")
        elif array.dtype.kind in "iu" and array.dtype not in (np.int64, np.uint64):
            array = array.astype(np.int64)
        if kind is not None and array.size and array.dtype.kind in "iuf":
            _check_number(op, array.min(), kind)
            _check_number(op, array.max(), kind)
        if not array.size and kind is None:
            array = array.astype(dtypes.get_default_dtype().numpy or np.float32)
    if kind is not None:
        if array.dtype.kind == "c" and not kind.is_complex:
            raise TypeError(f"{op}: can't convert complex numbers to {kind.name}; take their real parts first")
        array = array.astype(kind.numpy or np.float32)
    return array


def _whole(op: str, data, array, kind):
    """The array of Python numbers some of which are large, if all are ints: exact, or an error where the dtype is too small."""
    exact = np.array(data, dtype=object)
    if not all(isinstance(v, (_py_int, np.integer)) for v in exact.flat):
        return array
    for v in (min(exact.flat), max(exact.flat)):
        _check_number(op, v, kind or dtypes.int64)
    return exact.astype((kind or dtypes.int64).numpy)


def _of_card(data):
    """A tensor that shares the memory of another library's array on a card."""
    from numtape.interop import from_cuda_array

    number = getattr(getattr(data, "device", None), "id", None)  # CuPy's; the interface itself does not name the card
    return from_cuda_array(data, placed("cuda").index if number is None else int(number))


def _written(data, kind, device) -> Tensor | None:
    """A Python number, or a short list of numbers of one type, as a tensor; None where it takes more than writing them down."""
    numbers = data if type(data) is list else (data,)
    types = set(map(type, numbers))
    if len(types) != 1 or len(numbers) > 1000 or device is not cpu:
        return None
    given = types.pop()
    if given is _py_float:
        kind = dtypes.get_default_dtype() if kind is None else kind
        fits = kind.is_floating_point
    elif given is _py_int:
        kind = dtypes.int64 if kind is None else kind
        fits = (kind.is_floating_point or kind is dtypes.int64) and min(numbers) >= -(2**53) and max(numbers) <= 2**53
    else:
        kind = dtypes.bool if kind is None else kind
        fits = given is _py_bool and kind is dtypes.bool
    cell = CELLS.get(kind.code)
    if not fits or cell is None:
        return None
    out = empty_of_spec(spec_of(kind, cpu, (len(data),) if numbers is data else ()), "tensor")
    (cell * len(numbers)).from_address(out._address)[:] = numbers
    return out


def _plain(data):
    """Tensors inside sequences as Python numbers and lists."""
    if type(data) in (list, tuple) and _NUMBERS.issuperset(map(type, data)):
        return data
    if isinstance(data, Tensor):
        return data.detach().cpu().numpy()
    if isinstance(data, (list, tuple)) and any(isinstance(v, (list, tuple, Tensor)) for v in data):
        return [_plain(v) for v in data]
    return data


@composite(creation=True)
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    "A new tensor with a copy of `data`: numbers, nested sequences, an array or a tensor."
    kind = None if dtype is None else dtypes.check("tensor", dtype)
    if type(data) in _WRITTEN:
        out = _written(data, kind, wanted(device))
        if out is not None:
            return _finish(out, requires_grad)
    if isinstance(data, Tensor):
        return _finish(data.detach().to(device, kind, copy=True), requires_grad)
    if hasattr(data, "__cuda_array_interface__"):
        return _finish(_of_card(data).to(device, kind, copy=True), requires_grad)
    out = from_array(_array_of("tensor", data, kind))
    if kind is None and not hasattr(data, "__array__") and out._spec.dtype.is_floating_point:
        kind = dtypes.get_default_dtype()
    return _finish(out.to(wanted(device), kind), requires_grad)


@composite(creation=True)
def as_tensor(data, dtype=None, device=None):
    "`data` as a tensor, sharing memory where it can."
    if isinstance(data, Tensor):
        return data.to(device, dtype)
    if isinstance(data, np.ndarray):
        return share_array(data).to(wanted(device), dtype)
    if hasattr(data, "__cuda_array_interface__"):
        return _of_card(data).to(device, dtype)
    return tensor(data, dtype=dtype, device=device)


@composite(creation=True)
def from_numpy(ndarray):
    "A tensor that shares the memory of a NumPy array."
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return share_array(ndarray)


@composite(creation=True)
def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False):
    "A zero-dimensional tensor of a number."
    return tensor(s, dtype=dtype or dtypes.get_default_dtype(), device=device, requires_grad=requires_grad)


# ------------------------------------------------------------------------------------------------ sequences
@composite(creation=True)
def arange(start=0, end=None, step=1, *, dtype=None, device=None, requires_grad=False, out=None, layout=None, **rare):
    "start, start + step, ... below `end`; int64 if all are ints, else the default dtype."
    if rare or out is not None:
        return rarely(arange, (start, end, step), out, dtype, device, requires_grad, rare)
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, (Tensor, np.generic)) else v for v in (start, end, step))
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(f"arange: upper bound and lower bound inconsistent with step sign: start {start}, end {end}, step {step}")
    whole = all(isinstance(v, _py_int) for v in (start, end, step))
    kind = (dtypes.int64 if whole else dtypes.get_default_dtype()) if dtype is None else dtypes.check("arange", dtype)
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    spec = _spec("arange", (max(count, 0),), kind, device)
    if not spec.numel:
        return _finish(empty_of_spec(spec, "arange"), requires_grad)
    if kind.differentiable:
        start, step = _py_float(start), _py_float(step)
    else:
        start, step = _py_int(start), _py_int(step)
    with placing(spec.device):
        table = pattern(spec.device, "fill").ramp("u8" if kind is dtypes.bool else kind.code, kind.differentiable, spec.numel)
    result = empty_of_spec(spec, "arange")
    launch(table.address, result._address, start, step)
    return _finish(result, requires_grad)


@composite(creation=True)
def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False, out=None, layout=None, **rare):
    "`steps` numbers from start to end, both included, at equal distances."
    if rare or out is not None:
        return rarely(linspace, (start, end, steps), out, dtype, device, requires_grad, rare)
    if steps < 0:
        raise RuntimeError(f"linspace: number of steps must be non-negative, got {steps}")
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if isinstance(start, complex) or isinstance(end, complex):
        kind = dtypes.get_default_dtype().to_complex() if dtype is None else dtypes.check("linspace", dtype)
        unit = linspace(0.0, 1.0, steps, dtype=kind.to_real(), device=device)
        return _finish((unit * (complex(end) - complex(start)) + complex(start)).to(kind), requires_grad)
    start, end = (_py_float(v) for v in (start, end))
    spec = _spec("linspace", (steps,), dtype, device)
    if not steps:
        return _finish(empty_of_spec(spec, "linspace"), requires_grad)
    with placing(spec.device):
        table = pattern(spec.device, "fill").linspace("u8" if spec.dtype is dtypes.bool else spec.dtype.code, steps)
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    result = empty_of_spec(spec, "linspace")
    launch(table.address, result._address, start, end, step)
    return _finish(result, requires_grad)


@composite(creation=True)
def eye(n, m=None, *, dtype=None, device=None, requires_grad=False, out=None, layout=None, **rare):
    "A matrix with ones on the diagonal and zeros elsewhere."
    if rare or out is not None:
        return rarely(eye, (n, m), out, dtype, device, requires_grad, rare)
    m = n if m is None else m
    out = zeros(n, m, dtype=dtype, device=device)
    diagonal = spec_of(out.dtype, out.device, (min(n, m),), (m + 1,))
    fill_(alias(out, diagonal), 1)
    out._storage.version = 0
    return _finish(out, requires_grad)
