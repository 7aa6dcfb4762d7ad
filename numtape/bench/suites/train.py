"""The suite `train`: whole eager training steps, written per engine in the way its users write them; every engine starts from the same numbers.

The result that is compared is the loss of the third call, so two updates of every parameter stand behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.cases import Case, per_engine
from numtape.bench.suites.networks import Work, gpt, lstm, pinn, small_cnn

Problem = Callable[[], tuple[list[np.ndarray], np.ndarray, np.ndarray]]
LEARNING_RATE = 0.01
COMPARED = 3  # the call whose loss is compared


def perceptron(sizes: tuple[int, ...], batch: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The parameters of a perceptron (weights as (out, in), each followed by its bias), a batch and its classes."""
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(-1, 1, (n_out, n_in)) / np.sqrt(n_in) for n_in, n_out in pairwise(sizes)]
    parameters = [p for w in weights for p in (w, np.zeros(len(w)))]
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    return [p.astype(np.float32) for p in parameters], x, rng.integers(0, sizes[-1], batch)


def _library(engine: Any) -> Any:
    return nt if engine.name == "numtape" else engine.torch


def _perceptron_step(problem: Problem, optimizer: str, engine: Any) -> Callable[[], Any]:
    lib = _library(engine)
    return step_of_modules(problem, engine, lib.nn, lib.optim, optimizer=optimizer)


def step_of_work(work: Callable[[], Work], engine: Any) -> Callable[[], Any]:
    """The step of one of `networks`, for the two libraries that have PyTorch's names; it returns the loss."""
    lib, made = _library(engine), work()
    p = {name: lib.nn.Parameter(engine.array(a)) for name, a in made.parameters.items()}
    data = [engine.array(a) for a in made.data]
    optimizer = getattr(lib.optim, made.optimizer)(list(p.values()), **made.options)

    def step() -> Any:
        optimizer.zero_grad()
        loss = made.loss(lib, p, *data)
        loss.backward()
        optimizer.step()
        return loss

    return step


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


def _step_of_jax(problem: Problem, optimizer: str, engine: Any) -> Callable[[], Any]:
    """The step as one compiled function."""
    jax, jnp = engine.jax, engine.jax.numpy
    parameters, x, y = problem()
    state: Any = [engine.array(p) for p in parameters]
    batch, classes = engine.array(x), engine.array(y.astype(np.int32))

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        for k in range(0, len(parameters), 2):
            x = (jnp.maximum(x, 0) if k else x) @ parameters[k].T + parameters[k + 1]
        return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1).mean()

    def sgd(state: Any, slopes: Any) -> Any:
        return [p - LEARNING_RATE * g for p, g in zip(state, slopes)]

    def adam(state: Any, slopes: Any) -> Any:
        parameters, means, squares, count = state
        found: tuple[list[Any], ...] = ([], [], [])
        count = count + 1
        for p, m, v, g in zip(parameters, means, squares, slopes):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            new = p - LEARNING_RATE * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
            for kept, value in zip(found, (new, m, v)):
                kept.append(value)
        return (*found, count)

    def update(state: Any, x: Any, y: Any) -> Any:
        loss, slopes = jax.value_and_grad(loss_of)(state if optimizer == "SGD" else state[0], x, y)
        return loss, sgd(state, slopes) if optimizer == "SGD" else adam(state, slopes)

    if optimizer == "Adam":
        state = (state, [jnp.zeros_like(p) for p in state], [jnp.zeros_like(p) for p in state], jnp.float32(0))
    compiled = jax.jit(update)

    def step() -> Any:
        nonlocal state
        loss, state = compiled(state, batch, classes)
        return loss.block_until_ready()

    return step


PERCEPTRONS = (((16, 32, 4), 32, "SGD"), ((784, 256, 10), 64, "SGD"), ((784, 1024, 1024, 10), 128, "Adam"))
NETWORKS: dict[str, Callable[[], Work]] = {
    "cnn-28x28/batch32": small_cnn,
    "gpt-2x64/T64": partial(gpt, 2, 64, 64, 12, 4),
    "gpt-3x256/T128": partial(gpt, 3, 256, 128, 4, 8),
    "lstm-128/T32": lstm,
    "pinn-3x64/1024": pinn,
}


def perceptron_flops(sizes: tuple[int, ...], batch: int) -> float:
    """The operations of the products in a step: one forward, two back, but that the batch wants no gradient."""
    return sum(2.0 * batch * n_in * n_out * (3 if k else 2) for k, (n_in, n_out) in enumerate(pairwise(sizes)))


def cases() -> list[Case]:
    """Forward, loss, backward and update, of perceptrons and of the networks."""
    found = []
    for sizes, batch, optimizer in PERCEPTRONS:
        problem = partial(perceptron, sizes, batch)
        binds = dict.fromkeys(("numtape", "torch"), partial(_perceptron_step, problem, optimizer))
        if optimizer == "SGD":
            binds["numpy"] = partial(_step_of_numpy, problem)
        bind = per_engine(**binds, jax=partial(_step_of_jax, problem, optimizer))
        label = f"mlp-{'-'.join(map(str, sizes))}{'-adam' if optimizer == 'Adam' else ''}/batch{batch}"
        flops = perceptron_flops(sizes, batch) if sizes[0] > 16 else None
        found.append(Case("train", label, bind, True, flops=flops, compared=COMPARED))
    for label, work in NETWORKS.items():
        bind = per_engine(**dict.fromkeys(("numtape", "torch"), partial(step_of_work, work)))
        found.append(Case("train", label, bind, flops=work().flops, tolerance=(1e-4, 1e-5), compared=COMPARED))
    return found
