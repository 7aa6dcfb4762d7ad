"""Anomaly mode: where an operation was recorded whose derivative fails or is not a number."""

from __future__ import annotations

import warnings

from numtape.autograd import mode


class set_detect_anomaly:
    """Switch anomaly mode on or off, at once; as a context manager, put it back afterwards. See `detect_anomaly`."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self.previous = _state.anomaly, _state.check_nan
        _switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info) -> None:
        _switch(*self.previous)


class detect_anomaly:
    """Remember where each operation was recorded, and name the place when its derivative fails, or (with `check_nan`) is NaN.

    The message names the line of the caller's code. This takes time, so it is for finding a fault.

    >>> import numtape as nt
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"), nt.autograd.detect_anomaly():  # the warnings say that it is on, and name the line
    ...     x = nt.zeros(1, requires_grad=True)
    ...     try:
    ...         (x.sqrt() * 0).backward()
    ...     except RuntimeError as problem:
    ...         print(problem)
    Function 'SqrtBackward0' returned nan values in its 0th output.
    """

    def __init__(self, check_nan: bool = True):
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.", stacklevel=2
        )

    def __enter__(self) -> None:
        self.previous = _state.anomaly, _state.check_nan
        _switch(True, self.check_nan)

    def __exit__(self, *exc_info) -> None:
        _switch(*self.previous)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return _state.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN."""
    return _state.check_nan


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode on or off."""
    _switch(mode, check_nan)


def _switch(enabled: bool, check_nan: bool) -> None:
    _state.anomaly, _state.check_nan = bool(enabled), bool(check_nan)
    mode.watch()


_state = mode.state
