"""SGD: stochastic gradient descent, with momentum if wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numtape as nt
from numtape.optim.optimizer import Optimizer, _check_not_negative, _run


class SGD(Optimizer):
    """Stochastic gradient descent: `p -= lr * grad`.

    params: see `Optimizer`. lr: a number, or a tensor of one element. momentum: how much of the last step is kept; the buffer is
    `momentum * buffer + (1 - dampening) * grad`. nesterov: step along `grad + momentum * buffer`. weight_decay: `weight_decay * p`
    is added to the gradient. maximize: go up. The formulas are PyTorch's, which multiplies by `lr` last.

    Raises ValueError where a setting is negative, or `nesterov` goes without momentum or with dampening.

    >>> p = nt.ones(2, requires_grad=True)
    >>> optimizer = nt.optim.SGD([p], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (p * p).sum().backward()
    ...     optimizer.step()
    >>> p
    tensor([0.4600, 0.4600], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        _check_not_negative("learning rate", lr)
        _check_not_negative("momentum value", momentum)
        _check_not_negative("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        "Change every parameter that has a gradient; returns what `closure` returns."
        loss = None if closure is None else _run(closure)
        with nt.no_grad():
            for group in self.param_groups:
                lr = group["lr"]
                if group["momentum"] or group["weight_decay"] or group["maximize"] or isinstance(lr, nt.Tensor):
                    self._step_with_everything(group)
                    continue
                tensors = [t for p in group["params"] if (grad := p.grad) is not None for t in (p, grad)]
                if tensors:
                    self._rows[id(group)] = nt._descend_(tensors, lr, self._rows.get(id(group)))
        return loss

    def _step_with_everything(self, group: dict[str, Any]) -> None:
        lr, momentum, weight_decay = group["lr"], group["momentum"], group["weight_decay"]
        together: list[Any] = []
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            buffer = self.state[p].get("momentum_buffer") if momentum else None
            if buffer is not None and not isinstance(lr, nt.Tensor):
                together += p, buffer, grad
                continue
            if group["maximize"]:
                grad = -grad
            if weight_decay:
                grad = grad.add(p, alpha=weight_decay)
            if momentum:
                state = self.state[p]
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    buffer = state["momentum_buffer"] = grad.detach().clone()
                else:
                    buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
                grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
            if isinstance(lr, nt.Tensor):
                p.sub_(grad * lr)
            else:
                p.add_(grad, alpha=-lr)
        if together:
            settings = lr, momentum, group["dampening"], weight_decay, group["nesterov"], group["maximize"]
            self._rows[id(group)] = nt._fused_sgd_(together, *settings, self._rows.get(id(group)))
