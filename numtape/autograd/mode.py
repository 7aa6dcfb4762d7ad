"""Whether operations are recorded, per thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any


class _State(threading.local):
    enabled = True
    inference = False
    anomaly = False


state = _State()


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded."""
    return state.enabled


class _Switch:
    """A context manager and decorator that sets the mode and puts it back."""

    mode = True

    def __enter__(self) -> None:
        self.previous = state.enabled
        state.enabled = self.mode

    def __exit__(self, *exc_info: object) -> None:
        state.enabled = self.previous

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        kind = type(self)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with kind():
                return function(*args, **kwargs)

        return wrapped

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = object.__new__(cls)
        return self if function is None else self(function)  # @no_grad without parentheses


class no_grad(_Switch):
    """Do not record operations, as a context manager or decorator.

    >>> import numtape as nt
    >>> x = nt.ones(2, requires_grad=True)
    >>> with nt.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    mode = False


class enable_grad(_Switch):
    """Record operations, also inside `no_grad`."""

    mode = True


class inference_mode(_Switch):
    """Do not record operations. Unlike PyTorch's, its results may later be used in recorded operations."""

    mode = False

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):
            return object.__new__(cls)(mode)
        self = object.__new__(cls)
        self.mode = not mode and state.enabled
        return self


class set_grad_enabled:
    """Set the mode at once; as a context manager, put it back afterwards.

    >>> import numtape as nt
    >>> with nt.set_grad_enabled(False):
    ...     nt.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool):
        self.previous = state.enabled
        self.mode = state.enabled = bool(mode)

    def __enter__(self) -> None:
        state.enabled = self.mode

    def __exit__(self, *exc_info: object) -> None:
        state.enabled = self.previous

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        state.enabled = self.previous

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(self.mode):
                return function(*args, **kwargs)

        return wrapped
