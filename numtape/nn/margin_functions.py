"""Losses of rankings, margins and several labels, names of `nn.functional`.

`reduction` is everywhere "mean" (the default), "sum" or "none"; `size_average` and `reduce` are its deprecated forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numtape as nt
from numtape.nn.loss_functions import _reduced, _reduction

__all__ = [
    "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """input where the target is 1, max(0, margin - input) where it is -1; averaged. input, target: the same shape, any.

    >>> nt.nn.functional.hinge_embedding_loss(nt.tensor([0.5, 0.2]), nt.tensor([1.0, -1.0]), reduction="none")
    tensor([0.5000, 0.8000])
    """
    loss = nt.where(target != 1, (margin - input).clamp_min(0), 0.0) + nt.where(target != -1, input, 0.0)
    return _reduced(loss, _reduction(reduction, size_average, reduce))


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, -target * (input1 - input2) + margin), averaged; target 1 says that input1 should be larger, -1 that input2 should.

    All of the same shape. Raises RuntimeError where the numbers of dims differ.

    >>> nt.nn.functional.margin_ranking_loss(nt.tensor([1.0]), nt.tensor([3.0]), nt.tensor([1.0]))
    tensor(2.)
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return _reduced((-target * (input1 - input2) + margin).clamp_min(0), _reduction(reduction, size_average, reduce))


def soft_margin_loss(input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * input)), averaged. input, target (of 1 and -1): the same shape, any.

    >>> nt.nn.functional.soft_margin_loss(nt.zeros(2), nt.tensor([1.0, -1.0]))
    tensor(0.6931)
    """
    return _reduced(nt.nn.functional.softplus(-target * input, 1.0, 40.0), _reduction(reduction, size_average, reduce))


def _rows(name: str, input: Any, target: Any, per_class: bool) -> tuple[Any, Any]:
    "Scores as (N, C), and targets as (N,) or (N, C)."
    if input.ndim not in (1, 2) or input.shape[-1] == 0:
        raise RuntimeError(f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}")
    rows = input if input.ndim == 2 else input.unsqueeze(0)
    expected = tuple(input.shape) if per_class else tuple(input.shape[:-1])
    if tuple(target.shape) != expected and not (not per_class and input.ndim == 1 and target.numel() == 1):
        raise RuntimeError(f"{name}: inconsistent target size, expected {list(expected)} but got {list(target.shape)}")
    if target.dtype != nt.int64:
        raise RuntimeError(f"{name}: expected targets of dtype int64, got {target.dtype}; convert with .long()")
    return rows, target.reshape(rows.shape if per_class else (rows.shape[0],))


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The sum over other classes i of max(0, margin - x[target] + x[i])**p, times weight[target], over the number of classes; averaged.

    input: (N, C) or (C,) scores; target: (N,) or () classes; weight: (C,). Raises ValueError where `p` is neither 1 nor 2, RuntimeError where
    sizes do not fit or a target is no class.

    >>> nt.nn.functional.multi_margin_loss(nt.tensor([[0.1, 0.2, 0.4, 0.8]]), nt.tensor([3]))
    tensor(0.3250)
    """
    reduction = _reduction(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    x, index = _rows("multi_margin_loss", input, target, False)
    if weight is not None and weight.numel() != x.shape[1]:
        raise RuntimeError(f"multi_margin_loss: inconsistent weight size, expected {x.shape[1]} but got {list(weight.shape)}")
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < x.shape[1]:
        raise RuntimeError(f"multi_margin_loss: target out of range: expected classes from 0 to {x.shape[1] - 1}")
    short = (margin - x.gather(1, index.unsqueeze(1)) + x).clamp_min(0)
    short = short * short if p == 2 else short
    if weight is not None:
        short = short * weight.index_select(0, index).unsqueeze(1)
    others = nt.arange(x.shape[1], device=x.device) != index.unsqueeze(1)
    loss = nt.where(others, short, 0.0).sum(1) / x.shape[1]
    return _reduced(loss if input.ndim == 2 or target.ndim == 1 and reduction == "none" else loss.squeeze(0), reduction)


def multilabel_margin_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """The sum over labels j and classes i that are none of max(0, 1 - (x[j] - x[i])), over the number of classes; averaged.

    input: (N, C) or (C,) scores; target: the same shape, each row's labels first, then -1. Takes memory for N * C * C numbers.

    Raises RuntimeError where shapes differ or a label is no class.

    >>> nt.nn.functional.multilabel_margin_loss(nt.tensor([[0.1, 0.2, 0.4, 0.8]]), nt.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """
    reduction = _reduction(reduction, size_average, reduce)
    x, labels = _rows("multilabel_margin_loss", input, target, True)
    classes = x.shape[1]
    if labels.numel() and not -1 <= int(labels.min()) <= int(labels.max()) < classes:
        raise RuntimeError(f"multilabel_margin_loss: argument #3 'target' is out of range: expected labels from -1 to {classes - 1}")
    counted = (labels < 0).to(nt.int64).cumsum(1) == 0  # up to the first -1
    index = nt.where(counted, labels, 0)
    chosen = ((index.unsqueeze(2) == nt.arange(classes, device=x.device)) & counted.unsqueeze(2)).any(1)
    short = (1 - (x.gather(1, index).unsqueeze(2) - x.unsqueeze(1))).clamp_min(0)
    loss = nt.where(counted.unsqueeze(2) & ~chosen.unsqueeze(1), short, 0.0).sum((1, 2)) / classes
    return _reduced(loss if input.ndim == 2 else loss.squeeze(0), reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """Binary cross entropy of each class's score with its target, 0 or 1, times `weight`, averaged over classes (the last dim).

    input, target: (N, C); weight: (C,).

    >>> nt.nn.functional.multilabel_soft_margin_loss(nt.zeros(1, 2), nt.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    log = nt.nn.functional.logsigmoid
    loss = -(target * log(input) + (1 - target) * log(-input))
    loss = loss if weight is None else loss * weight
    return _reduced(loss.sum(-1) / input.shape[-1], _reduction(reduction, size_average, reduce))


# ---- triplets ----


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), averaged, d being `pairwise_distance`. Balntas et al. 2016.

    All (N, D) or (D,). `swap` takes d(positive, negative) where it is smaller than d(anchor, negative). Raises ValueError where `margin` is
    not positive, RuntimeError where the numbers of dims differ.

    >>> nt.nn.functional.triplet_margin_loss(nt.zeros(1, 1), nt.ones(1, 1), nt.ones(1, 1))
    tensor(1.)
    """
    reduction = _reduction(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {anchor.ndim}D, positive "
            f"{positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    return _triplet(lambda a, b: nt.pairwise_distance(a, b, p, eps), anchor, positive, negative, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with a distance of your own: `distance_function(a, b)`; `pairwise_distance` unless given.

    >>> nt.nn.functional.triplet_margin_with_distance_loss(nt.zeros(1), nt.ones(1), nt.ones(1), distance_function=lambda a, b: (a - b).abs())
    tensor(1.)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {anchor.ndim}D, positive "
            f"{positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    return _triplet(distance_function or nt.pairwise_distance, anchor, positive, negative, margin, swap, reduction)


def _triplet(distance: Callable, anchor: Any, positive: Any, negative: Any, margin: float, swap: bool, reduction: str) -> Any:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = nt.minimum(far, distance(positive, negative))
    return _reduced((margin + near - far).clamp_min(0), reduction)
