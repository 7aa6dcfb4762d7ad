"""The suite `conv`: convolutions, pooling and attention against PyTorch, forward and with gradients.

`.backward` is the forward pass and the gradients of all operands; `.input` and `.weight` are the forward pass and one gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from numtape.bench.cases import Case, values
from numtape.bench.engines import Engine

# label: (function, shape of x, shape of the weight, options)
CONVOLUTIONS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1x1": ("conv2d", (8, 64, 28, 28), (64, 64, 1, 1), {}),
    "3x3": ("conv2d", (8, 64, 28, 28), (64, 64, 3, 3), {"padding": 1}),
    "3x3.small": ("conv2d", (32, 16, 28, 28), (32, 16, 3, 3), {"padding": 1}),
    "3x3.digits": ("conv2d", (64, 1, 28, 28), (8, 1, 3, 3), {"padding": 1}),
    "3x3.deep": ("conv2d", (8, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
    "5x5.strided": ("conv2d", (32, 16, 28, 28), (32, 16, 5, 5), {"stride": 2, "padding": 2}),
    "3x3.groups": ("conv2d", (8, 64, 28, 28), (64, 16, 3, 3), {"padding": 1, "groups": 4}),
    "3x3.dilated": ("conv2d", (8, 32, 28, 28), (32, 32, 3, 3), {"padding": 2, "dilation": 2}),
    "stem": ("conv2d", (4, 3, 112, 112), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    "depthwise": ("conv2d", (8, 64, 28, 28), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
    "depthwise.strided": ("conv2d", (8, 64, 28, 28), (64, 1, 5, 5), {"stride": 2, "padding": 2, "groups": 64}),
    "conv1d": ("conv1d", (16, 64, 256), (64, 64, 5), {"padding": 2}),
    "conv3d": ("conv3d", (2, 16, 16, 16, 16), (16, 16, 3, 3, 3), {"padding": 1}),
    "transposed": ("conv_transpose2d", (8, 64, 14, 14), (64, 32, 4, 4), {"stride": 2, "padding": 1}),
}
# label: (function, shape of x, arguments, options)
POOLING: dict[str, tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = {
    "max_pool1d": ("max_pool1d", (16, 64, 256), (2,), {}),
    "max_pool2d": ("max_pool2d", (32, 16, 28, 28), (2,), {}),
    "max_pool2d.3x3": ("max_pool2d", (8, 64, 56, 56), (3,), {"stride": 2, "padding": 1}),
    "max_pool3d": ("max_pool3d", (2, 16, 16, 16, 16), (2,), {}),
    "avg_pool1d": ("avg_pool1d", (16, 64, 256), (2,), {}),
    "avg_pool2d": ("avg_pool2d", (32, 16, 28, 28), (2,), {}),
    "avg_pool2d.3x3": ("avg_pool2d", (8, 64, 56, 56), (3,), {"stride": 2, "padding": 1}),
    "avg_pool3d": ("avg_pool3d", (2, 16, 16, 16, 16), (2,), {}),
    "adaptive_avg_pool2d": ("adaptive_avg_pool2d", (8, 64, 28, 28), (7,), {}),
    "adaptive_avg_pool2d.whole": ("adaptive_avg_pool2d", (8, 256, 14, 14), (1,), {}),
    "adaptive_max_pool2d": ("adaptive_max_pool2d", (8, 64, 28, 28), (7,), {}),
}
# label: (shape of query, key and value, causal)
ATTENTION = {f"T{t}.d{d}{'.causal' if causal else ''}": ((8, 4, t, d), causal) for t in (64, 256) for d in (16, 64) for causal in (False, True)}


def cases() -> list[Case]:
    """Against PyTorch."""
    found = []
    for label, (name, x, w, options) in CONVOLUTIONS.items():
        call = _function(name, **options)
        flops = _convolution_flops(name, x, w, options)
        arrays = _made(("conv x", x), ("conv w", w))
        for part, wanted, share in (("", (), 1), (".input", (0,), 2), (".weight", (1,), 2), (".backward", (0, 1), 3)):
            default = label in ("3x3.small", "depthwise") and part in ("", ".backward")
            found.append(Case("conv", label + part, _bound(call, arrays, wanted), default, None, share * flops, (1e-2, 1e-1)))
    for label, (name, x, arguments, options) in POOLING.items():
        call = _function(name, *arguments, **options)
        arrays = _made(("pool x", x))
        found.append(Case("conv", label, _bound(call, arrays), label == "max_pool2d", 4 * prod(x)))
        found.append(Case("conv", label + ".backward", _bound(call, arrays, (0,)), label == "max_pool2d", 12 * prod(x)))
    for label, (shape, causal) in ATTENTION.items():
        call = _function("scaled_dot_product_attention", is_causal=causal)
        arrays = _made(*((f"attention {name}", shape) for name in "qkv"))
        flops = 4.0 * prod(shape) * shape[-2]
        found.append(Case("conv", f"attention.{label}", _bound(call, arrays), False, None, flops, (1e-3, 1e-4)))
        found.append(Case("conv", f"attention.{label}.backward", _bound(call, arrays, (0, 1, 2)), False, None, 3 * flops, (1e-2, 1e-3)))
    for t in (64, 256):
        arrays = _made(("attention x", (t, 8, 64)), ("attention in", (192, 64)), ("attention out", (64, 64)))
        flops = 2.0 * 8 * t * 64 * 4 * 64 + 4.0 * 8 * t * t * 64
        found.append(Case("conv", f"multi_head_attention.T{t}", _bound(_multi_head, arrays), False, None, flops, (1e-3, 1e-4)))
        found.append(Case("conv", f"multi_head_attention.T{t}.backward", _bound(_multi_head, arrays, (0, 1, 2)), False, None, 3 * flops, (1e-2, 1e-2)))
    return found


def _made(*shapes: tuple[str, tuple[int, ...]]) -> list[Callable[[], np.ndarray]]:
    return [functools.partial(values, name, shape, None) for name, shape in shapes]


def _convolution_flops(name: str, x: tuple[int, ...], w: tuple[int, ...], options: dict[str, Any]) -> float:
    """Two for each element of the weight at each place that it is applied at."""
    places = 1
    for n, k in zip(x[2:], w[2:]):
        span = options.get("dilation", 1) * (k - 1)
        places *= n if name.startswith("conv_transpose") else (n + 2 * options.get("padding", 0) - span - 1) // options.get("stride", 1) + 1
    return 2.0 * x[0] * places * prod(w)


def _function(name: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
    """A function of nn.functional, first result only."""

    def call(functional: Any, *tensors: Any) -> Any:
        return getattr(functional, name)(*tensors, *arguments, **options)

    return call


def _multi_head(functional: Any, x: Any, w_in: Any, w_out: Any) -> Any:
    found = functional.multi_head_attention_forward(x, x, x, 64, 4, w_in / 8, None, None, None, False, 0.0, w_out / 8, None, need_weights=False)
    return found[0]


def _bound(call: Callable[..., Any], arrays: Sequence[Callable[[], np.ndarray]], wanted: Sequence[int] = ()) -> Callable[[Engine], Callable[[], Any] | None]:
    """The `bind` of a call, with the gradients of the operands that are `wanted`."""

    def bind(engine: Engine) -> Callable[[], Any] | None:
        if engine.name not in ("numtape", "torch"):
            return None
        if engine.name == "torch":
            functional = engine.torch.nn.functional  # type: ignore[attr-defined]
        else:
            from numtape.nn import functional
        tensors = [engine.array(make()) for make in arrays]
        if not wanted:
            return functools.partial(call, functional, *tensors)
        operands = [tensors[i].requires_grad_() for i in wanted]
        seed = engine.array(values("seed", tuple(call(functional, *tensors).shape), None))
        grad = engine.grad  # type: ignore[attr-defined]
        return lambda: grad(call(functional, *tensors), operands, seed)

    return bind
