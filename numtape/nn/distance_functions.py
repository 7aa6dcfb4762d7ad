"""Distances, similarities, and losses of regression and of distributions, names of `nn.functional`.

`reduction` is everywhere "mean" (the default), "sum" or "none"; `size_average` and `reduce` are its deprecated forms.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numtape as nt
from numtape.nn.loss_functions import _reduced, _reduction, _warn_if_sizes_differ, _weighted

__all__ = [
    "bilinear", "cosine_embedding_loss", "cosine_similarity", "gaussian_nll_loss", "huber_loss", "kl_div", "pairwise_distance", "pdist", "poisson_nll_loss",
    "smooth_l1_loss",
]  # fmt: skip


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between x1 and x2 along `dim`; lengths below `eps` count as `eps`. x1, x2: broadcast against each other.

    >>> nt.nn.functional.cosine_similarity(nt.tensor([[3.0, 4.0]]), nt.tensor([[6.0, 8.0]]))
    tensor([1.])
    """
    return nt.cosine_similarity(x1, x2, dim, eps)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last dim.

    >>> nt.nn.functional.pairwise_distance(nt.tensor([3.0, 4.0]), nt.zeros(2), eps=0.0)
    tensor(5.)
    """
    return nt.pairwise_distance(x1, x2, p, eps, keepdim)


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances of all pairs of rows i < j of (N, M), as (N * (N - 1) / 2,). Raises RuntimeError for other shapes.

    >>> nt.nn.functional.pdist(nt.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    return nt.pdist(input, p)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """x1 @ weight[k] @ x2 + bias[k] for each k. input1: (*, H1), input2: (*, H2), weight: (K, H1, H2), bias: (K,); returns (*, K).

    >>> nt.nn.functional.bilinear(nt.ones(1, 2), nt.ones(1, 3), nt.ones(1, 2, 3))
    tensor([[6.]])
    """
    return nt.bilinear(input1, input2, weight, bias)


# ---- regression ----


def smooth_l1_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
) -> Any:
    """Half the square of the error over `beta` where it is below `beta`, else its size less beta / 2; averaged. Girshick 2015.

    input, target: the same shape, any. Warns where shapes differ and broadcasts; raises RuntimeError where `beta` is negative.

    >>> nt.nn.functional.smooth_l1_loss(nt.tensor([0.5, 2.0]), nt.zeros(2), reduction="none")
    tensor([0.1250, 1.5000])
    """
    _warn_if_sizes_differ(input, target)
    reduction = _reduction(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0.0:
        return _reduced((input - target).abs(), reduction)
    return _reduced(nt.ops.distance._smooth_l1(input, target, float(beta)), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Half the square of the error where its size is at most `delta`, else delta * (size - delta / 2); averaged. Huber 1964.

    input, target: the same shape, any; weight: one number per element, "mean" divides by their sum. Warns where shapes differ and broadcasts;
    raises RuntimeError where `delta` is not positive.

    >>> nt.nn.functional.huber_loss(nt.tensor([0.5, 2.0]), nt.zeros(2), reduction="none")
    tensor([0.1250, 1.5000])
    """
    _warn_if_sizes_differ(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return _weighted(nt.ops.distance._huber(input, target, float(delta)), weight, reduction)


# ---- distributions ----


def kl_div(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", log_target: bool = False
) -> Any:
    """The Kullback-Leibler divergence target * (log(target) - input), averaged over elements; "batchmean" divides the sum by the batch size.

    input: log probabilities; target: probabilities, or their logarithms with `log_target`; the same shape, any.

    >>> nt.nn.functional.kl_div(nt.tensor([[0.5, 0.5]]).log(), nt.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction(reduction, size_average, reduce)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by the batch size, and "
            "aligns with the KL div math definition.'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    loss = target.exp() * (target - input) if log_target else nt.ops.distance._divergence(input, target)
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss.sum()
    return _reduced(loss, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The negative log likelihood of counts: exp(input) - target * input, or, without `log_input`, input - target * log(input + eps).

    `full` adds Stirling's approximation of log(target!) for targets above 1. input, target: the same shape, any.

    >>> nt.nn.functional.poisson_nll_loss(nt.zeros(2), nt.tensor([1.0, 2.0]))
    tensor(1.)
    """
    reduction = _reduction(reduction, size_average, reduce)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        above = nt.where(target > 1, target, 1.0)
        loss = loss + nt.where(target > 1, above * above.log() - above + 0.5 * (2 * math.pi * above).log(), 0.0)
    return _reduced(loss, reduction)


def gaussian_nll_loss(input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Any:
    """The negative log likelihood of numbers about `input` with variance `var`: (log(var) + (input - target)**2 / var) / 2; averaged.

    input, target: the same shape; var: the same, or with a last dim of 1 or none, or a number. Variances below `eps` count as `eps`, without
    being changed for the gradient. `full` adds log(2 pi) / 2. Raises ValueError where sizes do not fit or a variance is negative.

    >>> nt.nn.functional.gaussian_nll_loss(nt.zeros(2), nt.ones(2), nt.ones(2))
    tensor(0.5000)
    """
    if not isinstance(var, nt.Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * nt.ones_like(input)
    elif bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif not (input.ndim == var.ndim and sum(a != b for a, b in zip(input.shape, var.shape)) == 1 and 1 in var.shape):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (var.log() + (input - target).square() / var)
    return _reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# ---- angles ----


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1; averaged.

    input1, input2: (N, D) and target: (N,), or (D,) and (). Raises RuntimeError where shapes do not fit.

    >>> nt.nn.functional.cosine_embedding_loss(nt.ones(1, 2), nt.ones(1, 2), nt.tensor([-1]), 0.5)
    tensor(0.5000)
    """
    reduction = _reduction(reduction, size_average, reduce)
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.ndim == 1 and input1.ndim != 2:
        raise RuntimeError(f"1D target tensor expects 2D input tensors, but found inputs with sizes {list(input1.shape)} and {list(input2.shape)}.")
    if target.ndim == 0 and input1.ndim != 1:
        raise RuntimeError(f"0D target tensor expects 1D input tensors, but found inputs with sizes {list(input1.shape)} and {list(input2.shape)}.")
    d, eps = target.ndim, 1e-12
    cosine = (input1 * input2).sum(d) / ((input1.square().sum(d) + eps) * (input2.square().sum(d) + eps)).sqrt()
    apart = (cosine - margin).clamp_min(0)
    loss = nt.where(target == 1, 1 - cosine, 0.0) + nt.where(target == -1, apart, 0.0)
    return _reduced(loss, reduction)
