"""Whether operations are recorded, per thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any


class _State(threading.local):
    enabled = True
    inference = False
    anomaly = False  # whether each operation's place is remembered, and each gradient (with check_nan) searched for NaN
    check_nan = True
    packers: tuple[Any, ...] = ()  # (pack, unpack) of the saved_tensors_hooks that are open, innermost last
    refused: str | None = None  # why saved_tensors_hooks may not be opened
    level: Any = None  # the open level of forward mode
    quiet = False  # within a level everything is recorded; whether the user asked for no recording
    watched = False  # whether one of these wants to see every new node
    walk: Any = None  # the backward walk that is going on
    layers: tuple[Any, ...] = ()  # the `vmap`s that are running, innermost last


state = _State()


def watch() -> None:
    """Note that one of the modes that look at new nodes was switched."""
    state.watched = state.anomaly or bool(state.packers) or state.level is not None


def switch(enabled: bool) -> None:
    """Record or do not record. Forward mode goes on in either case, so that within a level only the results differ."""
    if state.level is None:
        state.enabled = enabled
    else:
        state.enabled, state.quiet = True, not enabled


class recording:
    """Record or do not record, for what an operation does inside itself: whatever forward mode wishes."""

    def __init__(self, enabled: bool):
        self.enabled = enabled

    def __enter__(self) -> None:
        self.previous, state.enabled = state.enabled, self.enabled

    def __exit__(self, *exc_info: object) -> None:
        state.enabled = self.previous


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded."""
    return state.enabled and not state.quiet


class _Switch:
    """A context manager and decorator that sets the mode and puts it back."""

    mode = True

    def __enter__(self) -> None:
        self.previous = is_grad_enabled()
        switch(self.mode)

    def __exit__(self, *exc_info: object) -> None:
        switch(self.previous)

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
        self.mode = not mode and is_grad_enabled()
        return self


class set_grad_enabled:
    """Set the mode at once; as a context manager, put it back afterwards.

    >>> import numtape as nt
    >>> with nt.set_grad_enabled(False):
    ...     nt.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool):
        self.previous = is_grad_enabled()
        self.mode = bool(mode)
        switch(self.mode)

    def __enter__(self) -> None:
        switch(self.mode)

    def __exit__(self, *exc_info: object) -> None:
        switch(self.previous)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        switch(self.previous)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(self.mode):
                return function(*args, **kwargs)

        return wrapped
