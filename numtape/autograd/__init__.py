"""Reverse-mode differentiation over the tape."""

from __future__ import annotations

from numtape.autograd import mode, tape
from numtape.autograd.anomaly import detect_anomaly, is_anomaly_check_nan_enabled, is_anomaly_enabled, set_detect_anomaly
from numtape.autograd.mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def _listed(value) -> list:
    if not isinstance(value, (list, tuple)):
        return [value]
    if hasattr(value, "output_nr"):
        value = [value]
    for t in value:
        if isinstance(t, tuple):  # a place on the tape stands for a tensor
            from numtape.autograd.graph import tensor_of

            return [tensor_of(t) for t in value]
    return list(value)


def _seeds(outputs: list, gradients, name: str) -> list:
    """The gradient of each output: as given, or 1 for a single element."""
    gradients = [None] * len(outputs) if gradients is None else _listed(gradients)
    if len(gradients) != len(outputs):
        raise RuntimeError(f"{name}: got {len(outputs)} tensors and {len(gradients)} gradients")
    seeds = []
    for i, (output, gradient) in enumerate(zip(outputs, gradients)):
        if not tape.needs_grad(output):
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if gradient is None:
            if output._spec.numel != 1:
                raise RuntimeError(
                    f"grad can be implicitly created only for scalar outputs, but tensor {i} has shape {tuple(output.shape)}; "
                    "sum it first, or give a gradient of its shape"
                )
            gradient = _one(output)
        elif gradient._spec.shape != output._spec.shape:
            raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {tuple(gradient.shape)} and output[{i}] has a shape of {tuple(output.shape)}.")
        elif gradient._spec.dtype is not output._spec.dtype:
            gradient = gradient.to(output._spec.dtype)
        if gradient._spec.device is not output._spec.device:
            if gradient._spec.ndim:
                raise RuntimeError(f"{name}: grad_output[{i}] is on {gradient._spec.device}, but output[{i}] on {output._spec.device}; move it with .to()")
            gradient = gradient.to(output._spec.device)
        seeds.append(gradient)
    return seeds


_ones: dict = {}


def _one(output):
    """A one of the shape and dtype of a single-element tensor; made once, only ever read."""
    found = _ones.get(output._spec)
    if found is None:
        if output.dtype.is_complex:
            raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {output.dtype}; give a gradient")
        with mode.no_grad():
            found = _ones[output._spec] = output.new_ones(output.shape)
    return found


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves they were computed from.

    >>> import numtape as nt
    >>> x = nt.tensor(3.0, requires_grad=True)
    >>> nt.autograd.backward(x * x)
    >>> x.grad
    tensor(6.)
    """
    outputs = _listed(tensors)
    if inputs is not None:
        inputs = _listed(inputs)
        if not inputs:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
    keep = create_graph if retain_graph is None else retain_graph
    tape.backward(outputs, _seeds(outputs, grad_tensors, "backward"), retain_graph=keep, create_graph=create_graph, inputs=inputs)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=None, materialize_grads=False) -> tuple:
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` is left alone.

    `allow_unused` gives None for inputs that the outputs do not depend on (an error otherwise), `materialize_grads` zeros.

    >>> import numtape as nt
    >>> x = nt.tensor(3.0, requires_grad=True)
    >>> nt.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    outputs, targets = _listed(outputs), _listed(inputs)
    if mode.state.layers and any(hasattr(t, "_layer") for t in (*outputs, *targets)):
        return mode.state.layers[-1].grad(outputs, targets, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    for t in targets:
        if not tape.needs_grad(t):
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    found = tape.backward(
        outputs, _seeds(outputs, grad_outputs, "grad"), retain_graph=keep, create_graph=create_graph, inputs=targets, accumulate=False
    )
    result = []
    for t, g in zip(targets, found):
        if g is None:
            if materialize_grads:
                g = t.new_zeros(t.shape)
            elif not allow_unused:
                raise RuntimeError(
                    "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior."
                )
        result.append(g)
    return tuple(result)


def __getattr__(name: str):
    """`Function`, `gradcheck`, `gradgradcheck`, `functional` and others, loaded when first asked for."""
    if name in ("functional", "recompute", "graph", "forward_ad", "function"):
        from importlib import import_module

        return import_module(f"numtape.autograd.{name}")
    if name == "Variable":
        from numtape.autograd.variable import Variable

        return Variable
    if name == "Function":
        from numtape.autograd.function import Function

        return Function
    if name in ("gradcheck", "gradgradcheck"):
        from importlib import import_module

        module = import_module("numtape.autograd.checking")
        globals()["gradcheck"], globals()["gradgradcheck"] = module.gradcheck, module.gradgradcheck
        return globals()[name]
    raise AttributeError(f"module 'numtape.autograd' has no attribute {name!r}")
