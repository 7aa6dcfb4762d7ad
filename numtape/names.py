"""Names that PyTorch has at the top besides those of the ops: in-place functions, losses, settings, what a tensor is not.

>>> import numtape as nt
>>> x = nt.tensor([-1.0, 2.0])
>>> nt.relu_(x)
tensor([0., 2.])
>>> nt.typename(x)
'numtape.FloatTensor'
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from numtape import autograd, ops
from numtape.autograd import mode
from numtape.ops.reinterpret import UntypedStorage
from numtape.tensor import Tensor, rewrap

PUBLIC: dict[str, Any] = {"newaxis": None}


def public(function: Callable) -> Callable:
    PUBLIC[function.__name__] = function
    return function


# ------------------------------------------------------------------------------------------------ methods as functions
_IN_PLACE = """abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh as_strided asin asinh atan atanh ceil clamp clamp_max clamp_min
clip conj_physical cos cosh deg2rad detach erf erfc exp exp2 expm1 fill fix floor frac gcd i0 index_put lcm ldexp log log10 log1p log2 logit
nan_to_num neg negative rad2deg reciprocal resize_as round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero"""
for _name in _IN_PLACE.split():
    PUBLIC[f"{_name}_"] = getattr(Tensor, f"{_name}_")
PUBLIC["detach"] = Tensor.detach


def _copying(name: str, method: str) -> Callable:
    def function(input, *args, **kwargs):
        found = getattr(input, method)(*args, **kwargs)
        return tuple(t.clone() for t in found) if isinstance(found, (tuple, list)) else found.clone()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`Tensor.{method}` as a copy instead of a view."
    return function


_VIEWS = "as_strided detach diagonal expand permute select split split_with_sizes squeeze t transpose unbind unfold unsqueeze view"
for _name in _VIEWS.split():
    PUBLIC[f"{_name}_copy"] = _copying(f"{_name}_copy", _name)


@public
def fill(input, value):
    """A tensor of the input's shape and dtype with every element `value`."""
    return input.clone().fill_(value)


@public
def rsub(input, other, *, alpha=1):
    """other - alpha * input."""
    return other - (input if alpha == 1 else input * alpha)


# ------------------------------------------------------------------------------------------------ functions of nn.functional
def _functional(name: str) -> Callable:
    from numtape.nn import functional

    return getattr(functional, name)


def _borrowed(name: str, source: str, *order: str) -> Callable:
    """A function of nn.functional under the name, and with the order of arguments, that PyTorch's top level has."""

    def function(*args, **kwargs):
        if len(args) > len(order):
            raise TypeError(f"{name}() takes at most {len(order)} positional arguments ({', '.join(order)}) but {len(args)} were given")
        given = dict(zip(order, args))
        again = given.keys() & kwargs.keys()
        if again:
            raise TypeError(f"{name}() got multiple values for argument '{again.pop()}'")
        given |= kwargs
        if isinstance(given.get("reduction"), int):
            number = given["reduction"]
            if number not in (0, 1, 2):
                raise ValueError(f"{name}: {number} is not a valid value for reduction; expected 0 (none), 1 (mean) or 2 (sum)")
            given["reduction"] = ("none", "mean", "sum")[number]
        if "train" in given:
            given["training"] = given.pop("train")
        return _functional(source)(**given)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`nn.functional.{source}`" + (
        "; reduction is 'none', 'mean' or 'sum', or PyTorch's number 0, 1 or 2 for them." if "reduction" in order else "."
    )
    return function


_LOSSES = {
    "binary_cross_entropy_with_logits": "input target weight pos_weight reduction", "cosine_embedding_loss": "input1 input2 target margin reduction",
    "ctc_loss": "log_probs targets input_lengths target_lengths blank reduction zero_infinity", "hinge_embedding_loss": "input target margin reduction",
    "kl_div": "input target reduction log_target", "margin_ranking_loss": "input1 input2 target margin reduction",
    "poisson_nll_loss": "input target log_input full eps reduction", "triplet_margin_loss": "anchor positive negative margin p eps swap reduction",
}  # fmt: skip
for _name, _order in _LOSSES.items():
    PUBLIC[_name] = _borrowed(_name, _name, *_order.split())
