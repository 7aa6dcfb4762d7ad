"""The networks that the suite `train` steps through, as losses of named parameters.

A loss is written once in PyTorch's names and runs on any library that has them: `lib` is numtape or torch, `p` holds the parameters.
numtape has no layer for a recurrent cell, an image or a table of embeddings yet, so both libraries call the functions of
`nn.functional`, and the LSTM's cell is written out for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

Loss = Callable[..., Any]


@dataclass(frozen=True)
class Work:
    """What one training step is made of. flops: those of its matrix products and convolutions, None where they were not counted."""

    parameters: dict[str, np.ndarray]
    data: list[np.ndarray]
    loss: Loss  # loss(lib, p, *data)
    optimizer: str
    options: dict[str, Any] = field(default_factory=dict)
    flops: float | None = None


def _dense(rng: np.random.Generator, name: str, n_in: int, n_out: int) -> dict[str, np.ndarray]:
    """The weight and bias of a linear layer, as PyTorch draws them."""
    return {f"{name}.weight": _uniform(rng, (n_out, n_in), n_in), f"{name}.bias": _uniform(rng, (n_out,), n_in)}


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    return (rng.uniform(-1, 1, shape) / math.sqrt(fan_in)).astype(np.float32)


# ------------------------------------------------------------------------------------------------ images
def small_cnn(batch: int = 32, side: int = 28) -> Work:
    """Two convolutions of 3x3, each with relu and a maximum over 2x2, and a linear layer: images of 28x28 to ten classes."""
    rng = np.random.default_rng(1)
    channels = (1, 16, 32)
    parameters: dict[str, np.ndarray] = {}
    for k, (c_in, c_out) in enumerate(pairwise(channels)):
        parameters |= {f"conv{k}.weight": _uniform(rng, (c_out, c_in, 3, 3), 9 * c_in), f"conv{k}.bias": _uniform(rng, (c_out,), 9 * c_in)}
    features = channels[-1] * (side // 4) ** 2
    parameters |= _dense(rng, "out", features, 10)
    images = rng.normal(size=(batch, 1, side, side)).astype(np.float32)
    first, second = (2.0 * batch * (side >> k) ** 2 * 9 * c_in * c_out for k, (c_in, c_out) in enumerate(pairwise(channels)))
    flops = 2 * first + 3 * (second + 2.0 * batch * features * 10)  # the images want no gradient

    def loss(lib: Any, p: dict[str, Any], images: Any, classes: Any) -> Any:
        F = lib.nn.functional
        x = F.max_pool2d(F.relu(F.conv2d(images, p["conv0.weight"], p["conv0.bias"], padding=1)), 2)
        x = F.max_pool2d(F.relu(F.conv2d(x, p["conv1.weight"], p["conv1.bias"], padding=1)), 2)
        return F.cross_entropy(F.linear(x.flatten(1), p["out.weight"], p["out.bias"]), classes)

    return Work(parameters, [images, rng.integers(0, 10, batch)], loss, "SGD", {"lr": 0.01, "momentum": 0.9}, flops)


# ------------------------------------------------------------------------------------------------ text
def gpt(layers: int, width: int, length: int, batch: int, heads: int, vocabulary: int = 65) -> Work:
    """A GPT (Radford et al. 2019): embeddings, blocks of causal attention and a GELU perceptron, each behind a LayerNorm; AdamW."""
    rng = np.random.default_rng(2)
    normal = lambda *shape: rng.normal(0, 0.02, shape).astype(np.float32)
    parameters = {"token": normal(vocabulary, width), "place": normal(length, width), "head": normal(vocabulary, width)}
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    for i in range(layers):
        for name, n_in, n_out in (("qkv", width, 3 * width), ("proj", width, width), ("up", width, 4 * width), ("down", 4 * width, width)):
            parameters |= {f"{i}.{name}.weight": normal(n_out, n_in), f"{i}.{name}.bias": np.zeros(n_out, np.float32)}
        for name in ("norm1", "norm2"):
            parameters |= {f"{i}.{name}.weight": ones.copy(), f"{i}.{name}.bias": zeros.copy()}
    parameters |= {"norm.weight": ones.copy(), "norm.bias": zeros.copy()}
    text = rng.integers(0, vocabulary, (batch, length + 1))
    # 12 width² weights a layer and the head meet every token; scores and sums of values are two products of (T, T, width) a layer
    flops = 3 * 2.0 * batch * length * (layers * (12 * width * width + 2 * length * width) + vocabulary * width)

    def loss(lib: Any, p: dict[str, Any], text: Any, following: Any) -> Any:
        F = lib.nn.functional
        B, T = text.shape
        linear = lambda x, name: F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])
        norm = lambda x, name: F.layer_norm(x, (width,), p[f"{name}.weight"], p[f"{name}.bias"])
        split = lambda x: x.view(B, T, heads, width // heads).transpose(1, 2)  # (B, heads, T, size)
        x = F.embedding(text, p["token"]) + p["place"]
        for i in range(layers):
            q, k, v = linear(norm(x, f"{i}.norm1"), f"{i}.qkv").chunk(3, -1)
            found = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=True)
            x = x + linear(found.transpose(1, 2).reshape(B, T, width), f"{i}.proj")
            x = x + linear(F.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up")), f"{i}.down")
        scores = F.linear(norm(x, "norm"), p["head"])
        return F.cross_entropy(scores.view(-1, vocabulary), following.reshape(-1))

    return Work(parameters, [text[:, :-1].copy(), text[:, 1:].copy()], loss, "AdamW", {"lr": 3e-4}, flops)


def lstm(steps: int = 32, batch: int = 32, n_in: int = 32, width: int = 128) -> Work:
    """An LSTM (Hochreiter and Schmidhuber 1997) over `steps` places, its cell written out for both libraries, and a linear layer; Adam."""
    rng = np.random.default_rng(3)
    parameters = {
        "ih.weight": _uniform(rng, (4 * width, n_in), width),
        "hh.weight": _uniform(rng, (4 * width, width), width),
        "bias": _uniform(rng, (4 * width,), width),
    }
    parameters |= _dense(rng, "out", width, 10)
    x = rng.normal(size=(steps, batch, n_in)).astype(np.float32)
    zeros = np.zeros((batch, width), np.float32)
    flops = 2.0 * batch * (steps * 4 * width * (2 * n_in + 3 * width) + 3 * width * 10)  # the input wants no gradient

    def loss(lib: Any, p: dict[str, Any], x: Any, h: Any, c: Any, classes: Any) -> Any:
        F = lib.nn.functional
        inputs = F.linear(x, p["ih.weight"], p["bias"])  # (T, B, 4 width)
        for t in range(steps):
            i, f, g, o = (inputs[t] + F.linear(h, p["hh.weight"])).chunk(4, 1)
            c = lib.sigmoid(f) * c + lib.sigmoid(i) * lib.tanh(g)
            h = lib.sigmoid(o) * lib.tanh(c)
        return F.cross_entropy(F.linear(h, p["out.weight"], p["out.bias"]), classes)

    return Work(parameters, [x, zeros, zeros, rng.integers(0, 10, batch)], loss, "Adam", {"lr": 1e-3}, flops)


# ------------------------------------------------------------------------------------------------ physics
def pinn(points: int = 1024, width: int = 64) -> Work:
    """A physics-informed network (Raissi et al. 2019) for u'' = -pi² sin(pi x), u(-1) = u(1) = 0: a tanh perceptron of three hidden layers, whose
    second derivative by x is taken through `autograd.grad(create_graph=True)`; Adam."""
    rng = np.random.default_rng(4)
    parameters: dict[str, np.ndarray] = {}
    for k, (n_in, n_out) in enumerate(pairwise((1, width, width, width, 1))):
        parameters |= _dense(rng, str(k), n_in, n_out)
    x = np.linspace(-1, 1, points, dtype=np.float32)[:, None].copy()
    source = (-(np.pi**2) * np.sin(np.pi * x)).astype(np.float32)
    ends = np.array([[-1], [1]], np.float32)

    def loss(lib: Any, p: dict[str, Any], x: Any, source: Any, ends: Any) -> Any:
        F = lib.nn.functional

        def network(x: Any) -> Any:
            for k in range(3):
                x = lib.tanh(F.linear(x, p[f"{k}.weight"], p[f"{k}.bias"]))
            return F.linear(x, p["3.weight"], p["3.bias"])

        x = x.detach().requires_grad_()
        (slope,) = lib.autograd.grad(network(x).sum(), x, create_graph=True)
        (bend,) = lib.autograd.grad(slope.sum(), x, create_graph=True)
        return ((bend - source) ** 2).mean() + (network(ends) ** 2).mean()

    return Work(parameters, [x, source, ends], loss, "Adam", {"lr": 1e-3})
