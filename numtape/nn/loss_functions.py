"""The loss functions, names of `nn.functional`: formulas of ops, each with PyTorch's shapes, defaults and reductions.

`reduction` is everywhere "mean" (the default), "sum" or "none".
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numtape as nt


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    "The reduction that PyTorch's two deprecated arguments stand for."
    if size_average is None and reduce is None:
        return reduction
    size_average, reduce = size_average is None or size_average, reduce is None or reduce
    meant = "none" if not reduce else "mean" if size_average else "sum"
    warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{meant}' instead.", stacklevel=3)
    return meant


# ---- classification ----


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The cross entropy between scores and classes: -log softmax(input)[target], averaged.

    input: (C), (N, C) or (N, C, d1, ...), unnormalised scores. target: class indices of dtype int64, (), (N) or (N, d1, ...),
    or probabilities of the input's shape and a floating dtype. weight: (C), the weight of each class; "mean" divides by the
    weights used. Targets equal to `ignore_index` count nothing. label_smoothing: how much of each target, 0 to 1, is spread
    evenly over the classes.

    Raises ValueError where the batch sizes differ, RuntimeError where shapes or dtypes do not fit, IndexError where a target is no class.

    >>> nt.nn.functional.cross_entropy(nt.zeros(3, 4), nt.tensor([0, 1, 3]))
    tensor(1.3863)
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction(reduction, size_average, reduce)
    # The everyday call: scores (N, C), classes (N,), the mean, nothing ignored.
    if (
        reduction == "mean"
        and ignore_index < 0
        and weight is None
        and label_smoothing == 0.0
        and input.ndim == 2
        and target.ndim == 1
        and target.shape[0] == input.shape[0] > 0
        and target.dtype is nt.int64
        and input.is_floating_point()
    ):
        if input.is_cuda:
            return nt.ops.loss.cross_entropy_unwatched(input, target, ignore_index)
        loss = nt.ops.loss.cross_entropy_rows(input, target).mean()
        if math.isfinite(loss.item()):  # else a target may be no class, or ignored: `_nll` looks
            return loss
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    logp = nt.log_softmax(input, _class_dim(input))
    if target.shape == input.shape and target.is_floating_point():
        return _cross_entropy_of_probabilities(logp, target, weight, reduction, label_smoothing)
    return _nll(logp, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The negative log likelihood -input[target], averaged; input holds log probabilities. Shapes and errors as in `cross_entropy`.

    >>> nt.nn.functional.nll_loss(nt.tensor([[-1.0, -2.0]]), nt.tensor([1]))
    tensor(2.)
    """
    return _nll(input, target, weight, ignore_index, _reduction(reduction, size_average, reduce))


def _class_dim(input: Any) -> int:
    return 0 if input.ndim == 1 else 1


def _check_classes(logp: Any, target: Any, weight: Any) -> None:
    shape, dim = tuple(logp.shape), _class_dim(logp)
    if not shape:
        raise ValueError("expected input of 1 or more dimensions (C, (N, C) or (N, C, d1, ...)), got a 0-dimensional one")
    if dim == 1 and (target.ndim == 0 or target.shape[0] != shape[0]):
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({target.shape[0] if target.ndim else 0}).")
    expected = shape[:dim] + shape[dim + 1 :]
    if tuple(target.shape) != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
    if target.dtype not in (nt.int64, nt.uint8):
        raise RuntimeError(
            f"expected target dtype to be int64 or uint8, but got {target.dtype}; convert with .long(), or give probabilities "
            f"of the input's shape {list(shape)}"
        )
    if weight is not None and tuple(weight.shape) != (shape[dim],):
        raise RuntimeError(
            f"weight tensor should be defined either for all {shape[dim]} classes or no classes but got weight tensor of shape: "
            f"{list(weight.shape)}"
        )


def _nll(logp: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float = 0.0) -> Any:
    "The loss of class indices, in full: any shape, weights, ignored targets, label smoothing."
    _check_classes(logp, target, weight)
    dim = _class_dim(logp)
    target = target.to(nt.int64)
    counted = target != ignore_index
    index = nt.where(counted, target, 0)
    _check_range(index, logp.shape[dim])
    loss = -logp.gather(dim, index.unsqueeze(dim)).squeeze(dim)
    if weight is None:
        share = counted.to(logp.dtype)
    else:
        share = weight.index_select(0, index.reshape(-1)).reshape(index.shape)
        loss = loss * share
        share = nt.where(counted, share, 0.0)
    if label_smoothing > 0.0:
        spread = logp if weight is None else logp * weight.reshape([-1] + [1] * (logp.ndim - 1 - dim))
        loss = (1.0 - label_smoothing) * loss - (label_smoothing / logp.shape[dim]) * spread.sum(dim)
    loss = nt.where(counted, loss, 0.0)  # NOTE: not a product: the loss of an ignored target may be infinite
    return loss.sum() / share.sum() if reduction == "mean" else _reduced(loss, reduction)


