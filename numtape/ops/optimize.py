"""The steps of optimizers, one kernel for a parameter and all that is remembered of it. They run under `no_grad`.

Numbers are arguments of the kernel, so a new learning rate compiles nothing. Each formula rounds as the ops it is written with.
"""

from __future__ import annotations

from numtape.dispatch.update import Rows, Update
from numtape.ops.arithmetic import add_scaled, addcdiv, addcmul, lerp, sqrt
from numtape.ops.complex import view_as_real


def _slope(p, grad, weight_decay, maximize):
    """The gradient that is followed: with its sign turned, and the pull of weight decay, if wanted."""
    grad = -grad if maximize else grad
    return grad if weight_decay is None else grad + p * weight_decay


def _sgd_momentum(p, buffer, grad, lr, momentum, fresh, weight_decay, nesterov, maximize):
    "p and its momentum buffer after a step: buffer = momentum * buffer + fresh * grad."
    grad = _slope(p, grad, weight_decay, maximize)
    buffer = buffer * momentum + grad * fresh
    step = grad + buffer * momentum if nesterov else buffer
    return p - step * lr, buffer


def _adam(p, mean, square, grad, shrink, weight1, beta2, weight2, eps, size, weight_decay, maximize):
    "p and the running means after a step; `shrink` is decoupled weight decay, `eps` and `size` hold the bias corrections."
    grad = _slope(p, grad, weight_decay, maximize)
    p = p if shrink is None else p * shrink
    mean = lerp(mean, grad, weight1)
    square = addcmul(square * beta2, grad, grad, weight2)
    return addcdiv(p, mean, sqrt(square) + eps, size), mean, square


def _descent(p, grad, size):
    "p after a step of plain SGD; `size` is minus the learning rate."
    return (add_scaled(p, grad, size),)


fused_descent = Update("fused_descent", _descent, 1)
fused_sgd = Update("fused_sgd", _sgd_momentum, 2, static=("nesterov", "maximize"))
fused_adam = Update("fused_adam", _adam, 3, static=("maximize",))


def _together(update: Update, tensors: list, width: int, settings: tuple, rows: Rows | None) -> Rows:
    """Update rows of `width` tensors, complex ones as pairs of real numbers; `rows` is what the last call returned."""
    if rows is None or rows.update is not update:
        rows = Rows(update, width)
    rows([view_as_real(t) if t.is_complex() else t for t in tensors], settings)
    return rows


def _descend_(tensors, lr, rows=None):
    """A step of plain SGD, in place: tensors are parameter, gradient, parameter, ... What it returns makes the next step faster.

    >>> import numtape as nt
    >>> p = nt.ones(2)
    >>> rows = nt._descend_([p, nt.ones(2)], 0.1)
    >>> p
    tensor([0.9000, 0.9000])
    """
    return _together(fused_descent, tensors, 2, (-float(lr),), rows)


def _fused_sgd_(tensors, lr, momentum, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False, rows=None):
    """An SGD step with momentum, in place: tensors are parameter, buffer, gradient, parameter, ... What it returns makes the next step faster.

    >>> import numtape as nt
    >>> p, buffer = nt.ones(2), nt.zeros(2)
    >>> rows = nt._fused_sgd_([p, buffer, nt.ones(2)], lr=0.1, momentum=0.9)
    >>> p
    tensor([0.9000, 0.9000])
    """
    settings = float(lr), float(momentum), 1.0 - dampening, float(weight_decay) if weight_decay else None, bool(nesterov), bool(maximize)
    return _together(fused_sgd, tensors, 3, settings, rows)


def _fused_adam_(tensors, step, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False, maximize=False, rows=None):
    """Adam's step number `step` (from 1), in place: tensors are parameter, running mean of its gradient, that of the gradient squared,
    gradient, parameter, ... What it returns makes the next step faster.

    >>> import numtape as nt
    >>> p, mean, square = nt.ones(2), nt.zeros(2), nt.zeros(2)
    >>> rows = nt._fused_adam_([p, mean, square, nt.ones(2)], step=1, lr=0.1)
    >>> p
    tensor([0.9000, 0.9000])
    """
    beta1, beta2 = betas
    c1, c2 = 1 - beta1**step, (1 - beta2**step) ** 0.5
    # lr * (mean / c1) / (sqrt(square) / c2 + eps), the corrections multiplied out into two numbers
    shrink = 1.0 - lr * weight_decay if weight_decay and decoupled else None
    decay = float(weight_decay) if weight_decay and not decoupled else None
    settings = shrink, 1.0 - beta1, float(beta2), 1.0 - beta2, eps * c2, -lr * c2 / c1, decay, bool(maximize)
    return _together(fused_adam, tensors, 4, settings, rows)
