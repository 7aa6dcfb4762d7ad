"""Forward mode: tangents carried along the tape, from what was moved to what was computed from it.

The tape holds for each operation how gradients go back through it, v -> J' v. Elementwise operations have a diagonal J, so the same rule
carries a tangent forwards, in the same fused kernel; some others have a `push` beside their pull. For the rest J is the derivative of
the linear map v -> J' v, which the pull records: reverse mode twice, but through a single operation. So every operation that can be
differentiated twice has a forward mode, and what is pushed can be recorded and differentiated in turn.
"""

from __future__ import annotations

from numtape.autograd import mode, tape
from numtape.autograd.tape import Grads, Node, Part


def push(outputs, tangents: dict, record: bool, nodes: list | None = None) -> list:
    """The tangents of tensors, given those of edges they hang on; None where nothing moved. With `record` they are on the tape too.

    `nodes` is `order(outputs, tangents)`, for who pushes several times.
    """
    found = dict(tangents)
    with mode.recording(record):
        for node in order(outputs, found) if nodes is None else nodes:
            tangent = through(node, [None if edge is None else found.get(edge) for edge in node.inputs])
            if tangent is not None:
                found[node] = tangent
    return [found.get(tape.edge_of(t)) for t in outputs]


def order(outputs, known) -> list:
    """The nodes between what is known and the outputs, oldest first."""
    seen: set = set()
    stack = [tape.edge_of(t) for t in outputs]
    while stack:
        edge = stack.pop()
        if type(edge) is Node and edge not in seen and edge not in known:
            seen.add(edge)
            stack.extend(edge.inputs)
    return sorted(seen, key=lambda node: node.seq)


def through(node: Node, tangents: list):
    """The tangent of a node's result from those of its inputs; for a call with several results something to find theirs by."""
    if all(t is None for t in tangents):
        return None
    if type(node.pull) is Part:
        several = tangents[0]
        return several[node.pull.i] if isinstance(several, tuple) else _of_part(node, several)
    forward = getattr(node.pull, "push", None)
    if forward is not None and forward is not NotImplemented:
        found = forward(node, tangents)
        if found is not NotImplemented:
            return found
    if node.spec is None:  # several results: the tangent of each is found by its own node
        return list(tangents)
    return transposed(node, lambda seed: node.pull(node, seed), tangents)


def _of_part(part: Node, tangents: list):
    call = part.inputs[0]
    return transposed(part, lambda seed: call.pull(call, Grads({part.pull.i: seed})), tangents)


def transposed(node: Node, pull, tangents: list):
    """J v for the linear map `pull`, v -> J' v: its derivative, taken at zero."""
    record = mode.state.enabled
    spec = node.spec[-1] if isinstance(node.spec, tuple) else node.spec
    like = next(t for t in tangents if t is not None)
    with mode.recording(True):
        seed = like.detach().new_zeros(spec.shape, dtype=spec.dtype)
        seed._node, seed._requires_grad = Node("seed", (), None, spec), True
        pairs = [(p, t) for p, t in zip(pull(seed), tangents) if p is not None and t is not None and tape.needs_grad(p)]
        if not pairs:
            return None
        first, second = [p for p, _ in pairs], [t for _, t in pairs]
        return tape.backward(first, second, retain_graph=True, create_graph=record, inputs=[seed], accumulate=False)[0]
