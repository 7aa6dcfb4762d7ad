"""Pooling, names of `nn.functional`. Images are (N, C, L), (N, C, H, W) or (N, C, D, H, W); N may be left out."""

from __future__ import annotations

from typing import Any

import numtape as nt


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """The largest element of each window of (N, C, L), windows `stride` (the kernel's size by default) apart.

    With `return_indices` also their positions in the flattened plane. `ceil_mode` counts windows that hang over the end.

    >>> nt.nn.functional.max_pool1d(nt.arange(4.0).reshape(1, 4), 2).flatten()[:2]
    tensor([1., 3.])
    """
    if return_indices:
        return max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return nt.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool1d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """`max_pool1d` with the positions, whatever `return_indices` says.

    >>> nt.nn.functional.max_pool1d_with_indices(nt.arange(4.0).reshape(1, 4), 4)[1].flatten()
    tensor([3])
    """
    return nt.ops.pooling.max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_unpool1d(input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Any:
    """Zeros with the elements of input (N, C, L) at `indices`, the positions that `max_pool1d` gave.

    >>> F = nt.nn.functional
    >>> F.max_unpool1d(*F.max_pool1d(nt.arange(4.0).reshape(1, 4), 4, return_indices=True), 4).flatten()[-2:]
    tensor([0., 3.])
    """
    return nt.ops.pooling.max_unpool1d(input, indices, kernel_size, stride, padding, output_size)


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
) -> Any:
    """The average of each window of (N, C, L). `count_include_pad` counts padding as zeros.

    >>> nt.nn.functional.avg_pool1d(nt.arange(4.0).reshape(1, 4), 4).flatten()
    tensor([1.5000])
    """
    return nt.avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def lp_pool1d(input: Any, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of (N, C, L), p being `norm_type`.

    >>> nt.nn.functional.lp_pool1d(nt.arange(4.0).reshape(1, 4), 2.0, 4).flatten().round()
    tensor([4.])
    """
    return nt.ops.pooling.lp_pool1d(input, norm_type, kernel_size, stride, ceil_mode)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The averages of as many parts of (N, C, L) as `output_size` says.

    >>> nt.nn.functional.adaptive_avg_pool1d(nt.arange(4.0).reshape(1, 4), 1).flatten()
    tensor([1.5000])
    """
    return nt.adaptive_avg_pool1d(input, output_size)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of as many parts of (N, C, L) as `output_size` says; with `return_indices` also their positions.

    >>> nt.nn.functional.adaptive_max_pool1d(nt.arange(4.0).reshape(1, 4), 1).flatten()
    tensor([3.])
    """
    values, indices = nt.adaptive_max_pool1d(input, output_size)
    return (values, indices) if return_indices else values


def adaptive_max_pool1d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool1d` with the positions, whatever `return_indices` says.

    >>> nt.nn.functional.adaptive_max_pool1d_with_indices(nt.arange(4.0).reshape(1, 4), 1)[1].flatten()
    tensor([3])
    """
    return nt.adaptive_max_pool1d(input, output_size)


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """The largest element of each window of (N, C, H, W), windows `stride` (the kernel's size by default) apart.

    With `return_indices` also their positions in the flattened plane. `ceil_mode` counts windows that hang over the end.

    >>> nt.nn.functional.max_pool2d(nt.arange(16.0).reshape(1, 4, 4), 2).flatten()[:2]
    tensor([5., 7.])
    """
    if return_indices:
        return max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return nt.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """`max_pool2d` with the positions, whatever `return_indices` says.

    >>> nt.nn.functional.max_pool2d_with_indices(nt.arange(16.0).reshape(1, 4, 4), 4)[1].flatten()
    tensor([15])
    """
    return nt.ops.pooling.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_unpool2d(input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Any:
    """Zeros with the elements of input (N, C, H, W) at `indices`, the positions that `max_pool2d` gave.

    >>> F = nt.nn.functional
    >>> F.max_unpool2d(*F.max_pool2d(nt.arange(16.0).reshape(1, 4, 4), 4, return_indices=True), 4).flatten()[-2:]
    tensor([ 0., 15.])
    """
    return nt.ops.pooling.max_unpool2d(input, indices, kernel_size, stride, padding, output_size)


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None
) -> Any:
    """The average of each window of (N, C, H, W).

    `divisor_override` is what sums are divided by; otherwise it is the number of elements, with `count_include_pad` counting padding.

    >>> nt.nn.functional.avg_pool2d(nt.arange(16.0).reshape(1, 4, 4), 4).flatten()
    tensor([7.5000])
    """
    return nt.ops.pooling.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def lp_pool2d(input: Any, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of (N, C, H, W), p being `norm_type`.

    >>> nt.nn.functional.lp_pool2d(nt.arange(16.0).reshape(1, 4, 4), 2.0, 4).flatten().round()
    tensor([35.])
    """
    return nt.ops.pooling.lp_pool2d(input, norm_type, kernel_size, stride, ceil_mode)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The averages of as many parts of (N, C, H, W) as `output_size` says. None keeps a dim.

    >>> nt.nn.functional.adaptive_avg_pool2d(nt.arange(16.0).reshape(1, 4, 4), 1).flatten()
    tensor([7.5000])
    """
    return nt.ops.pooling.adaptive_avg_pool2d(input, output_size)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of as many parts of (N, C, H, W) as `output_size` says; with `return_indices` also their positions.

    >>> nt.nn.functional.adaptive_max_pool2d(nt.arange(16.0).reshape(1, 4, 4), 1).flatten()
    tensor([15.])
    """
    values, indices = nt.ops.pooling.adaptive_max_pool2d(input, output_size)
    return (values, indices) if return_indices else values


def adaptive_max_pool2d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` with the positions, whatever `return_indices` says.

    >>> nt.nn.functional.adaptive_max_pool2d_with_indices(nt.arange(16.0).reshape(1, 4, 4), 1)[1].flatten()
    tensor([15])
    """
    return nt.ops.pooling.adaptive_max_pool2d(input, output_size)


def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """The largest element of each window of (N, C, D, H, W), windows `stride` (the kernel's size by default) apart.

    With `return_indices` also their positions in the flattened plane. `ceil_mode` counts windows that hang over the end.

    >>> nt.nn.functional.max_pool3d(nt.arange(64.0).reshape(1, 4, 4, 4), 2).flatten()[:2]
    tensor([21., 23.])
    """
    if return_indices:
        return max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return nt.max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
) -> Any:
    """`max_pool3d` with the positions, whatever `return_indices` says.

    >>> nt.nn.functional.max_pool3d_with_indices(nt.arange(64.0).reshape(1, 4, 4, 4), 4)[1].flatten()
    tensor([63])
    """
    return nt.ops.pooling.max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_unpool3d(input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Any:
    """Zeros with the elements of input (N, C, D, H, W) at `indices`, the positions that `max_pool3d` gave.

    >>> F = nt.nn.functional
    >>> F.max_unpool3d(*F.max_pool3d(nt.arange(64.0).reshape(1, 4, 4, 4), 4, return_indices=True), 4).flatten()[-2:]
    tensor([ 0., 63.])
    """
    return nt.ops.pooling.max_unpool3d(input, indices, kernel_size, stride, padding, output_size)


def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None
) -> Any:
    """The average of each window of (N, C, D, H, W).

    `divisor_override` is what sums are divided by; otherwise it is the number of elements, with `count_include_pad` counting padding.

    >>> nt.nn.functional.avg_pool3d(nt.arange(64.0).reshape(1, 4, 4, 4), 4).flatten()
    tensor([31.5000])
    """
    return nt.ops.pooling.avg_pool3d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def lp_pool3d(input: Any, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of (N, C, D, H, W), p being `norm_type`.

    >>> nt.nn.functional.lp_pool3d(nt.arange(64.0).reshape(1, 4, 4, 4), 2.0, 4).flatten().round()
    tensor([292.])
    """
    return nt.ops.pooling.lp_pool3d(input, norm_type, kernel_size, stride, ceil_mode)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """The averages of as many parts of (N, C, D, H, W) as `output_size` says. None keeps a dim.

    >>> nt.nn.functional.adaptive_avg_pool3d(nt.arange(64.0).reshape(1, 4, 4, 4), 1).flatten()
    tensor([31.5000])
    """
    return nt.ops.pooling.adaptive_avg_pool3d(input, output_size)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of as many parts of (N, C, D, H, W) as `output_size` says; with `return_indices` also their positions.

    >>> nt.nn.functional.adaptive_max_pool3d(nt.arange(64.0).reshape(1, 4, 4, 4), 1).flatten()
    tensor([63.])
    """
    values, indices = nt.ops.pooling.adaptive_max_pool3d(input, output_size)
    return (values, indices) if return_indices else values


def adaptive_max_pool3d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """`adaptive_max_pool3d` with the positions, whatever `return_indices` says.

    >>> nt.nn.functional.adaptive_max_pool3d_with_indices(nt.arange(64.0).reshape(1, 4, 4, 4), 1)[1].flatten()
    tensor([63])
    """
    return nt.ops.pooling.adaptive_max_pool3d(input, output_size)
