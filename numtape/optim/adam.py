"""Adam and AdamW: steps scaled by running means of the gradient and of its square. Kingma & Ba 2014; Loshchilov & Hutter 2017."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numtape as nt
from numtape.optim.optimizer import Optimizer, _check_not_negative, _run


class Adam(Optimizer):
    """Adam: `p -= lr * m / (sqrt(v) + eps)`, with m and v the bias-corrected running means of the gradient and of its square.

    params: see `Optimizer`. lr: a number, or a tensor of one element. betas: how much of m and of v is kept at each step.
    eps: keeps the denominator from zero. weight_decay: `weight_decay * p` is added to the gradient, or with
    `decoupled_weight_decay` the parameter is multiplied by `1 - lr * weight_decay` (that is AdamW). amsgrad: use the largest v
    so far. maximize: go up. capturable: keep the step count in a tensor, so that a compiled step counts too.

    Raises ValueError where a setting is out of its range.

    >>> p = nt.ones(2, requires_grad=True)
    >>> optimizer = nt.optim.Adam([p], lr=0.1)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (p * p).sum().backward()
    ...     optimizer.step()
    >>> p
    tensor([0.8004, 0.8004], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        capturable: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check_not_negative("learning rate", lr)
        _check_not_negative("epsilon value", eps)
        for i, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        _check_not_negative("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # a state dict of PyTorch's keeps the step count in a tensor
            capturable = group.setdefault("capturable", False)
            for p in group["params"]:
                remembered = self.state.get(p)
                if remembered:
                    step = remembered["step"]
                    remembered["step"] = _step_tensor(p, float(step)) if capturable else int(step)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        "Change every parameter that has a gradient; returns what `closure` returns."
        loss = None if closure is None else _run(closure)
        with nt.no_grad():
            for group in self.param_groups:
                if group["amsgrad"] or group["capturable"] or isinstance(group["lr"], nt.Tensor):
                    for p in group["params"]:
                        if p.grad is not None:
                            self._update(p, p.grad, group)
                else:
                    self._update_together(group)
        return loss

    def _remembered(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state[p]
        if not state:
            state["step"] = _step_tensor(p, 0.0) if group["capturable"] else 0
            state["exp_avg"] = nt.zeros_like(p, requires_grad=False)
            state["exp_avg_sq"] = nt.zeros_like(p, requires_grad=False)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = nt.zeros_like(p, requires_grad=False)
        return state

    def _update_together(self, group: dict[str, Any]) -> None:
        "One call for all parameters that have had as many steps."
        by_step: dict[int, list[Any]] = {}
        for p in group["params"]:
            grad = p.grad
            if grad is not None:
                state = self.state[p] or self._remembered(p, group)
                step = state["step"] = state["step"] + 1
                tensors = by_step.get(step)
                if tensors is None:
                    tensors = by_step[step] = []
                tensors += p, state["exp_avg"], state["exp_avg_sq"], grad
        settings = group["lr"], group["betas"], group["eps"], group["weight_decay"], group["decoupled_weight_decay"], group["maximize"]
        for step, tensors in by_step.items():
            rows = self._rows.get(id(group)) if len(by_step) == 1 else None
            self._rows[id(group)] = nt._fused_adam_(tensors, step, *settings, rows)

    def _update(self, p: Any, grad: Any, group: dict[str, Any]) -> None:
        state = self._remembered(p, group)
        if group["capturable"]:
            step = state["step"].add_(1)
        else:
            step = state["step"] = state["step"] + 1
        lr, (beta1, beta2), weight_decay = group["lr"], group["betas"], group["weight_decay"]
        if group["maximize"]:
            grad = -grad
        if weight_decay:
            if group["decoupled_weight_decay"]:
                p.mul_(1 - lr * weight_decay)
            else:
                grad = grad.add(p, alpha=weight_decay)

        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            square = state["max_exp_avg_sq"].copy_(nt.maximum(state["max_exp_avg_sq"], square))

        # lr * (mean / c1) / (sqrt(square) / c2 + eps), with the corrections c1 and c2 multiplied out into two numbers:
        # one pass over the parameter less than as it is written.
        c1 = 1 - beta1**step
        c2 = (1 - beta2**step) ** 0.5
        denominator = square.sqrt().add_(group["eps"] * c2)
        size = lr * c2 / c1
        if isinstance(size, nt.Tensor):
            p.sub_(mean * size / denominator)
        else:
            p.addcdiv_(mean, denominator, value=-size)


class AdamW(Adam):
    """Adam with decoupled weight decay: each step first multiplies the parameter by `1 - lr * weight_decay`.

    Arguments and errors as for `Adam`; the default `weight_decay` is 0.01.

    >>> p = nt.ones(2, requires_grad=True)
    >>> optimizer = nt.optim.AdamW([p], lr=0.1, weight_decay=0.5)
    >>> p.sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8500, 0.8500], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, capturable=capturable, decoupled_weight_decay=True
        )


def _step_tensor(p: Any, value: float) -> Any:
    return nt.full((), value, dtype=nt.float32, device=p.device)
