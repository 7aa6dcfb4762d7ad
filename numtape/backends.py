"""Switches of PyTorch's backends, so that programs which set them run. numtape has one backend of its own: its kernels are deterministic as they are
and compute float32 in float32, so `deterministic` says what holds and the others are kept without effect.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace


def _never(*_args, **_kwargs) -> bool:
    """Whether numtape uses it: no."""
    return False


@contextlib.contextmanager
def _flags(namespace, **values):
    """Set switches for a while."""
    before = {name: getattr(namespace, name) for name in values}
    namespace.__dict__.update(values)
    try:
        yield
    finally:
        namespace.__dict__.update(before)


cudnn = SimpleNamespace(
    enabled=True, deterministic=True, benchmark=False, allow_tf32=False, benchmark_limit=10, version=lambda: None, is_available=_never, is_acceptable=_never
)
cudnn.flags = lambda enabled=False, benchmark=False, benchmark_limit=10, deterministic=False, allow_tf32=True: _flags(
    cudnn, enabled=enabled, benchmark=benchmark, benchmark_limit=benchmark_limit, deterministic=deterministic, allow_tf32=allow_tf32
)


def _cuda_built() -> bool:
    """Whether numtape can use NVIDIA GPUs, if there are any: always."""
    return True


_matmul = SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=False, allow_bf16_reduced_precision_reduction=False, fp32_precision="ieee")
_attention = dict.fromkeys(("flash_sdp_enabled", "mem_efficient_sdp_enabled", "cudnn_sdp_enabled"), _never)
cuda = SimpleNamespace(matmul=_matmul, is_built=_cuda_built, math_sdp_enabled=lambda: True, **_attention)
for _name in ("enable_flash_sdp", "enable_mem_efficient_sdp", "enable_math_sdp", "enable_cudnn_sdp"):
    setattr(cuda, _name, lambda enabled: None)
mps = SimpleNamespace(is_available=_never, is_built=_never)
xpu = SimpleNamespace(is_available=_never)
mkl = SimpleNamespace(is_available=_never)
mkldnn = SimpleNamespace(is_available=_never, enabled=False)
openmp = SimpleNamespace(is_available=_never)
opt_einsum = SimpleNamespace(is_available=_never, enabled=False, strategy=None)