for _name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):
    PUBLIC[_name] = _borrowed(_name, _name, "input", "p", "train")
for _name in ("relu", "selu"):
    PUBLIC[f"{_name}_"] = _borrowed(f"{_name}_", f"{_name}_", "input")
PUBLIC["celu_"] = _borrowed("celu_", "celu_", "input", "alpha")
PUBLIC["threshold_"] = _borrowed("threshold_", "threshold_", "input", "threshold", "value")
for _name in ("rrelu", "rrelu_"):
    PUBLIC[_name] = _borrowed(_name, _name, "input", "lower", "upper", "training")
for _name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):

    def _in_place(input, p, train, source=_name):
        return _functional(source)(input, p, train, True)

    _in_place.__name__ = _in_place.__qualname__ = f"{_name}_"
    _in_place.__doc__ = f"`nn.functional.{_name}` in place."
    PUBLIC[f"{_name}_"] = _in_place


@public
def conv_tbc(input, weight, bias, pad=0):
    """A convolution in one dim of (time, batch, channels), with weights of (size, channels in, channels out)."""
    found = _functional("conv1d")(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return found.permute(2, 0, 1)


# ------------------------------------------------------------------------------------------------ what things are
@public
def typename(obj, /) -> str:
    """The name of the type of a tensor (`numtape.FloatTensor`) or of anything else."""
    if isinstance(obj, Tensor):
        return obj.type()  # type: ignore[attr-defined]
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", "")
    return kind.__qualname__ if module in ("", "builtins", "__builtin__", None) else f"{module}.{kind.__qualname__}"


@public
def is_storage(obj, /) -> bool:
    """Whether it is the storage of a tensor."""
    return isinstance(obj, UntypedStorage)


@public
def is_distributed(input) -> bool:
    """Whether a tensor is spread over machines: never."""
    return input.is_distributed()


# ------------------------------------------------------------------------------------------------ settings
_settings = {"matmul": "highest", "deterministic": 0, "warn always": False}


@public
def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has set, 'highest' at first."""
    return _settings["matmul"]  # type: ignore[return-value]


@public
def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 a lower precision ('high', 'medium'), which numtape does not make use of: they are float32 throughout."""
    if precision not in ("highest", "high", "medium"):
        warnings.warn(f"{precision} is not one of 'highest', 'high', and 'medium'; the current setting stays: {_settings['matmul']}", stacklevel=2)
        return
    _settings["matmul"] = precision


@public
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic results, which numtape's always are: the same bits for any number of threads."""
    _settings["deterministic"] = (1 if warn_only else 2) if mode else 0


@public
def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms(True)` was called."""
    return _settings["deterministic"] != 0


@public
def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether it was called with warn_only."""
    return _settings["deterministic"] == 1


@public
def get_deterministic_debug_mode() -> int:
    """0, 1 or 2 for 'default', 'warn' or 'error'."""
    return _settings["deterministic"]  # type: ignore[return-value]


@public
def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set by number or by name what `use_deterministic_algorithms` sets."""
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    names = {"default": 0, "warn": 1, "error": 2}
    number = names.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if number not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected one of default, warn, error (0, 1, 2), got {debug_mode}")
    _settings["deterministic"] = number


@public
def set_warn_always(b: bool, /) -> None:
    """Whether PyTorch would repeat its warnings; numtape leaves that to Python's `warnings`."""
    _settings["warn always"] = bool(b)


@public
def is_warn_always_enabled() -> bool:
    """What `set_warn_always` has set."""
    return bool(_settings["warn always"])


@public
def get_num_interop_threads() -> int:
    """How many operations run beside each other on the CPU: one."""
    return 1


@public
def set_num_interop_threads(count: int) -> None:
    """One operation runs after the other; another number is refused."""
    if count != 1:
        raise RuntimeError(f"set_num_interop_threads: expected 1, for operations run one after the other; got {count}")


@public
def set_flush_denormal(mode: bool) -> bool:
    """Whether denormal numbers could be set to be flushed to zero: they never are, so False."""
    return False


@public
def is_inference_mode_enabled() -> bool:
    """Whether the code runs within `inference_mode`."""
    return getattr(mode.state, "inference", False)


@public
def is_anomaly_enabled() -> bool:
    """Whether the tape keeps the place of every operation, for errors of backward."""
    return bool(mode.state.anomaly)


@public
def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for NaN in gradients."""
    return getattr(mode.state, "check_nan", True)


@public
def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly detection on or off."""
    autograd.set_detect_anomaly(mode, check_nan)


# ------------------------------------------------------------------------------------------------ what a tensor is not
_ELSEWHERE = "ipu maia meta mkldnn mps mtia nested quantized sparse sparse_csr vulkan xla xpu"
for _name in _ELSEWHERE.split():
    setattr(Tensor, f"is_{_name}", property(lambda self: False, doc="Never: numtape has strided tensors on CPUs and NVIDIA GPUs."))
for _name in ("is_pinned", "is_shared", "is_distributed"):

    def _never(self, *args) -> bool:
        """Never."""
        return False

    _never.__name__ = _name
    setattr(Tensor, _name, _never)
for _name in ("coalesce", "is_coalesced", "indices", "values", "crow_indices", "col_indices", "ccol_indices", "row_indices"):

    def _sparse_only(self, name=_name):
        """Of sparse tensors only, which numtape does not have."""
        raise RuntimeError(f"{name} expected sparse tensor layout but got Strided")

    _sparse_only.__name__ = _name
    setattr(Tensor, _name, _sparse_only)


def pin_memory(self, device=None):
    """The tensor itself: copies to a GPU go through pinned memory of numtape's own. An error where there is no GPU, as in PyTorch."""
    from numtape import cuda

    if not cuda.is_available():
        raise RuntimeError("pin_memory: Cannot access accelerator device when none is available.")
    return self


def share_memory_(self):
    """Refused: memory cannot be moved to where other processes see it."""
    raise NotImplementedError("share_memory_: numtape's tensors cannot be shared between processes; pass arrays of multiprocessing.shared_memory by from_numpy")


def dim_order(self, *, ambiguity_check=False) -> tuple[int, ...]:
    """The dims as they lie in memory, from the outermost."""
    return tuple(sorted(range(self.ndim), key=lambda d: -self.stride(d)))


def to_dense(self, dtype=None, *, masked_grad=None):
    """The tensor itself, for all are dense; with another dtype if one is given."""
    return self if dtype is None else self.to(dtype)


def sum_to_size(self, *size):
    """The sum over the dims in which a tensor of `size` would be broadcast to this one's shape."""
    from numtape.ops.view import sizes_of, sum_to

    shape = sizes_of("sum_to_size", size)
    lead = self.ndim - len(shape)
    if lead < 0 or any(a not in (1, b) for a, b in zip(shape, self.shape[lead:])):
        raise RuntimeError(f"sum_to_size: size {list(shape)} is not expandable to size {list(self.shape)}.")
    return sum_to(self, shape)


def as_subclass(self, cls):
    """The same memory and history as an instance of a subclass of Tensor."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"as_subclass: cls must be a type that inherits from Tensor, got {cls!r}")
    return rewrap(cls, self)


def resize(self, *sizes):
    """Deprecated: the same elements in another shape; use view or reshape."""
    from numtape.ops.view import sizes_of

    warnings.warn("non-inplace resize is deprecated", stacklevel=2)
    shape = sizes_of("resize", sizes)
    count = 1
    for n in shape:
        count *= n
    if count != self.numel():
        raise RuntimeError(f"resize: requested {list(shape)} of {count} elements, but the tensor has {self.numel()}; resize keeps their number")
    return self.contiguous().view(shape)


for _method in (pin_memory, share_memory_, dim_order, to_dense, sum_to_size, as_subclass, resize):
    setattr(Tensor, _method.__name__, _method)
Tensor.resize_as = lambda self, tensor: resize(self, *tensor.shape)  # type: ignore[attr-defined]
Tensor.output_nr = 0  # type: ignore[attr-defined]
Tensor.name = None  # type: ignore[attr-defined]
Tensor.sparse_dim = lambda self: 0  # type: ignore[attr-defined]
Tensor.dense_dim = lambda self: self.ndim  # type: ignore[attr-defined]
PUBLIC["alias_copy"] = ops.PUBLIC["clone"]
PUBLIC["spmm"] = PUBLIC["dsmm"] = ops.PUBLIC["mm"]
