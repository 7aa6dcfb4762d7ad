"""Forward mode: tangents carried along the tape, from what was moved to what was computed from it.

The tape holds for each operation how gradients go back through it, v -> J' v. Elementwise operations have a diagonal J, so the same rule
carries a tangent forwards, in the same fused kernel; some others have a `push` beside their pull. For the rest J is the derivative of
the linear map v -> J' v, which the pull records: reverse mode twice, but through a single operation. So every operation that can be
differentiated twice has a forward mode, and what is pushed can be recorded and differentiated in turn.
"""

from __future__ import annotations

from numtape.autograd import mode, tape
from numtape.autograd.tape import Grads, Node, Part


class Push:
    """The map from the tangents of tensors to those of what was computed from them, for many tangents.

    What the pulls recorded for the first is used for the others too.
    """

    def __init__(self, inputs, outputs):
        self.sources = [tape.edge_of(t) for t in inputs]
        self.targets = [tape.edge_of(t) for t in outputs]
        self.nodes, self.kept = order(self.targets, set(self.sources)), {}

    def __call__(self, tangents, record: bool) -> list:
        """The tangents of the outputs, None where nothing moved; with `record` they are on the tape too."""
        found = {edge: t for edge, t in zip(self.sources, tangents) if t is not None}
        with mode.recording(record):
            for node in self.nodes:
                tangent = through(node, [None if edge is None else found.get(edge) for edge in node.inputs], self.kept)
                if tangent is not None:
                    found[node] = tangent
        return [None if edge is None else found.get(edge) for edge in self.targets]


def order(edges, known) -> list:
    """The nodes between what is known and these edges, oldest first."""
    seen: set = set()
    stack = list(edges)
    while stack:
        edge = stack.pop()
        if type(edge) is Node and edge not in seen and edge not in known:
            seen.add(edge)
            stack.extend(edge.inputs)
    return sorted(seen, key=lambda node: node.seq)


def through(node: Node, tangents: list, kept: dict | None = None):
    """The tangent of a node's result from those of its inputs; for a call with several results something to find theirs by."""
    if all(t is None for t in tangents):
        return None
    if type(node.pull) is Part:
        several = tangents[0]
        return several[node.pull.i] if isinstance(several, tuple) else _of_part(node, several, kept)
    forward = getattr(node.pull, "push", None)
    if forward is not None and forward is not NotImplemented:
        try:
            found = forward(node, tangents)
        except AttributeError:  # a tangent is a batch of `vmap`
            if not mode.state.layers:
                raise
            return mode.state.layers[-1].by_example(lambda *several: forward(node, several), tangents, ())
        if found is not NotImplemented:
            return found
    if node.spec is None:  # several results: the tangent of each is found by its own node
        return list(tangents)
    return transposed(node, lambda seed: node.pull(node, seed), tangents, kept)


def _of_part(part: Node, tangents: list, kept: dict | None):
    call = part.inputs[0]
    return transposed(part, lambda seed: call.pull(call, Grads({part.pull.i: seed})), tangents, kept)


def transposed(node: Node, pull, tangents: list, kept: dict | None = None):
    """J v for the linear map `pull`, v -> J' v: its derivative, taken at zero. What was pulled is kept by node, if a dict is given."""
    record = mode.state.enabled
    spec = node.spec[-1] if isinstance(node.spec, tuple) else node.spec
    like = next(t for t in tangents if t is not None)
    with mode.recording(True):
        if kept is not None and node in kept:
            seed, pulled = kept[node]
        else:
            like = like._value if hasattr(like, "_layer") else like
            seed = like.detach().new_zeros(spec.shape, dtype=spec.dtype)
            seed._node, seed._requires_grad = Node("seed", (), None, spec), True
            pulled = pull(seed)
            if kept is not None:
                kept[node] = seed, pulled
        pairs = [(p, t) for p, t in zip(pulled, tangents) if p is not None and t is not None and tape.needs_grad(p)]
        if not pairs:
            return None
        first, second = [p for p, _ in pairs], [t for _, t in pairs]
        return tape.backward(first, second, retain_graph=True, create_graph=record, inputs=[seed], accumulate=False)[0]
