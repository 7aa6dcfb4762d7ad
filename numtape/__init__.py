"""numtape: PyTorch's tensor and its tape-based autograd; every kernel is readable Python compiled by Numba.

>>> import numtape as nt
>>> x = nt.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

__version__ = "0.1.0"

from builtins import bool as bool_
from builtins import int as int_
from math import e, inf, nan, pi

from numtape import autograd, dtypes, kernels
from numtape.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from numtape.autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly_enabled
from numtape.device import device, get_default_device, set_default_device
from numtape.dtypes import (
    bfloat16,
    bool,
    can_cast,
    cdouble,
    cfloat,
    complex64,
    complex128,
    double,
    dtype,
    finfo,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from numtape.printing import set_printoptions
from numtape.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from numtape.spec import Size
from numtape.tensor import Tensor

from numtape.kernels.cpu import driver
from numtape import ops  # isort: skip  (needs the names above)
from numtape import copying, legacy, names  # isort: skip

globals().update(names.PUBLIC | ops.PUBLIC | legacy.PUBLIC)


def is_tensor(obj) -> bool_:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def get_num_threads() -> int_:
    """The number of threads that kernels are split among."""
    return driver.get_num_threads()


def set_num_threads(count: int_) -> None:
    """Set the number of threads; results are the same bits for any."""
    if not isinstance(count, int_) or isinstance(count, bool_):
        raise RuntimeError(f"set_num_threads expects an int, but got {type(count).__name__}")
    if count < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {count}")
    driver.set_num_threads(count)


def __getattr__(name: str):
    """Submodules that are loaded when first asked for."""
    if name in ("nn", "optim", "utils", "bench", "cuda", "linalg", "fft", "func", "special", "testing", "backends", "array_api", "cpu"):
        from importlib import import_module

        return import_module(f"numtape.{name}")
    if name == "vmap":
        from numtape.func import vmap

        return vmap
    if name == "from_dlpack":
        from numtape.interop import from_dlpack

        return from_dlpack
    raise AttributeError(f"module 'numtape' has no attribute {name!r}")
