"""What ops on images have in common: one to three spatial dims behind (N, C), or behind (C) where there is no batch."""

from __future__ import annotations

from numtape.ops.copy import tensor_of
from numtape.tensor import Tensor


def three(sizes, fill=1) -> tuple:
    """Sizes of one to three spatial dims as those of three: kernels count three."""
    return (fill,) * (3 - len(sizes)) + tuple(sizes)


def listed(name: str, label: str, value, count: int) -> tuple:
    """An argument that is a whole number, or one for each spatial dim."""
    if isinstance(value, (tuple, list)):
        found = tuple(value) * count if len(value) == 1 else tuple(value)
        if len(found) != count:
            raise RuntimeError(
                f"{name}: expected {label} to be a single integer value or a list of {count} values to match the spatial dimensions, but got {label}={list(value)}"
            )
    else:
        found = (value,) * count
    try:
        return tuple(n.__index__() for n in found)
    except AttributeError:
        raise TypeError(f"{name}(): argument '{label}' must be int or tuple of ints, not {type(found[0]).__name__}") from None


def positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many places a window has along a dim."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def batched(name: str, x, count: int) -> tuple[Tensor, bool]:
    """The input as (N, C, ...), and whether it came without N."""
    x = tensor_of(name, x)
    ndim = x._spec.ndim
    if ndim not in (count + 1, count + 2):
        raise RuntimeError(f"{name}: Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, but got input of size: {list(x.shape)}")
    return (x.unsqueeze(0), True) if ndim == count + 1 else (x, False)


def unbatched(x: Tensor, single: bool) -> Tensor:
    return x.squeeze(0) if single else x


# What belongs to `nn.functional` alone, and what is no method.
PRIVATE = {
    "avg_pool2d", "avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d", "max_unpool1d",
    "max_unpool2d", "max_unpool3d", "max_pool2d_with_indices", "max_pool3d_with_indices", "lp_pool1d", "lp_pool2d", "lp_pool3d", "im2col",
    "col2im", "interpolate", "pad",
}  # fmt: skip
FUNCTION_ONLY = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "max_pool1d", "max_pool2d", "max_pool3d",
    "max_pool1d_with_indices", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d", "constant_pad_nd", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "affine_grid_generator", "grid_sampler",
}  # fmt: skip
