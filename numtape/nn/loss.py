"""Loss functions as modules: each keeps the arguments of a function of `nn.functional`.

`reduction` is everywhere "mean" (the default), "sum" or "none".
"""

from __future__ import annotations

from typing import Any

from numtape.nn import functional as F
from numtape.nn.loss_functions import _reduction
from numtape.nn.module import Module


class _Loss(Module):
    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _reduction(reduction, size_average, reduce)


class _WeightedLoss(_Loss):
    weight: Any

    def __init__(self, weight: Any = None, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """The cross entropy between scores (N, C) and classes (N); see `nn.functional.cross_entropy`.

    >>> nt.nn.CrossEntropyLoss()(nt.zeros(3, 4), nt.tensor([0, 1, 3]))
    tensor(1.3863)
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return F.cross_entropy(input, target, self.weight, None, self.ignore_index, None, self.reduction, self.label_smoothing)


class NLLLoss(_WeightedLoss):
    """The negative log likelihood of log probabilities (N, C) and classes (N); see `nn.functional.nll_loss`.

    >>> nt.nn.NLLLoss()(nt.tensor([[-1.0, -2.0]]), nt.tensor([1]))
    tensor(2.)
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return F.nll_loss(input, target, self.weight, None, self.ignore_index, None, self.reduction)


class MSELoss(_Loss):
    """The mean of (input - target)**2; input and target of the same shape, any.

    >>> nt.nn.MSELoss()(nt.tensor([1.0, 2.0]), nt.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The mean of |input - target|; input and target of the same shape, any.

    >>> nt.nn.L1Loss(reduction="sum")(nt.tensor([1.0, 2.0]), nt.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return F.l1_loss(input, target, reduction=self.reduction)


class BCELoss(_WeightedLoss):
    """The binary cross entropy of probabilities and targets, of the same shape; see `nn.functional.binary_cross_entropy`.

    >>> nt.nn.BCELoss()(nt.tensor([0.5, 0.5]), nt.tensor([1.0, 0.0]))
    tensor(0.6931)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """The binary cross entropy of scores and targets, of the same shape; see `nn.functional.binary_cross_entropy_with_logits`.

    >>> nt.nn.BCEWithLogitsLoss()(nt.zeros(2), nt.tensor([1.0, 0.0]))
    tensor(0.6931)
    """

    weight: Any
    pos_weight: Any

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return F.binary_cross_entropy_with_logits(input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight)
