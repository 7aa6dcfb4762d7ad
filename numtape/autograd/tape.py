"""The tape: the backward walk over what operations left behind for their derivatives.

Each recorded output has a `Node` (see `node.py`): edges to what it was computed from, and `pull`, which turns the gradient of the output
into the gradients of the inputs. An edge is a node, or a leaf tensor, or None. The walk goes newest first through a heap
of sequence numbers, so each node runs once, after all its gradients have arrived, and no recursion is involved.

Tensors are met by protocol here (`+`, `add_`, `clone`, their underscored fields): this package imports no ops and no kernels.
"""

from __future__ import annotations

import warnings
from heapq import heappop, heappush
from sys import getrefcount

from numtape.autograd import mode
from numtape.autograd.handles import Both, Handle
from numtape.autograd.node import (
    AccumulateGrad,
    Grads,
    Node,
    Part,
    Taken,
    _next,
    edge_of,
    freed,
    needs_grad,
    overwritten,
    pack,
    unpacked,
    watch,
)

__all__ = [
    "AccumulateGrad",
    "Both",
    "Grads",
    "Handle",
    "Node",
    "Part",
    "Taken",
    "_next",
    "backward",
    "edge_of",
    "freed",
    "needs_grad",
    "overwritten",
    "pack",
    "reached",
    "unpacked",
    "watch",
]


# A backward walk that is going on is shown as `mode.state.walk` in anomaly mode, and where `shown` has something. It is a list: where it started
# (None when it is over), the edges it is limited to (None: no limit), the node that is run (in anomaly mode), and the walk around it.
shown: list = []
def backward(roots, gradients, *, retain_graph, create_graph, inputs=None, accumulate=True, cut=False):
    """Walk from `roots` (tensors) with their gradients.

    Without `inputs` (or with `accumulate`), leaves get `.grad`. With `inputs`, only what leads to them is walked, and with `cut` nothing
    beyond the first of them on a way; returns their gradients, None where there is none.
    """
    pending: dict = {}  # the gradient so far of each node and leaf that was reached
    ours: set = set()  # those whose gradient is a sum made here, which may be added into
    heap: list[tuple[int, Node]] = []
    wanted = needed = None
    targets: dict = {}  # what `inputs` want, and the gradient found for it
    if inputs is not None:
        wanted = [edge_of(t) for t in inputs]
        targets = {edge: None for edge in wanted if edge is not None}
        needed = _leading_to(targets, roots)
    state, before = mode.state, mode.state.enabled
    walk, anomaly, pull = None, False, None
    if state.layers and any(hasattr(g, "_layer") for g in gradients):
        pull = state.layers[-1].pull  # gradients that are batches of `vmap`
    if state.watched:
        anomaly = state.anomaly
        if state.level is not None:  # gradients have tangents too
            state.level.flush()
            create_graph = True
    if anomaly or shown:
        state.walk = walk = [roots, needed, None, state.walk]
    state.enabled = create_graph
    plain = not create_graph and pull is None and not anomaly
    try:
        for root, gradient in zip(roots, gradients):
            edge = edge_of(root)
            if edge is None:
                continue
            if edge in pending:
                gradient = pending[edge] + gradient
            elif type(edge) is Node:
                heappush(heap, (-edge.seq, edge))
            pending[edge] = gradient
        gradients = gradient = None  # what the user gave is not ours to keep or to add into
        while heap:
            node = heappop(heap)[1]
            gradient = pending.pop(node)
            if node.rare is not None:
                gradient = _observe(node, gradient, create_graph)
            if targets and node in targets:
                targets[node] = gradient
                if cut or not any(e in needed for e in node.inputs if e is not None):
                    continue
            if anomaly:
                walk[2] = node
            if plain and type(node.pull) is Taken and node.inputs[0] in ours and node.rare is None:
                node.pull.add(pending[node.inputs[0]], gradient)
                gradient = None
                continue
            try:
                parts = node.pull(node, gradient) if pull is None else pull(node, gradient)
                if node.rare is not None and "post" in node.rare:
                    parts = _after(node, gradient, parts)
                if anomaly and state.check_nan:
                    _check_nan(node, parts)
            except Exception as problem:
                if node.note("trace"):
                    _blame(node, problem)
                raise
            gradient = None
            if len(parts) != len(node.inputs):
                raise RuntimeError(f"{node.label}: its derivative returned {len(parts)} gradients for {len(node.inputs)} inputs")
            for edge, part in zip(node.inputs, parts):
                if edge is None or part is None or needed is not None and edge not in needed:
                    continue
                sum_so_far = pending.get(edge)
                if sum_so_far is None:
                    pending[edge] = part
                    if type(edge) is Node:
                        heappush(heap, (-edge.seq, edge))
                    if plain and type(node.pull) is Taken and node.rare is None:
                        ours.add(edge)
                elif create_graph or edge not in ours or pull is not None:
                    pending[edge] = sum_so_far + part
                    ours.add(edge)
                else:
                    sum_so_far.add_(part)
            parts = part = sum_so_far = None  # so that a gradient held once is seen to be so
            if not retain_graph and node.saved is not None:
                node.release()
        for leaf in list(pending):  # what is left are leaves
            gradient = pending.pop(leaf)
            if (gradient._spec.shape != leaf._spec.shape) if pull is None else gradient.shape != leaf.shape:
                raise RuntimeError(f"a derivative rule returned a gradient of shape {tuple(gradient.shape)} for a leaf of shape {tuple(leaf.shape)}")
            if leaf._hooks:
                gradient = run_hooks(leaf._hooks, gradient)
            if targets and leaf in targets:
                targets[leaf] = gradient
            if accumulate:
                _accumulate(leaf, gradient, create_graph)
                if leaf._post_hooks:
                    for hook in list(leaf._post_hooks.values()):
                        hook(leaf)
            gradient = None
    finally:
        state.enabled = before
        if walk is not None:
            state.walk = walk[3]
            walk[0] = walk[2] = None
    if wanted is None:
        return None
    if accumulate:
        for tensor, edge in zip(inputs, wanted):
            if type(edge) is Node and targets[edge] is not None and not tensor.retains_grad:
                _accumulate(tensor, targets[edge], create_graph)
    return [None if edge is None else targets[edge] for edge in wanted]


