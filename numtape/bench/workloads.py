"""The cases that are not one call of one op: copies, calls on tiny tensors, training steps, starting a process.

Each is written per engine, in the way its users write it; every engine starts from the same numbers, and the first result
of each is compared.
"""

from __future__ import annotations

import operator
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.cases import Case, values
from numtape.bench.engines import Engine, installed

Bind = Callable[[Engine], Callable[[], Any] | None]
Problem = Callable[[], tuple[list[np.ndarray], np.ndarray, np.ndarray]]


def per_engine(**binds: Callable[[Any], Callable[[], Any]]) -> Bind:
    """A `bind` with a function for each engine that takes part."""
    return lambda engine: binds[engine.name](engine) if engine.name in binds else None


# ------------------------------------------------------------------------------------------------ copies
def copied(matrix: Callable[[], np.ndarray]) -> Bind:
    """A fresh contiguous copy. JAX copies nothing that it need not: it takes no part."""
    return per_engine(
        numtape=lambda e: e.array(matrix()).clone,
        numpy=lambda e: matrix().copy,
        torch=lambda e: e.array(matrix()).clone,
    )


def transposed(matrix: Callable[[], np.ndarray]) -> Bind:
    """A contiguous copy of the transposed matrix."""
    return per_engine(
        numtape=lambda e: e.array(matrix()).t().contiguous,
        numpy=lambda e: partial(np.ascontiguousarray, matrix().T),
        torch=lambda e: e.array(matrix()).t().contiguous,
        jax=lambda e: e.bind(lambda x: x.T, [matrix()]),
    )


# ------------------------------------------------------------------------------------------------ calls
def _pair() -> list[np.ndarray]:
    return [values("a", (8,), None), values("b", (8,), None)]


def _recorded(engine: Any) -> Callable[[], Any]:
    a, b = (engine.array(x).requires_grad_() for x in _pair())
    return partial(operator.add, a, b)


def _chain(engine: Any) -> Callable[[], Any]:
    """((a * a + a) * 0.5).sum().backward(); the gradient is handed back, and dropped before the next call."""
    a = engine.array(_pair()[0]).requires_grad_()

    def call() -> Any:
        a.grad = None
        ((a * a + a) * 0.5).sum().backward()
        return a.grad

    return call


def call_cases() -> list[Case]:
    """Calls so small that only the way to the kernel counts."""
    add = lambda e: e.bind(operator.add, _pair())
    chain_of_jax = lambda e: e.bind(e.jax.grad(lambda a: ((a * a + a) * 0.5).sum()), _pair()[:1])
    return [
        Case("calls", "add/8", per_engine(numtape=add, numpy=add, torch=add, jax=add), True),
        Case("calls", "add-recorded/8", per_engine(numtape=_recorded, torch=_recorded), True),
        Case("calls", "chain-backward/8", per_engine(numtape=_chain, torch=_chain, jax=chain_of_jax), True),
    ]


# ------------------------------------------------------------------------------------------------ training steps
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


def step_of_modules(problem: Problem, engine: Any, nn: Any, optim: Any, *, optimizer: str = "SGD", device: Any = "cpu") -> Callable[[], Any]:
    """The step as PyTorch's users write it, for the two libraries that have its names; it returns the loss."""
    parameters, x, y = problem()
    layers = [nn.Linear(*reversed(w.shape)) for w in parameters[::2]]
    model = nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())][:-1]).to(device)
    names = [f"{2 * i}.{which}" for i in range(len(layers)) for which in ("weight", "bias")]
    model.load_state_dict({name: engine.array(p) for name, p in zip(names, parameters)})
    optimizer = getattr(optim, optimizer)(model.parameters(), lr=LEARNING_RATE)
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


def training_cases() -> list[Case]:
    """Whole training steps of perceptrons: forward, cross entropy, backward, SGD."""
    cases = []
    for sizes, batch in (((16, 32, 4), 32), ((784, 256, 10), 64)):
        problem = partial(perceptron, sizes, batch)
        bind = per_engine(
            numtape=partial(_step_of_numtape, problem),
            numpy=partial(_step_of_numpy, problem),
            torch=partial(_step_of_torch, problem),
            jax=partial(_step_of_jax, problem),
        )
        label = f"mlp-{'-'.join(map(str, sizes))}/batch{batch}"
        cases.append(Case("training", label, bind, True))
    return cases


# ------------------------------------------------------------------------------------------------ starting a process
FIRST_GRADIENT = {
    "numtape": "import numtape as nt; x = nt.ones(8, requires_grad=True); ((x * x + x) * 0.5).sum().backward(); x.grad.tolist()",
    "torch": "import torch; x = torch.ones(8, requires_grad=True); ((x * x + x) * 0.5).sum().backward(); x.grad.tolist()",
    "jax": "import jax, jax.numpy as np; jax.jit(jax.grad(lambda x: ((x * x + x) * 0.5).sum()))(np.ones(8)).tolist()",
}


def _process(code: str) -> Callable[[], Any]:
    return partial(subprocess.run, [sys.executable, "-c", code], check=True, capture_output=True)


def start_cases() -> list[Case]:
    """A fresh process: until the import is done, and until a first gradient is there. The caches of all are warm."""
    imports = {e: partial(lambda code, engine: _process(code), f"import {e}") for e in ("numtape", "numpy", "torch", "jax")}
    gradients = {e: partial(lambda code, engine: _process(code), code) for e, code in FIRST_GRADIENT.items() if installed(e)}
    return [
        Case("start", "import", per_engine(**imports), process=True),
        Case("start", "first-gradient", per_engine(**gradients), process=True),
    ]