def _check_range(index: Any, classes: int) -> None:
    if index.numel() == 0 or index.is_cuda:  # on a card the kernel looks, and the next synchronisation raises
        return
    for extreme in (int(index.min()), int(index.max())):
        if not 0 <= extreme < classes:
            raise IndexError(f"Target {extreme} is out of bounds.")


def _cross_entropy_of_probabilities(logp: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    dim = _class_dim(logp)
    classes = logp.shape[dim]
    if label_smoothing > 0.0:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    loss = logp * target
    if weight is not None:
        if tuple(weight.shape) != (classes,):
            raise RuntimeError(f"cross_entropy: weight must be of shape ({classes},), got {list(weight.shape)}")
        loss = loss * weight.reshape([-1] + [1] * (logp.ndim - 1 - dim))
    if reduction == "mean":
        return -loss.sum() / (logp.numel() / classes)
    return _reduced(-loss.sum(dim), reduction)


# ---- regression ----


def _warn_if_sizes_differ(input: Any, target: Any) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely lead to "
            "incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The mean of (input - target)**2. input and target: the same shape, any; weight: one number per element, "mean" divides by their sum.

    Warns where the shapes differ and broadcasts; raises ValueError where `reduction` is unknown.

    >>> nt.nn.functional.mse_loss(nt.tensor([1.0, 2.0]), nt.tensor([1.0, 4.0]))
    tensor(2.)
    """
    if input.is_complex() or target.is_complex():
        raise NotImplementedError("mse_loss: not implemented for complex tensors; take .abs() of the difference first")
    _warn_if_sizes_differ(input, target)
    return _weighted((input - target).square(), weight, _reduction(reduction, size_average, reduce))


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The mean of |input - target|. input and target: the same shape, any; weight: one number per element, "mean" divides by their sum.

    Warns where the shapes differ and broadcasts; raises ValueError where `reduction` is unknown.

    >>> nt.nn.functional.l1_loss(nt.tensor([1.0, 2.0]), nt.tensor([1.0, 4.0]))
    tensor(1.)
    """
    _warn_if_sizes_differ(input, target)
    return _weighted((input - target).abs(), weight, _reduction(reduction, size_average, reduce))


def _weighted(loss: Any, weight: Any, reduction: str) -> Any:
    if weight is None:
        return _reduced(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError(f"Weights and input must have the same size, got {list(weight.shape)} and {list(loss.shape)}.")
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _reduced(loss, reduction)


# ---- yes or no ----


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The mean of -(target * log(input) + (1 - target) * log(1 - input)); the logarithms are kept above -100.

    input: probabilities, any shape; target: the same shape; weight: broadcast against both.

    Raises ValueError where the shapes differ, RuntimeError where the input is not between 0 and 1.

    >>> nt.nn.functional.binary_cross_entropy(nt.tensor([0.5, 0.5]), nt.tensor([1.0, 0.0]))
    tensor(0.6931)
    """
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    if not input.is_cuda and not bool(((input >= 0) & (input <= 1)).all()):  # on a card it would have to be waited for
        raise RuntimeError("all elements of input should be between 0 and 1")
    loss = _bce_function().apply(input, target)
    return _reduced(loss if weight is None else loss * weight, _reduction(reduction, size_average, reduce))


_bce: Any = None


def _bce_function() -> Any:
    """Binary cross entropy per element. NOTE: it has a derivative of its own: at exactly 0 and 1 that of the formula is NaN,
    PyTorch's is finite. Made on first use: it needs the finished `nt`."""
    global _bce
    if _bce is None:

        class BinaryCrossEntropy(nt.autograd.Function):  # type: ignore[name-defined]
            @staticmethod
            def forward(ctx, p, t):
                ctx.save_for_backward(p, t)
                return (t - 1) * (-p).log1p().clamp(min=-100.0) - t * p.log().clamp(min=-100.0)

            @staticmethod
            def backward(ctx, g):
                p, t = ctx.saved_tensors
                grad_p = g * (p - t) / ((1 - p) * p).clamp(min=1e-12) if ctx.needs_input_grad[0] else None
                grad_t = g * ((-p).log1p() - p.log()) if ctx.needs_input_grad[1] else None
                return grad_p, grad_t

        _bce = BinaryCrossEntropy
    return _bce


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """`binary_cross_entropy(sigmoid(input), target)`, without overflow.

    input: scores, any shape; target: the same shape; weight: broadcast against both; pos_weight: the weight of the positive
    class, broadcast likewise.

    Raises ValueError where the shapes differ.

    >>> nt.nn.functional.binary_cross_entropy_with_logits(nt.zeros(2), nt.tensor([1.0, 0.0]))
    tensor(0.6931)
    """
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    log_no = nt.nn.functional.softplus(-input, 1.0, 40.0)  # -log(sigmoid(input))
    if pos_weight is not None:
        log_no = log_no * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * input + log_no
    return _reduced(loss if weight is None else loss * weight, _reduction(reduction, size_average, reduce))
