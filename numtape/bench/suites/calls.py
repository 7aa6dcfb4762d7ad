"""The suite `calls`: calls so small that only the way to the kernel counts."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from numtape.bench.cases import Case, per_engine, values


def _pair() -> list[np.ndarray]:
    return [values("a", (8,), None), values("b", (8,), None)]


def _recorded(engine: Any) -> Callable[[], Any]:
    a, b = (engine.array(x).requires_grad_() for x in _pair())
    return partial(operator.add, a, b)


def _chain(engine: Any) -> Callable[[], Any]:
    """((a * a + a) * 0.5).sum().backward(); the gradient is handed back, and dropped before the next call."""
    a = engine.array(_pair()[0]).requires_grad_()

    def call() -> Any:
        a.grad = None
        ((a * a + a) * 0.5).sum().backward()
        return a.grad

    return call


def cases() -> list[Case]:
    """Calls so small that only the way to the kernel counts."""
    add = lambda e: e.bind(operator.add, _pair())
    chain_of_jax = lambda e: e.bind(e.jax.grad(lambda a: ((a * a + a) * 0.5).sum()), _pair()[:1])
    return [
        Case("calls", "add/8", per_engine(numtape=add, numpy=add, torch=add, jax=add), True),
        Case("calls", "add-recorded/8", per_engine(numtape=_recorded, torch=_recorded), True),
        Case("calls", "chain-backward/8", per_engine(numtape=_chain, torch=_chain, jax=chain_of_jax), True),
    ]
