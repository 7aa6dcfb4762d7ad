"""Activation checkpointing: computing a part of a network again in the backward pass instead of keeping its intermediate values.

>>> layer = nt.nn.Sequential(nt.nn.Linear(4, 4), nt.nn.Tanh())
>>> x = nt.ones(2, 4, requires_grad=True)
>>> nt.utils.checkpoint.checkpoint(layer, x, use_reentrant=False).sum().backward()
>>> x.grad.shape
numtape.Size([2, 4])
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numtape as nt

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable | None = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), keeping none of its intermediate values: the backward pass computes them again.

    With `preserve_rng_state` random draws are the same when repeated. `context_fn` returns two context managers, for the first
    run and for the repeated ones. Both kinds of PyTorch's (`use_reentrant`) are one here, without the restrictions of the
    reentrant one; the other arguments are accepted and change nothing.

    Raises RuntimeError in the backward pass where the function returns other shapes the second time.

    >>> import numtape as nt
    >>> x = nt.tensor(3.0, requires_grad=True)
    >>> nt.utils.checkpoint.checkpoint(lambda t: t * t, x).backward()
    >>> x.grad
    tensor(6.)
    """
    state = nt.get_rng_state() if preserve_rng_state else None
    first, again = context_fn() if context_fn is not None else (contextlib.nullcontext(), contextlib.nullcontext())
    runs = 0

    def run() -> Any:
        nonlocal runs
        runs += 1
        if runs == 1:
            with first:
                return function(*args, **kwargs)
        now = nt.get_rng_state() if preserve_rng_state else None
        try:
            if preserve_rng_state:
                nt.set_rng_state(state)
            with again:
                return function(*args, **kwargs)
        finally:
            if preserve_rng_state:
                nt.set_rng_state(now)

    return nt.autograd.recompute.recomputed(run)


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """The functions (or the children of a Sequential) one after another, in `segments` parts, all but the last checkpointed.

    >>> import numtape as nt
    >>> net = nt.nn.Sequential(nt.nn.Linear(2, 2), nt.nn.Tanh(), nt.nn.Linear(2, 1))
    >>> nt.utils.checkpoint.checkpoint_sequential(net, 2, nt.ones(1, 2)).shape
    numtape.Size([1, 1])
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children()) if isinstance(functions, nt.nn.Sequential) else list(functions)

    def part(start: int, end: int) -> Callable:
        def run(value: Any) -> Any:
            for function in functions[start:end]:
                value = function(value)
            return value

        return run

    size, end = len(functions) // segments, 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(part(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return part(end, len(functions))(input)
