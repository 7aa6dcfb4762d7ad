"""Connectionist temporal classification, a name of `nn.functional`."""

from __future__ import annotations

from typing import Any

import numtape as nt
from numtape.nn.loss_functions import _reduced

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """The negative log likelihood of label sequences over all their alignments with the input. Graves et al. 2006.

    log_probs: (T, N, C) or (T, C), log probabilities; targets: (N, S), or all labels one after another; input_lengths, target_lengths: (N,)
    tensors, tuples, or single numbers. Labels are classes other than `blank`. "mean" divides each loss by its target's length first. A target
    that cannot be aligned costs inf, or with `zero_infinity` nothing.

    Raises RuntimeError where lengths, labels or dtypes do not fit.

    >>> scores = nt.zeros(2, 1, 2).log_softmax(2)
    >>> nt.nn.functional.ctc_loss(scores, nt.tensor([[1]]), (2,), (1,))  # 3 of 4 ways
    tensor(0.2877)
    """
    if not log_probs.is_floating_point():
        raise RuntimeError(f"ctc_loss: log_probs must be floating point, got {log_probs.dtype}")
    if targets.dtype not in nt.ops.alignment.INTEGERS:
        raise RuntimeError(f"ctc_loss: targets must be int64 or int32, got {targets.dtype}")
    single = log_probs.ndim == 2
    scores = log_probs.unsqueeze(1) if single else log_probs
    if scores.ndim != 3:
        raise RuntimeError(f"ctc_loss: expected log_probs of 2 or 3 dims, (T, N, C) or (T, C), got {tuple(log_probs.shape)}")
    times, batch, classes = scores.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    given = []
    for name, lengths in (("input_lengths", input_lengths), ("target_lengths", target_lengths)):
        values = lengths.reshape(-1).tolist() if isinstance(lengths, nt.Tensor) else list(lengths) if isinstance(lengths, (tuple, list)) else [lengths]
        if len(values) != batch:
            raise RuntimeError(f"{name} must be of size batch_size, {batch}, got {len(values)}")
        if min(values, default=0) < 0:
            raise RuntimeError(f"Expected {name} to have non-negative values, got {min(values)}")
        given.append(values)
    if max(given[0], default=0) > times:
        raise RuntimeError(f"Expected input_lengths to have value at most {times}, but got value {max(given[0])}")
    inputs, lengths = (nt.tensor(v, dtype=nt.int64, device=scores.device) for v in given)
    labels, longest = targets.to(nt.int64), max(given[1], default=0)
    if labels.ndim == 1 and not (single and labels.shape[0] != sum(given[1])):
        if labels.shape[0] != sum(given[1]):
            raise RuntimeError(f"ctc_loss: expected {sum(given[1])} labels, the sum of target_lengths, got {labels.shape[0]}")
        labels = nt.ops.alignment.padded_targets(labels, lengths, longest) if longest else labels.new_zeros((batch, 0))
    else:
        labels = labels.reshape(1, -1) if single else labels
        if labels.ndim != 2 or labels.shape[0] != batch or labels.shape[1] < longest:
            raise RuntimeError(f"ctc_loss: expected targets of shape ({batch}, {longest} or more), got {tuple(targets.shape)}")
        labels = labels[:, :longest]
    there = nt.arange(longest, device=scores.device) < lengths.unsqueeze(1)
    labels = nt.where(there, labels, blank)
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise RuntimeError(f"ctc_loss: expected labels from 0 to {classes - 1}, got some from {int(labels.min())} to {int(labels.max())}")
    loss = -nt.ops.alignment.log_likelihood(scores, labels, inputs, lengths, blank)
    if zero_infinity:
        loss = nt.where(loss == float("inf"), 0.0, loss)
    if reduction == "mean":
        return (loss / lengths.clamp_min(1)).mean()
    return _reduced(loss.squeeze(0) if single else loss, reduction)