def _observe(node, gradient, create_graph):
    """Run the hooks of a node and keep its gradient for the tensors that asked."""
    if node.note("hooks"):
        gradient = run_hooks(node.rare["hooks"], gradient)
    for reference in node.note("retain") or ():
        tensor = reference()
        if tensor is not None:
            _accumulate(tensor, gradient if create_graph else gradient.clone(), create_graph)
    for hook in list((node.note("pre") or {}).values()):
        changed = hook(_outputs(node, gradient))
        if changed is not None:
            changed = changed if isinstance(changed, tuple) else (changed,)
            gradient = Grads({i: g for i, g in enumerate(changed) if g is not None}) if type(gradient) is Grads else changed[0]
    return gradient


def _outputs(node, gradient) -> tuple:
    """The gradients of a node's outputs, as its hooks get them."""
    if type(gradient) is not Grads:
        return (gradient,)
    count = len(getattr(node.pull, "specs", ())) or max(gradient.parts) + 1
    return tuple(gradient.parts.get(i) for i in range(count))


def _after(node, gradient, parts):
    """Run the hooks that a node's own `register_hook` got, on the gradients it found."""
    parts = tuple(parts)
    for hook in list(node.rare["post"].values()):
        changed = hook(parts, _outputs(node, gradient))
        if changed is not None:
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(parts):
                raise RuntimeError(f"hook returned incorrect number of gradients: expected {len(parts)}, got {len(changed)}")
            parts = changed
    return parts


def run_hooks(hooks, gradient):
    for hook in list(hooks.values()):
        changed = hook(gradient)
        if changed is not None:
            name = getattr(hook, "__name__", type(hook).__name__)
            if not hasattr(changed, "_spec"):
                raise TypeError(f"hook '{name}' should return a Tensor or None, got {type(changed).__name__}")
            if changed._spec.shape != gradient._spec.shape:
                raise RuntimeError(f"hook '{name}' has changed the size of value: from {tuple(gradient.shape)} to {tuple(changed.shape)}")
            if changed._spec.dtype is not gradient._spec.dtype:
                raise RuntimeError(f"hook '{name}' has changed the type of value: from {gradient.dtype} to {changed.dtype}")
            gradient = changed
    return gradient


# ------------------------------------------------------------------------------------------------ anomaly
def _check_nan(node, parts) -> None:
    for i, part in enumerate(parts):
        if hasattr(part, "_spec") and bool((part.detach() != part.detach()).any()):
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


def _blame(node, problem) -> None:
    """Say where the forward calls were made whose derivative failed."""
    import traceback

    said, current = "", node
    while current is not None and current.note("trace"):
        what = "The forward call that was recorded" if current is node else f"It was recorded while the derivative of {current.name()} ran, whose forward call was"
        said += f"{what}:\n" + "".join(traceback.format_list(current.rare["trace"]))
        current = current.note("within")
    problem.add_note(said)
    warnings.warn(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{said}", stacklevel=2)


def _accumulate(leaf, gradient, create_graph):
    """Add into `leaf.grad`, never sharing memory with anything else."""
    old = leaf._grad
    if gradient._spec.device is not leaf._spec.device:
        raise RuntimeError(f"backward: the gradient of a tensor on {leaf._spec.device} came out on {gradient._spec.device}: a hook or a Function moved it")
    if old is not None:
        leaf._grad = old + gradient if create_graph else old.add_(gradient)
    elif create_graph:
        leaf._grad = gradient
    else:
        # 3: the caller's name, ours, getrefcount's; 2: the tensor's slot, getrefcount's
        sole = getrefcount(gradient) <= 3 and getrefcount(gradient._storage) <= 2
        if not (sole and gradient._spec.contiguous and gradient._node is None):
            gradient = gradient.detach().clone()
        leaf._grad = gradient


def reached(roots) -> set:
    """All edges that a walk from these tensors comes to."""
    seen: set = set()
    stack = [edge_of(r) for r in roots]
    while stack:
        edge = stack.pop()
        if edge is not None and edge not in seen:
            seen.add(edge)
            if type(edge) is Node:
                stack.extend(edge.inputs)
    return seen


def _leading_to(targets, roots) -> set:
    """All nodes from which an edge in `targets` can be reached, and those edges."""
    needed = set(targets)
    oldest = 0  # nothing older leads there
    for edge in targets:
        if type(edge) is not Node:
            oldest = 0
            break
        oldest = edge.seq if not oldest or edge.seq < oldest else oldest
    seen: set = set()
    stack = [(edge_of(r), False) for r in roots]
    while stack:
        node, ready = stack.pop()
        if node is None:
            continue
        if ready:
            if any(e in needed for e in node.inputs if e is not None):
                needed.add(node)
        elif node not in seen:
            seen.add(node)
            if type(node) is Node and node.seq >= oldest:
                stack.append((node, True))
                stack.extend((e, False) for e in node.inputs if e is not None)
    return needed
