"""Random zeros while training, names of `nn.functional`."""

from __future__ import annotations

import warnings
from typing import Any

import numtape as nt

__all__ = ["alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

_FLOOR = -1.7580993408473766  # of selu: -scale * alpha


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _kept(input: Any, p: float, channels: bool) -> Any:
    "A 1 of probability 1 - p for each element, or each channel of each item."
    shape = (*input.shape[:2], *[1] * (input.ndim - 2)) if channels else tuple(input.shape)
    return (nt.rand(shape, dtype=input.dtype, device=input.device) < 1.0 - p).to(input.dtype)


def _drop_channels(name: str, input: Any, p: float, training: bool, inplace: bool, unbatched: int) -> Any:
    _check(p)
    if input.ndim not in (unbatched, unbatched + 1):
        warnings.warn(
            f"{name}: Received a {input.ndim}-D input to {name}, which is deprecated and will result in an error in a future release. To retain the "
            f"behavior and silence this warning, please use dropout instead. Note that {name} exists to provide channel-wise dropout on inputs with "
            f"{unbatched - 1} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. {unbatched}D or {unbatched + 1}D inputs).",
            stacklevel=3,
        )
    if not training or p == 0.0:
        return input
    single = input.ndim == unbatched and name == "dropout1d"  # NOTE: as PyTorch, whose dropout2d and dropout3d take dim 0 for the batch always
    whole = input.unsqueeze(0) if single else input
    kept = _kept(whole, p, True)
    kept = kept / (1.0 - p) if p < 1.0 else kept
    kept = kept.squeeze(0) if single else kept
    return input.mul_(kept) if inplace else input * kept


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels with probability `p`, scale the others by 1/(1-p). input: (N, C, L) or (C, L). Raises ValueError for other `p`.

    >>> nt.nn.functional.dropout1d(nt.ones(1, 2, 3), p=1.0).sum()
    tensor(0.)
    """
    if input.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, (C, L) or (N, C, L), but received a {input.ndim}D input; use dropout for other shapes.")
    return _drop_channels("dropout1d", input, p, training, inplace, 2)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels with probability `p`, scale the others by 1/(1-p). input: (N, C, H, W). Raises ValueError for other `p`.

    >>> nt.nn.functional.dropout2d(nt.ones(1, 2, 3, 3), p=1.0).sum()
    tensor(0.)
    """
    return _drop_channels("dropout2d", input, p, training, inplace, 3)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels with probability `p`, scale the others by 1/(1-p). input: (N, C, D, H, W). Raises ValueError for other `p`.

    >>> nt.nn.functional.dropout3d(nt.ones(1, 2, 3, 3, 3), p=1.0).sum()
    tensor(0.)
    """
    return _drop_channels("dropout3d", input, p, training, inplace, 4)


def _alpha(input: Any, p: float, training: bool, inplace: bool, channels: bool) -> Any:
    _check(p)
    if not training or p == 0.0:
        return input
    if p == 1.0:
        return input.mul_(0.0) if inplace else input * 0.0
    kept = _kept(input, p, channels)
    scale = ((1.0 - p) * (1.0 + p * _FLOOR**2)) ** -0.5  # so that mean 0 and variance 1 stay
    shift = (1.0 - kept) * (scale * _FLOOR) - scale * p * _FLOOR
    factor = kept * scale
    return input.mul_(factor).add_(shift) if inplace else input * factor + shift


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Put elements at selu's floor with probability `p`, then scale and shift, so that mean 0 and variance 1 stay. Klambauer et al. 2017.

    input: any shape. Raises ValueError where `p` is not between 0 and 1.

    >>> nt.nn.functional.alpha_dropout(nt.ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    """
    return _alpha(input, p, training, inplace, False)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole channels. input: (N, C, *). Raises ValueError where `p` is not between 0 and 1.

    >>> nt.nn.functional.feature_alpha_dropout(nt.ones(1, 1, 3), 0.5, training=False)
    tensor([[[1., 1., 1.]]])
    """
    return _alpha(input, p, training, inplace, True)
