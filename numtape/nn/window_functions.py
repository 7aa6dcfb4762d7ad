"""Convolutions, columns, padding, resampling and shuffles, names of `nn.functional`. Images are (N, C, L), (N, C, H, W) or (N, C, D, H, W); N may be left out."""

from __future__ import annotations

import warnings
from typing import Any

import numtape as nt


def conv1d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    """The convolution (cross-correlation) of an image by the kernels `weight`.

    input: (N, C, L), weight: (O, C / groups, K), bias: (O,); returns (N, O, ...). `padding` is a number of zeros, or "valid" (none) or
    "same" (the result has the input's size; stride 1 only). Raises RuntimeError where shapes or dtypes do not fit.

    >>> nt.nn.functional.conv1d(nt.ones(1, 1, 4), nt.ones(1, 1, 3), stride=1).shape
    numtape.Size([1, 1, 2])
    """
    return nt.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    """The convolution (cross-correlation) of an image by the kernels `weight`.

    input: (N, C, H, W), weight: (O, C / groups, KH, KW), bias: (O,); returns (N, O, ...). `padding` is a number of zeros, or "valid" (none) or
    "same" (the result has the input's size; stride 1 only). Raises RuntimeError where shapes or dtypes do not fit.

    >>> nt.nn.functional.conv2d(nt.ones(1, 1, 4, 4), nt.ones(1, 1, 3, 3), stride=1).shape
    numtape.Size([1, 1, 2, 2])
    """
    return nt.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv3d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    """The convolution (cross-correlation) of an image by the kernels `weight`.

    input: (N, C, D, H, W), weight: (O, C / groups, KD, KH, KW), bias: (O,); returns (N, O, ...). `padding` is a number of zeros, or "valid" (none) or
    "same" (the result has the input's size; stride 1 only). Raises RuntimeError where shapes or dtypes do not fit.

    >>> nt.nn.functional.conv3d(nt.ones(1, 1, 4, 4, 4), nt.ones(1, 1, 3, 3, 3), stride=1).shape
    numtape.Size([1, 1, 2, 2, 2])
    """
    return nt.conv3d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1
) -> Any:
    """The transposed convolution: what the gradient of `conv1d` with respect to its input is.

    input: (N, C, L), weight: (C, O / groups, K), bias: (O,); returns (N, O, ...), of size
    (n - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1 in each dim.

    >>> nt.nn.functional.conv_transpose1d(nt.ones(1, 1, 4), nt.ones(1, 1, 2), stride=2).shape
    numtape.Size([1, 1, 8])
    """
    return nt.conv_transpose1d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1
) -> Any:
    """The transposed convolution: what the gradient of `conv2d` with respect to its input is.

    input: (N, C, H, W), weight: (C, O / groups, KH, KW), bias: (O,); returns (N, O, ...), of size
    (n - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1 in each dim.

    >>> nt.nn.functional.conv_transpose2d(nt.ones(1, 1, 4, 4), nt.ones(1, 1, 2, 2), stride=2).shape
    numtape.Size([1, 1, 8, 8])
    """
    return nt.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1
) -> Any:
    """The transposed convolution: what the gradient of `conv3d` with respect to its input is.

    input: (N, C, D, H, W), weight: (C, O / groups, KD, KH, KW), bias: (O,); returns (N, O, ...), of size
    (n - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1 in each dim.

    >>> nt.nn.functional.conv_transpose3d(nt.ones(1, 1, 4, 4, 4), nt.ones(1, 1, 2, 2, 2), stride=2).shape
    numtape.Size([1, 1, 8, 8, 8])
    """
    return nt.conv_transpose3d(input, weight, bias, stride, padding, output_padding, groups, dilation)


