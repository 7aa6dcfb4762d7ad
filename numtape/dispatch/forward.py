"""Tangents through elementwise operations and through sums: what goes forwards more simply than by the rules of `autograd.forward`."""

from __future__ import annotations

from numtape.autograd import mode
from numtape.dispatch import elementwise, rows
from numtape.tensor import alias


def push(node, tangents):
    """The tangent of an elementwise call: its rules with tangents in place of the gradient, since each is a diagonal matrix."""
    if node.spec.dtype.is_complex or any(t is not None and t.dtype.is_complex for t in tangents):
        return NotImplemented  # the rules have conjugates
    op, saved = node.op, elementwise.unpack(node)
    recording = mode.state.enabled
    if recording and len(saved) > len(op.names):
        out = alias(saved[-1])
        out._node, out._requires_grad = node, True
        saved = [*saved[:-1], out]
    total = None
    for i, tangent in enumerate(tangents):
        if tangent is None:
            continue
        rule, places, same = op.recipes[i]
        values = [tangent if k < 0 else saved[k] for k in places]
        if same:
            part = tangent
        elif recording:
            part = rule(*values)
        else:
            run = elementwise.call if mode.state.layers else elementwise.evaluate
            part = run(op.pullbacks.get(i) or elementwise.pullback(op, i), values)
        total = part if total is None else total + part
    return total


def push_linear(node, tangents):
    """The tangent of a sum or mean: that of the tangents."""
    dims, spec, result = node.spec
    if mode.state.layers:
        t, keep = tangents[0], result.ndim == spec.ndim
        return t.sum(dims, keep) if node.op.name == "sum" else t.mean(dims, keep)
    return rows.call(node.op, (tangents[0], *[None] * (len(node.op.names) - 1)), dims, result.ndim == spec.ndim)


elementwise.pull.push = push
rows.pull_linear.push = push_linear
