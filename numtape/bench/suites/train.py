"""The suite `train`: whole training steps, written per engine in the way its users write them; every engine starts from the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.cases import Case, per_engine

Problem = Callable[[], tuple[list[np.ndarray], np.ndarray, np.ndarray]]
LEARNING_RATE = 0.01


def perceptron(sizes: tuple[int, ...], batch: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The parameters of a perceptron (weights as (out, in), each followed by its bias), a batch and its classes."""
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(-1, 1, (n_out, n_in)) / np.sqrt(n_in) for n_in, n_out in pairwise(sizes)]
    parameters = [p for w in weights for p in (w, np.zeros(len(w)))]
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    return [p.astype(np.float32) for p in parameters], x, rng.integers(0, sizes[-1], batch)


def _step_of_numtape(problem: Problem, engine: Any) -> Callable[[], Any]:
    return step_of_modules(problem, engine, nt.nn, nt.optim)


def _step_of_torch(problem: Problem, engine: Any) -> Callable[[], Any]:
    return step_of_modules(problem, engine, engine.torch.nn, engine.torch.optim)


def step_of_modules(problem: Problem, engine: Any, nn: Any, optim: Any, *, optimizer: str = "SGD", device: Any = "cpu", settings: Any = None) -> Callable[[], Any]:
    """The step as PyTorch's users write it, for the two libraries that have its names; it returns the loss. settings: more of the optimizer's."""
    parameters, x, y = problem()
    layers = [nn.Linear(*reversed(w.shape)) for w in parameters[::2]]
    model = nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())][:-1]).to(device)
    names = [f"{2 * i}.{which}" for i in range(len(layers)) for which in ("weight", "bias")]
    model.load_state_dict({name: engine.array(p) for name, p in zip(names, parameters)})
    optimizer = getattr(optim, optimizer)(model.parameters(), lr=LEARNING_RATE, **(settings or {}))
    criterion = nn.CrossEntropyLoss()
    batch, classes = engine.array(x), engine.array(y)

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(batch), classes)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _step_of_numpy(problem: Problem, engine: Any) -> Callable[[], Any]:
    """The step with the derivative written out."""
    (w1, b1, w2, b2), x, y = problem()
    rows, rate = np.arange(len(y)), np.float32(LEARNING_RATE)

    def step() -> Any:
        nonlocal w1, b1, w2, b2
        hidden = np.maximum(x @ w1.T + b1, 0)
        scores = hidden @ w2.T + b2
        shifted = scores - scores.max(1, keepdims=True)
        e = np.exp(shifted)
        total = e.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - shifted[rows, y]).mean()
        slope = e / total
        slope[rows, y] -= 1
        slope /= np.float32(len(y))
        back = (slope @ w2) * (hidden > 0)
        w2, b2 = w2 - rate * (slope.T @ hidden), b2 - rate * slope.sum(0)
        w1, b1 = w1 - rate * (back.T @ x), b1 - rate * back.sum(0)
        return loss

    return step


def _step_of_jax(problem: Problem, engine: Any) -> Callable[[], Any]:
    """The step as one compiled function."""
    jax, jnp = engine.jax, engine.jax.numpy
    parameters, x, y = problem()
    state = [engine.array(p) for p in parameters]
    batch, classes = engine.array(x), engine.array(y.astype(np.int32))

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = parameters
        scores = jnp.maximum(x @ w1.T + b1, 0) @ w2.T + b2
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1).mean()

    def update(parameters: Any, x: Any, y: Any) -> Any:
        loss, slopes = jax.value_and_grad(loss_of)(parameters, x, y)
        return loss, [p - LEARNING_RATE * g for p, g in zip(parameters, slopes)]

    compiled = jax.jit(update)

    def step() -> Any:
        nonlocal state
        loss, state = compiled(state, batch, classes)
        return loss.block_until_ready()

    return step


def cases() -> list[Case]:
    """Whole training steps of perceptrons: forward, cross entropy, backward, SGD."""
    found = []
    for sizes, batch in (((16, 32, 4), 32), ((784, 256, 10), 64)):
        problem = partial(perceptron, sizes, batch)
        bind = per_engine(
            numtape=partial(_step_of_numtape, problem),
            numpy=partial(_step_of_numpy, problem),
            torch=partial(_step_of_torch, problem),
            jax=partial(_step_of_jax, problem),
        )
        label = f"mlp-{'-'.join(map(str, sizes))}/batch{batch}"
        found.append(Case("train", label, bind, True))
    return found