# ---- columns ----


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The elements under each window of an image (N, C, H, W), as columns (N, C * KH * KW, L): im2col.

    >>> nt.nn.functional.unfold(nt.arange(4.0).reshape(1, 1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    return nt.ops.convolution.im2col(input, kernel_size, dilation, padding, stride)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns (N, C * KH * KW, L) added up where they lie in an image (N, C, *output_size): col2im, the adjoint of `unfold`.

    >>> nt.nn.functional.fold(nt.ones(1, 4, 2), (2, 3), 2)
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """
    return nt.ops.convolution.col2im(input, output_size, kernel_size, dilation, padding, stride)


# ---- padding ----


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """The input with its last dims made longer: `pad` is (before, behind) of the last dim, then of the one before it, and so on.

    `mode`: "constant" (of `value`, 0), "reflect", "replicate" or "circular"; negative numbers cut off. Raises RuntimeError where the
    padding does not fit, NotImplementedError for another mode or number of dims.

    >>> nt.nn.functional.pad(nt.tensor([[1.0, 2.0, 3.0]]), (1, 2), mode="circular")
    tensor([[3., 1., 2., 3., 1., 2.]])
    """
    return nt.ops.padding.pad(input, pad, mode, value)


# ---- resampling ----


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """The image (N, C, ...) at another `size`, or larger by `scale_factor`.

    `mode`: "nearest", "nearest-exact", "area", "linear" (3D input), "bilinear", "bicubic" (4D), "trilinear" (5D). `align_corners`: whether the
    outermost elements' centers, and not the edges, stay where they are. `antialias`: wider windows where the image gets smaller (4D).

    >>> nt.nn.functional.interpolate(nt.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
    tensor([[[1.0000, 1.5000, 2.5000, 3.0000]]])
    """
    return nt.ops.resampling.interpolate(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)


def upsample(input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None) -> Any:
    """The former name of `interpolate`.

    >>> with warnings.catch_warnings(action="ignore"):
    ...     nt.nn.functional.upsample(nt.ones(1, 1, 2), scale_factor=2).shape
    numtape.Size([1, 1, 4])
    """
    _former("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """The former name of `interpolate` by mode "nearest".

    >>> with warnings.catch_warnings(action="ignore"):
    ...     nt.nn.functional.upsample_nearest(nt.ones(1, 1, 2), size=3).shape
    numtape.Size([1, 1, 3])
    """
    _former("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """The former name of `interpolate` by mode "bilinear" with `align_corners`.

    >>> with warnings.catch_warnings(action="ignore"):
    ...     nt.nn.functional.upsample_bilinear(nt.ones(1, 1, 1, 2), size=(1, 3)).shape
    numtape.Size([1, 1, 1, 3])
    """
    _former("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _former(name: str) -> None:
    warnings.warn(f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3)


def _corners(name: str, align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn(f"{name}: the default is align_corners=False; give it to silence this warning.", stacklevel=3)
    return bool(align_corners)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The places at which `grid_sample` finds an image of `size` (N, C, ...) moved by affine maps theta: (N, 2, 3) or (N, 3, 4).

    Returns (N, H, W, 2) or (N, D, H, W, 3). Raises ValueError where theta does not fit the size.

    >>> nt.nn.functional.affine_grid(nt.eye(2, 3).unsqueeze(0), (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    align = _corners("affine_grid", align_corners)
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError(f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size {size}.")
    n = len(size) - 2
    if theta.ndim != 3 or tuple(theta.shape[-2:]) != (n, n + 1):
        raise ValueError(f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. Got {theta.shape}.")
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return nt.affine_grid_generator(theta, size, align)


def grid_sample(input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None) -> Any:
    """The image (N, C, ...) at the places of `grid` (N, ..., 2 or 3): -1 is the first edge of a dim, 1 the last; the last dim comes first.

    `mode`: "bilinear", "nearest" or "bicubic"; `padding_mode`: what lies outside, "zeros", "border" or "reflection".

    >>> nt.nn.functional.grid_sample(nt.arange(4.0).reshape(1, 1, 2, 2), nt.zeros(1, 1, 1, 2), align_corners=False)
    tensor([[[[1.5000]]]])
    """
    modes, paddings = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    if mode not in modes:
        raise ValueError(f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'")
    if padding_mode not in paddings:
        raise ValueError(f"nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '{padding_mode}'")
    align = _corners("grid_sample", align_corners)
    return nt.grid_sampler(input, grid, modes.index(mode), paddings.index(padding_mode), align)


# ---- shuffles ----


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels become pixels: (..., C * r * r, H, W) as (..., C, H * r, W * r).

    >>> nt.nn.functional.pixel_shuffle(nt.arange(4.0).reshape(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])
    """
    return nt.pixel_shuffle(input, upscale_factor)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Pixels become channels: (..., C, H * r, W * r) as (..., C * r * r, H, W).

    >>> nt.nn.functional.pixel_unshuffle(nt.arange(4.0).reshape(1, 2, 2), 2).shape
    numtape.Size([4, 1, 1])
    """
    return nt.pixel_unshuffle(input, downscale_factor)


def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels of (N, C, ...) dealt out: those of each of `groups` groups one after another.

    >>> nt.nn.functional.channel_shuffle(nt.arange(4.0).reshape(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    return nt.channel_shuffle(input, groups)
