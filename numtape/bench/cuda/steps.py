"""The cases that are not one kernel: calls on tiny tensors, whose cost is the host's, and training steps."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numtape.bench.cuda.case import LAUNCH, TRAINING, Case, Scale, first, number
from numtape.bench.cuda.memory import normals
from numtape.bench.suites.train import LEARNING_RATE, perceptron, step_of_modules

Parameters = list[np.ndarray]


# ------------------------------------------------------------------------------------------------ calls
def call_cases(scale: Scale) -> list[Case]:
    """What the host does for a call: bursts of calls on tiny tensors, not waiting for the card where `clock` is "host"."""
    case = functools.partial(Case, "calls", clock="host")
    one, two, three = normals((8,)), normals((8,), (8,)), normals((8,), (8,), (8,))
    add = lambda lib, x, y: x + y
    slope = lambda x: x + 0.5
    same = lambda x: x
    empty = lambda draw: [np.zeros(1, np.float32)]
    n = scale.vector(1 << 26)
    cases = [
        case("add/8", two, add, np.add, cupy=add, target=LAUNCH),
        case("add-recorded/8", two, reference=np.add, build=_recorded),
        case("add-number/8", one, lambda lib, x: x + 0.5, lambda x: x + 0.5),
        case("mul-add/8", three, lambda lib, x, y, z: x * y + z, lambda x, y, z: x * y + z),
        case("sum.dim1/8x8", normals((8, 8)), lambda lib, x: x.sum(1), lambda x: x.sum(1), tolerance=(1e-5, 1e-5)),
        case("matmul/8", normals((8, 8), (8, 8)), lambda lib, x, y: x @ y, np.matmul, cut=first, tolerance=(1e-5, 1e-5)),
        case("chain-backward/8", one, _chain, slope, clock="wall"),
        case("item/1", normals((1,)), reference=same, build=_item, clock="wall", cut=None),
    ]
    for size in dict.fromkeys(min(s, scale.cap * 7 if scale.cap else s) for s in (8, 1 << 20)):
        cases.append(case(f"empty/{number(size)}", empty, build=functools.partial(_empty, size)))
    there = lambda engine, arrays: functools.partial(engine.array, arrays[0])
    back = lambda engine, arrays: functools.partial(engine.numpy, engine.array(arrays[0]))
    return [
        *cases,
        case(f"to-card/{number(n)}", normals((n,)), reference=same, build=there, clock="wall", nbytes=4 * n),
        case(f"to-host/{number(n)}", normals((n,)), reference=same, build=back, clock="wall", nbytes=4 * n),
    ]


def _chain(lib: Any, x: Any) -> Any:
    """The gradient of ((a * a + a) * 0.5).sum()."""
    x.requires_grad_().grad = None
    ((x * x + x) * 0.5).sum().backward()
    return x.grad


def _recorded(engine: Any, arrays: Sequence[np.ndarray]) -> Callable[[], Any] | None:
    """A sum that leaves a node on the tape."""
    if engine.name == "cupy":
        return None
    x, y = map(engine.array, arrays)
    return functools.partial(operator.add, x.requires_grad_(), y)


def _item(engine: Any, arrays: Sequence[np.ndarray]) -> Callable[[], Any]:
    """One number, for Python; it waits for the card."""
    item = engine.array(arrays[0]).item
    return lambda: np.array([item()], np.float32)


def _empty(size: int, engine: Any, arrays: Sequence[np.ndarray]) -> Callable[[], Any]:
    """Taking memory, and giving it back."""
    if engine.name == "cupy":
        return functools.partial(engine.lib.empty, size, np.float32)
    return functools.partial(engine.lib.empty, size, device=engine.device)


# ------------------------------------------------------------------------------------------------ training steps
PERCEPTRONS: tuple[tuple[tuple[int, ...], int, str], ...] = (((16, 32, 4), 32, "SGD"), ((784, 512, 512, 10), 128, "SGD"), ((64, 64, 10), 32, "Adam"))
CHECKED = 4  # steps whose losses are compared


def training_cases(scale: Scale) -> list[Case]:
    """Whole training steps of perceptrons: forward, cross entropy, backward, optimizer. The last one is the digits classifier's."""
    cases = []
    for sizes, batch, optimizer in PERCEPTRONS:
        if scale.cap:
            sizes, batch = tuple(min(n, 6) for n in sizes), 4
        problem = lambda draw, sizes=sizes, batch=batch: _flat(perceptron(sizes, batch, seed=int(draw.rng.integers(1 << 31))))
        build = functools.partial(_step, optimizer)
        label = f"mlp-{'-'.join(map(str, sizes))}-{optimizer.lower()}/batch{batch}"
        cases.append(Case("training", label, problem, build=build, verify=functools.partial(_verify, optimizer), clock="wall", target=TRAINING))
    return cases


def _flat(problem: tuple[Parameters, np.ndarray, np.ndarray]) -> Sequence[np.ndarray]:
    parameters, x, y = problem
    return [*parameters, x, y]


def _step(optimizer: str, engine: Any, operands: Sequence[np.ndarray]) -> Callable[[], Any] | None:
    if engine.name == "cupy":
        return None
    *parameters, x, y = operands
    problem = lambda: (list(parameters), x, y)
    return step_of_modules(problem, engine, engine.lib.nn, engine.lib.optim, optimizer=optimizer, device=engine.device)


def _verify(optimizer: str, engine: Any, step: Callable[[], Any], operands: Sequence[np.ndarray]) -> str | None:
    """The losses of the first steps against NumPy's in float64."""
    *parameters, x, y = operands
    expected = losses([p.astype(np.float64) for p in parameters], x.astype(np.float64), y, optimizer)
    found = [float(engine.numpy(step())) for _ in range(CHECKED)]
    if not np.allclose(found, expected, 1e-4, 1e-5):
        said = "; ".join(", ".join(f"{v:.6f}" for v in values) for values in (found, expected))
        return f"the losses of {CHECKED} steps, ours and NumPy's in float64: {said}"
    return None


def losses(parameters: Parameters, x: np.ndarray, y: np.ndarray, optimizer: str) -> list[float]:
    """The losses of `CHECKED` steps, the derivative written out."""
    found, rows = [], np.arange(len(y))
    means, squares = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for count in range(1, CHECKED + 1):
        inputs = [x]
        for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
            inputs.append(np.maximum(inputs[-1] @ w.T + b, 0))
        scores = inputs[-1] @ parameters[-2].T + parameters[-1]
        shifted = scores - scores.max(1, keepdims=True)
        e = np.exp(shifted)
        found.append(float((np.log(e.sum(1)) - shifted[rows, y]).mean()))
        back = e / e.sum(1, keepdims=True)
        back[rows, y] -= 1
        back /= len(y)
        slopes: Parameters = []
        for layer in range(len(inputs) - 1, -1, -1):
            slopes = [back.T @ inputs[layer], back.sum(0), *slopes]
            back = (back @ parameters[2 * layer]) * (inputs[layer] > 0)
        for p, g, m, v in zip(parameters, slopes, means, squares):
            if optimizer == "SGD":
                p -= LEARNING_RATE * g
            else:
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= LEARNING_RATE * (m / (1 - 0.9**count)) / (np.sqrt(v / (1 - 0.999**count)) + 1e-8)
    return found
