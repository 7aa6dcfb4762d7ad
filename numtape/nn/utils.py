"""What training loops do to parameters: clip gradients, and see all parameters as one vector."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numtape as nt

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector", "vector_to_parameters"]


def _listed(parameters: Any) -> list:
    return [parameters] if isinstance(parameters, nt.Tensor) else list(parameters)


def _gradients(parameters: Any) -> list:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


def get_total_norm(tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None) -> Any:
    """The norm of all tensors together, as if they were one vector. Raises RuntimeError where it is not finite, if asked to.

    >>> nt.nn.utils.get_total_norm([nt.tensor([3.0]), nt.tensor([4.0])])
    tensor(5.)
    """
    tensors, norm_type = _listed(tensors), float(norm_type)
    if not tensors:
        return nt.tensor(0.0)
    first = tensors[0].device
    total = nt.stack([t.detach().norm(norm_type).to(first) for t in tensors]).norm(norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be clipped. To disable this error and scale "
            "the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> None:
    """Scale all gradients by max_norm / total_norm where that is below 1, in place.

    >>> w = nt.ones(1, requires_grad=True)
    >>> w.grad = nt.tensor([4.0])
    >>> nt.nn.utils.clip_grads_with_norm_(w, 1.0, nt.tensor(2.0))
    >>> w.grad
    tensor([2.0000])
    """
    with nt.no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for g in _gradients(parameters):
            g.mul_(factor.to(g.device))


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Any:
    """Scale the gradients, taken as one vector, down to the norm `max_norm`, in place; returns the norm they had.

    parameters: a tensor or several; those without a gradient count nothing. Raises RuntimeError where the norm is not finite, if asked to.

    >>> w = nt.ones(2, requires_grad=True)
    >>> (w * nt.tensor([3.0, 4.0])).sum().backward()
    >>> nt.nn.utils.clip_grad_norm_(w, 1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    parameters = _listed(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None) -> Any:
    """The old name of `clip_grad_norm_`; warns."""
    warnings.warn("`numtape.nn.utils.clip_grad_norm` is now deprecated in favor of `numtape.nn.utils.clip_grad_norm_`.", FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Clip each element of the gradients to between -clip_value and clip_value, in place.

    >>> w = nt.ones(2, requires_grad=True)
    >>> (w * nt.tensor([3.0, -0.5])).sum().backward()
    >>> nt.nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad
    tensor([ 1.0000, -0.5000])
    """
    with nt.no_grad():
        for g in _gradients(parameters):
            g.clamp_(-float(clip_value), float(clip_value))


def parameters_to_vector(parameters: Iterable) -> Any:
    """All elements of the parameters, one after another, in one vector.

    >>> nt.nn.utils.parameters_to_vector([nt.ones(1, 2), nt.zeros(1)])
    tensor([1., 1., 0.])
    """
    return nt.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable) -> None:
    """Give the parameters the elements of the vector, in their order. Raises TypeError where `vec` is no tensor.

    >>> w = nt.zeros(1, 2)
    >>> nt.nn.utils.vector_to_parameters(nt.tensor([1.0, 2.0]), [w])
    >>> w
    tensor([[1., 2.]])
    """
    if not isinstance(vec, nt.Tensor):
        raise TypeError(f"expected numtape.Tensor, but got: {type(vec).__name__}")
    position = 0
    for p in parameters:
        p.data = vec.narrow(0, position, p.numel()).view_as(p).data
        position += p.numel()
