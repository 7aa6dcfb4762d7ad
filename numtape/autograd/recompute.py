"""Computing a part of the graph again instead of keeping what it saved: the machinery of `utils.checkpoint`.

The function runs recorded once; the nodes that it left are walked to find what they hang on, then dropped. In their place stands one node,
whose pull runs the function again. So gradients are right for whatever the function reads, arguments or not, and to any order.
"""

from __future__ import annotations

from numtape.autograd import mode, tape
from numtape.autograd._trees import flatten, unflatten
from numtape.autograd.graph import Standing
from numtape.autograd.tape import Part


def recomputed(run):
    """run() (nested tuples, lists and dicts of tensors and others), saving nothing of what it computes in between."""
    start = tape._next()
    leaves, structure = flatten(run())
    places = [i for i, t in enumerate(leaves) if hasattr(t, "_requires_grad") and tape.needs_grad(t)]
    if not mode.state.enabled or not places:
        return unflatten(structure, leaves)
    edges, inner = _boundary([leaves[i] for i in places], start)
    node = tape.Node("checkpoint", edges, None)

    def pull(node, gradient):
        recording = mode.state.enabled
        with mode.enable_grad():
            again = flatten(run())[0]
        if len(again) != len(leaves_specs):
            raise RuntimeError("checkpoint: the function returned another number of results when it was run again")
        roots, seeds = [], []
        for i, g in gradient.parts.items():
            if again[i]._spec.shape != leaves_specs[i].shape:
                raise RuntimeError(f"checkpoint: result {i} has shape {tuple(again[i].shape)} when computed again, it had {tuple(leaves_specs[i].shape)}")
            roots.append(again[i])
            seeds.append(g)
        targets = [edge if type(edge) is not tape.Node else Standing(edge) for edge in edges]
        return tape.backward(roots, seeds, retain_graph=recording, create_graph=recording, inputs=targets, accumulate=False, cut=True)

    leaves_specs = [getattr(t, "_spec", None) for t in leaves]
    node.pull = pull
    for i in places:
        if tape.edge_of(leaves[i]) in inner:  # else it was handed through
            out = leaves[i].detach()
            out._node, out._requires_grad = tape.Node("checkpoint", (node,), Part(i), out._spec), True
            leaves[i] = out
    return unflatten(structure, leaves)


def _boundary(outputs, start) -> tuple[list, set]:
    """The edges out of the nodes that were made after `start`, from the outputs on; and these nodes."""
    edges: dict = {}
    inner: set = set()
    stack = [tape.edge_of(t) for t in outputs]
    while stack:
        edge = stack.pop()
        if edge is None or edge in inner:
            continue
        if type(edge) is tape.Node and edge.seq > start:
            inner.add(edge)
            stack.extend(edge.inputs)
        else:
            edges[edge] = None
    return list(edges), inner
