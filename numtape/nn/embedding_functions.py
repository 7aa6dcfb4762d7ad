"""Embeddings, names of `nn.functional`."""

from __future__ import annotations

from typing import Any

import numtape as nt

__all__ = ["embedding", "embedding_bag"]


def _padding(padding_idx: int | None, weight: Any) -> int:
    if padding_idx is None:
        return -1
    n = weight.shape[0]
    if not -n <= padding_idx < n:
        raise AssertionError(f"padding_idx must be within the number of embeddings, got {padding_idx} for {n}")
    return padding_idx % n


def _shorten(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    "Scale the rows that are named down to the norm `max_norm`, in place."
    with nt.no_grad():
        length = weight.norm(norm_type, 1, keepdim=True)
        named = _named(index, weight.shape[0]).unsqueeze(1)
        weight.mul_(nt.where(named & (length > max_norm), max_norm / (length + 1e-7), 1.0))


def _named(index: Any, n: int) -> Any:
    "Which of n rows an index names."
    flat = index.reshape(-1).to(nt.int64)
    ones = nt.ones(flat.shape, device=flat.device)
    return nt.ops.index.index_add_into_zeros(ones, 0, flat, nt.empty(n, device=flat.device)._spec) > 0


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of `weight` that `input` names.

    input: int64 or int32, any shape; weight: (V, D); returns (*input.shape, D). Row `padding_idx` gets no gradient. max_norm: rows that
    are named are first scaled down to this `norm_type`-norm, in place. scale_grad_by_freq: gradients are divided by how often a row is
    named. `sparse` changes nothing: gradients are dense.

    Raises IndexError where an index is out of range, AssertionError where `padding_idx` is.

    >>> nt.nn.functional.embedding(nt.tensor([2, 0]), nt.tensor([[1.0], [2.0], [3.0]]))
    tensor([[3.],
            [1.]])
    """
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    return nt.embedding(weight, input, _padding(padding_idx, weight), scale_grad_by_freq, sparse)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of the rows of `weight` in each bag; `mode` says which.

    input: (B, n), bags of one size, or (N,), with `offsets` (B,), where each begins (and with `include_last_offset` (B + 1,), where the last
    ends, too); weight: (V, D); returns (B, D). per_sample_weights: a factor for each index, for sums alone. Indices equal to `padding_idx`
    count nothing. Empty bags give zeros. The others as in `embedding`.

    Raises ValueError where shapes do not fit, RuntimeError where offsets do not ascend from 0, NotImplementedError for weights with another mode than "sum".

    >>> nt.nn.functional.embedding_bag(nt.tensor([0, 1, 1]), nt.tensor([[1.0], [3.0]]), nt.tensor([0, 2]))
    tensor([[2.],
            [3.]])
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if tuple(per_sample_weights.shape) != tuple(input.shape):
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, then it must have the same shape as the "
                f"input ({list(input.shape)})"
            )
        if mode != "sum":
            raise NotImplementedError(f"embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got mode='{mode}').")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences.")
        starts = nt.arange(input.shape[0], device=input.device) * input.shape[1]
    elif input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        starts = offsets.to(nt.int64)
        if starts.numel() and int(starts[0]) != 0:
            raise RuntimeError(f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got {int(starts[0])}")
        if starts.numel() and int(starts[-1]) > input.shape[0]:
            raise RuntimeError(f"offsets[-1] can not be greater than input's length {input.shape[0]}, got {int(starts[-1])}")
        if starts.numel() > 1 and bool((starts[1:] < starts[:-1]).any()):
            raise RuntimeError("offsets have to be in ascending order")
        if include_last_offset:
            input = input[: int(starts[-1])]
            per_sample_weights = None if per_sample_weights is None else per_sample_weights[: int(starts[-1])]
            starts = starts[:-1]
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    share = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    return nt.ops.embedding.bags(weight, input, starts, mode, share, _padding(padding_idx, weight), scale_grad_by_freq)
