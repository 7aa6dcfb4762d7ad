"""The suite `ops`: every op of the table against PyTorch, forward and, where it is cheap, forward and backward.

Elementwise ops get their operands from their records, a million elements; the others stand in `op_calls` by subject. An op
that has no public name of its own is timed by the function that runs it (`INSIDE`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from numtape.bench.cases import Case, operands
from numtape.bench.engines import Engine
from numtape.bench.suites.op_calls import BIG, CALLS, Call
from numtape.op import TABLE, Op

# Ops without a public name of their own: the case that runs them.
INSIDE = {
    "extremum_share": "maximum.backward", "_pow_slope": "pow.backward", "_pow_log": "pow.backward", "_cube": "pow.cube", "_prelu": "prelu", "_lower": "tril", "_upper": "triu",
    "_complex_of": "complex", "_real_part": "real", "_imag_part": "imag",
    "_near": "isclose", "_affine": "batch_norm", "_affine_about": "batch_norm", "_affine_of_two": "batch_norm.backward", "_finite": "nan_to_num", "_logit": "logit",
    "_trigamma": "polygamma", "_polygamma": "polygamma.2", "_zeta": "polygamma.2", "row_nansum": "nansum.dim1", "row_mean": "mean.dim1", "row_var": "var.dim1", "row_std": "std.dim1",
    "row_logsumexp": "logsumexp.dim1", "row_norm2": "norm.dim1", "row_softmax": "softmax.dim1", "row_log_softmax": "log_softmax.dim1",
    "row_scaled_softmax": "scaled_dot_product_attention", "row_biased_softmax": "scaled_dot_product_attention", "row_standard": "group_norm",
    "row_layer_norm": "layer_norm", "row_moment": "batch_norm", "row_rms_standard": "rms_norm", "row_rms_norm": "rms_norm", "row_cross_entropy": "cross_entropy_rows",
}  # fmt: skip
# Ops that no case times, with the reason.
EXCUSED: dict[str, str] = {"frombuffer": "its operand is no array; it copies nothing"}
STEEP = {"tan", "reciprocal", "div", "pow", "addcdiv", "logcumsumexp", "prod", "cumprod", "rsqrt", "digamma", "lgamma"}  # results that lose digits to the operands'


def cases() -> list[Case]:
    """The cases of every op, in the order of the table."""
    import numtape.bench.suites.op_calls_more
    import numtape.bench.suites.op_calls_nn  # noqa: F401 - they add their calls

    found = []
    for op in list(TABLE.values()):
        for call in CALLS.get(op.name) or from_record(op):
            label = ".".join(part for part in (op.name, call.label) if part)
            tolerance = (1e-2, 1e-2) if op.name in STEEP else (1e-3, 1e-3)
            found.append(Case("ops", label, forward(call), tolerance=tolerance, exact=call.exact))
            if call.backward:
                found.append(Case("ops", f"{label}.backward", backward(call), tolerance=(1e-2, 1e-2)))
    return found


def from_record(op: Op) -> list[Call]:
    """An elementwise op called with what its record says; nothing for others."""
    if op.family != "elementwise" or op.public is None or op.name.startswith("_") or op.name in INSIDE:
        return []
    arguments = [lambda k=k: operands(op, BIG)[k] for k, a in enumerate(operands(op, 1)) if isinstance(a, np.ndarray)]
    numbers = {k: a for k, a in enumerate(operands(op, 1)) if not isinstance(a, np.ndarray)}
    floats = all(operands(op, 1)[k].dtype == np.float32 for k in range(len(op.names) - len(op.defaults)) if k not in numbers)
    differentiable = bool(op.vjp) and any(rule is not None for rule in op.vjp) and floats and op.name not in ("igamma", "igammac")  # by one operand only

    def call(m: Any, *tensors: Any) -> Any:
        given = list(tensors)
        for k, number in numbers.items():
            given.insert(k, number)
        return m(op.name)(*given)

    call.by_name = True  # type: ignore[attr-defined]
    return [Call("", call, arguments, differentiable)]


def module_of(engine: Engine, call: Call) -> Any:
    """What a call is made of: the engine's module, or its functions by the names of the table; None where it takes no part."""
    if engine.name not in ("numtape", "torch"):
        return None
    if getattr(call.call, "by_name", False):
        return engine.op
    if engine.name == "torch":
        return engine.torch  # type: ignore[attr-defined]
    import numtape

    return numtape


def forward(call: Call) -> Callable[[Engine], Callable[[], Any] | None]:
    """The `bind` of a call."""

    def bind(engine: Engine) -> Callable[[], Any] | None:
        m = module_of(engine, call)
        if m is None:
            return None
        tensors = [engine.array(make()) for make in call.arrays]
        return functools.partial(call.call, m, *tensors)

    return bind


def backward(call: Call) -> Callable[[Engine], Callable[[], Any] | None]:
    """The `bind` of a call and of its gradients."""

    def bind(engine: Engine) -> Callable[[], Any] | None:
        m = module_of(engine, call)
        if m is None:
            return None
        grad = engine.grad  # type: ignore[attr-defined]
        tensors = [engine.array(make()) for make in call.arrays]
        wanted = [t.requires_grad_() for t in tensors if t.is_floating_point()]
        first = call.call(m, *tensors)
        seed = engine.array(np.ones(tuple(first.shape), np.dtype(str(first.dtype).rpartition(".")[2])))
        return lambda: grad(call.call(m, *tensors), wanted, seed)

    return bind
