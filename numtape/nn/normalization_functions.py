"""Normalisation over batches, groups and rows, names of `nn.functional`."""

from __future__ import annotations

from typing import Any

import numtape as nt

__all__ = ["batch_norm", "group_norm", "instance_norm", "local_response_norm", "normalize", "rms_norm"]


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """The input with mean 0 and variance 1 for each channel, then times `weight` plus `bias` where given. Ioffe & Szegedy 2015.

    input: (N, C, *); the others: (C,). In training the statistics are the batch's own, and move the running ones (if given) by
    `momentum`; otherwise they are the running ones. Raises ValueError where in training a channel has one value alone.

    >>> nt.nn.functional.batch_norm(nt.tensor([[1.0], [3.0]]), None, None, training=True).round()
    tensor([[-1.],
            [ 1.]])
    """
    if training:
        _refuse_single_values(input.shape)
    return nt.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


def _refuse_single_values(shape: Any) -> None:
    count = shape[0] if shape else 1
    for n in shape[2:]:
        count *= n
    if count == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """The input with mean 0 and variance 1 for each group of channels of each item, then times `weight` plus `bias`. Wu & He 2018.

    input: (N, C, *), C divisible by `num_groups`; weight, bias: (C,). Raises RuntimeError where sizes do not fit.

    >>> nt.nn.functional.group_norm(nt.tensor([[1.0, 3.0, 10.0, 20.0]]), 2).round()
    tensor([[-1.,  1., -1.,  1.]])
    """
    return nt.group_norm(input, num_groups, weight, bias, eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """The input with mean 0 and variance 1 for each channel of each item, then times `weight` plus `bias`. Ulyanov et al. 2016.

    input: (N, C, *); the others: (C,). Without `use_input_stats` by the running statistics. Raises ValueError where a channel has
    one position alone.

    >>> nt.nn.functional.instance_norm(nt.tensor([[[1.0, 3.0]]])).round()
    tensor([[[-1.,  1.]]])
    """
    if use_input_stats:
        count = 1
        for n in input.shape[2:]:
            count *= n
        if count == 1:
            raise ValueError(f"Expected more than 1 spatial element when training, got input size {list(input.shape)}")
    return nt.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """The input divided by the root of its mean square over its last dims, then times `weight`. Zhang & Sennrich 2019.

    input and result: (*, *normalized_shape); weight: normalized_shape. `eps` is the smallest step of the dtype unless given.

    >>> nt.nn.functional.rms_norm(nt.tensor([[3.0, 3.0]]), (2,))
    tensor([[1., 1.]])
    """
    return nt.rms_norm(input, normalized_shape, weight, eps)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha * m)**beta, m the mean square over `size` neighbouring channels. Krizhevsky et al. 2012.

    input: (N, C, *). Raises ValueError where there are fewer than three dims.

    >>> nt.nn.functional.local_response_norm(nt.ones(1, 2, 1), 1, alpha=3.0, beta=0.5)
    tensor([[[0.5000],
             [0.5000]]])
    """
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality                          input (got {input.ndim} dimensions)")
    if input.numel() == 0:
        return input
    square, before = input * input, size // 2
    shape = list(square.shape)
    parts = [square.new_zeros([shape[0], n, *shape[2:]]) for n in (before, size - 1 - before)]
    padded = nt.cat([parts[0], square, parts[1]], 1)
    total = padded.narrow(1, 0, shape[1])
    for k_ in range(1, size):
        total = total + padded.narrow(1, k_, shape[1])
    return input / (total * (alpha / size) + k) ** beta


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """The input divided by its p-norm along `dim`, or by `eps` where the norm is smaller. input and result: any shape.

    >>> nt.nn.functional.normalize(nt.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    length = nt.norm(input, p, dim, keepdim=True).clamp_min(eps)
    return nt.div(input, length, out=out) if out is not None else input / length
