"""The suite `calls`: calls so small that only the way to the kernel counts.

Everything is of a few elements, so that a time here is what an eager call costs before any arithmetic: Python, the plan, the launch, the tape.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from numtape.bench.cases import Bind, Case, per_engine, values
from numtape.bench.suites.train import perceptron, step_of_modules

SIZES, BATCH = (16, 32, 4), 32  # of the training steps


def _pair() -> list[np.ndarray]:
    return [values("a", (8,), None), values("b", (8,), None)]


def _image() -> list[np.ndarray]:
    return [values("image", (4, 8, 6), None)]


def _square(n: int) -> list[np.ndarray]:
    return [values(name, (n, n), None) for name in ("left", "right")]


def _linear() -> list[np.ndarray]:
    return [values("x", (8, 16), None), values("weight", (4, 16), None), values("bias", (4,), None)]


# ------------------------------------------------------------------------------------------------ what is called
def _sliced(x: Any) -> Any:
    """Views of views: a row, a part, every second, one column, a dim put in."""
    return x[1][2:7][::2][:, 1][None, :2]


def _reshaped(x: Any) -> Any:
    """(4, 8, 6) by way of each reshaping view to (6, 32)."""
    return x.view(4, 2, 4, 6).transpose(1, 2).permute(0, 2, 1, 3).reshape(32, 6).unsqueeze(0).expand(2, 32, 6)[0].squeeze().t()


def _linear_of_numpy(x: Any, weight: Any, bias: Any) -> Any:
    return x @ weight.T + bias


# ------------------------------------------------------------------------------------------------ per engine
def _same(function: Callable[..., Any], arguments: Callable[[], list[Any]], *engines: str) -> Bind:
    """One call for all these engines."""
    bind = lambda engine: engine.bind(function, arguments())
    return per_engine(**dict.fromkeys(engines or ("numtape", "numpy", "torch", "jax"), bind))


def _of_name(name: str, arguments: Callable[[], list[Any]]) -> Bind:
    """The engine's own function of that name."""
    bind = lambda engine: engine.bind(engine.op(name), arguments())
    return per_engine(**dict.fromkeys(("numtape", "numpy", "torch", "jax"), bind))


def _recorded(engine: Any) -> Callable[[], Any]:
    a, b = (engine.array(x).requires_grad_() for x in _pair())
    return partial(operator.add, a, b)


def _layer(nn: Callable[[Any], Any], recorded: bool, engine: Any) -> Callable[[], Any]:
    """A Linear called as a module."""
    x, weight, bias = (engine.array(a) for a in _linear())
    layer = nn(engine).Linear(16, 4)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return partial(layer.requires_grad_(recorded), x)


def _chain(engine: Any) -> Callable[[], Any]:
    """((a * a + a) * 0.5).sum().backward(); the gradient is handed back, and dropped before the next call."""
    a = engine.array(_pair()[0]).requires_grad_()

    def call() -> Any:
        a.grad = None
        ((a * a + a) * 0.5).sum().backward()
        return a.grad

    return call


def _modules(engine: Any) -> Any:
    return engine.torch if engine.name == "torch" else __import__("numtape")


def _step(optimizer: str, settings: dict[str, Any], engine: Any) -> Callable[[], Any]:
    library = _modules(engine)
    extra = {"settings": settings} if engine.name == "torch" else {}
    return step_of_modules(partial(perceptron, SIZES, BATCH), engine, library.nn, library.optim, optimizer=optimizer, **extra)


def _torch_and_numtape(bind: Callable[[Any], Callable[[], Any]]) -> Bind:
    return per_engine(numtape=bind, torch=bind)


def cases() -> list[Case]:
    """Calls so small that only the way to the kernel counts."""
    one, both = lambda: _pair()[:1], _pair
    step = f"mlp-{'-'.join(map(str, SIZES))}"
    nn = lambda engine: _modules(engine).nn
    chain_of_jax = lambda e: e.bind(e.jax.grad(lambda a: ((a * a + a) * 0.5).sum()), _pair()[:1])
    found: list[tuple[str, Bind]] = [
        ("add/8", _same(operator.add, both)),
        ("add-recorded/8", _torch_and_numtape(_recorded)),
        ("mul-number/8", _same(operator.mul, lambda: [*one(), 2.0])),
        ("exp/8", _of_name("exp", one)),
        ("sum/8", _of_name("sum", one)),
        ("matmul/4x4", _same(operator.matmul, lambda: _square(4))),
        ("slicing-chain", _same(_sliced, _image, "numtape", "numpy", "torch")),
        ("reshaping-chain", _same(_reshaped, _image, "numtape", "torch")),
        ("linear/8x16x4", _torch_and_numtape(partial(_layer, nn, False))),
        ("linear-recorded/8x16x4", _torch_and_numtape(partial(_layer, nn, True))),
        ("chain-backward/8", per_engine(numtape=_chain, torch=_chain, jax=chain_of_jax)),
        (f"{step}-sgd/batch{BATCH}", _torch_and_numtape(partial(_step, "SGD", {"foreach": True}))),
        (f"{step}-adam/batch{BATCH}", _torch_and_numtape(partial(_step, "Adam", {"fused": True}))),
    ]
    return [Case("calls", label, bind, True, tolerance=(1e-2, 1e-3)) for label, bind in found]
