"""Derivatives of formulas: reverse mode on symbols, or once more through the parts while the tape records."""

from __future__ import annotations

from numtape import graph
from numtape.graph import FULL, ROW, Symbol
from numtape.op import TABLE


class Derived:
    """The derivative rule of a formula for its input i, made from the rules of its parts. Called as rule(g, *arguments)."""

    def __init__(self, op, i: int):
        self.op, self.i = op, i

    def __call__(self, g, *args):
        if isinstance(g, Symbol):
            body = self.op.fn(*args)
            return gradient(body, args[self.i], g)
        from numtape import autograd
        from numtape.autograd import mode

        with mode.enable_grad():
            out = self.op.fn(*args)
        return autograd.grad(out, args[self.i], g, create_graph=True, allow_unused=True)[0]


def gradient(output: Symbol, target: Symbol, g: Symbol):
    """The gradient of `target` when that of `output` is `g`, as symbols; the number 0 if there is none."""
    cotangents: dict[Symbol, Symbol] = {output: g}
    depends: dict[Symbol, bool] = {}
    nodes = graph.order([output], sources=lambda node: node.inputs)
    for node in nodes:
        depends[node] = node is target or any(depends[s] for s in node.inputs)
    for node in reversed(nodes):
        cotangent = cotangents.get(node)
        if cotangent is None or node is target:
            continue
        for source, part in zip(node.inputs, pull(node, cotangent, depends)):
            if part is not None and depends[source]:
                if node.op != "convert" and source.extent == ROW and part.extent == FULL:
                    part = graph.reduction(TABLE["sum"], part)
                part = graph.convert(part, source.dtype)
                before = cotangents.get(source)
                cotangents[source] = part if before is None else graph.call(TABLE["add"], (before, part))
    return cotangents.get(target, 0)


def pull(node: Symbol, g: Symbol, depends):
    """The gradients of a symbol's inputs, None where nothing depends on them."""
    if node.op == "convert":
        return [graph.convert(g, node.inputs[0].dtype)]
    op = node.op
    if op.vjp is None:
        return [None] * len(node.inputs)
    args = node.value[1] if isinstance(node.value, tuple) else node.inputs
    positions = [i for i, a in enumerate(args) if not isinstance(a, (str, tuple, type(None)))]
    values = dict(zip(op.names, args)) | {"g": g, "out": node, "dim": None, "shape": None}
    parts = []
    for position, source in zip(positions, node.inputs):
        rule = op.gradient(position)
        if rule is None or not depends[source] or not source.dtype.differentiable:
            parts.append(None)
        else:
            parts.append(graph.as_symbol(rule(*[values[name] for name in op.saves[position]])))
    return parts
