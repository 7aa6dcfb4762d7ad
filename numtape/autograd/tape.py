"""The tape: what an operation leaves behind for its derivative, and the backward walk over it.

Each recorded output has a `Node`: edges to what it was computed from, and `pull`, which turns the gradient of the output
into the gradients of the inputs. An edge is a node, or a leaf tensor, or None. The walk goes newest first through a heap
of sequence numbers, so each node runs once, after all its gradients have arrived, and no recursion is involved.

Tensors are met by protocol here (`+`, `add_`, `clone`, their underscored fields): this package imports no ops and no kernels.
"""

from __future__ import annotations

import itertools
import os
from heapq import heappop, heappush
from sys import getrefcount

from numtape.autograd import mode

_next = itertools.count(1).__next__


_package = os.path.dirname(os.path.dirname(__file__))


def place() -> list:
    """The frames of the user's code that are being run."""
    import traceback

    return [f for f in traceback.extract_stack() if not f.filename.startswith(_package)]


class Node:
    """One recorded operation.

    `saved` holds what its rules named (arguments in order, then the result), `versions` the storage versions they were saved
    at. `rare` holds what few nodes have: hooks, tensors that retain their gradient, the forward call's place.
    """

    __slots__ = ("__weakref__", "inputs", "name", "op", "pull", "rare", "saved", "seq", "spec", "versions")

    def __init__(self, name, inputs, pull, spec=None):
        self.seq = _next()
        self.name, self.inputs, self.pull, self.spec = name, inputs, pull, spec
        self.op = self.saved = self.versions = None
        self.rare = {"trace": place()} if mode.state.anomaly else None

    def note(self, key):
        """The value of a rare property, or None."""
        return None if self.rare is None else self.rare.get(key)

    def hook_table(self) -> dict:
        """The hooks of this node's gradient."""
        if self.rare is None:
            self.rare = {}
        return self.rare.setdefault("hooks", {})

    def __repr__(self) -> str:
        return f"<{''.join(p.capitalize() for p in self.name.strip('_').split('_'))}Backward>"

    @property
    def next_functions(self):
        """The nodes of the inputs, as PyTorch lists them."""
        return tuple((edge, 0) for edge in self.inputs)

    def save(self, *tensors):
        """Keep tensors for `pull`, to be had back through `unpack`; None stays None."""
        self.saved = tensors
        self.versions = tuple(None if t is None else t._storage.version for t in tensors)

    def unpack(self):
        """The saved tensors, unless they were freed or overwritten since."""
        if self.saved is None:
            raise RuntimeError(freed(self))
        for t, version in zip(self.saved, self.versions):
            if t is not None and version is not None and t._storage.version != version:
                raise RuntimeError(overwritten(self, t._spec, t._storage, version))
        return self.saved

    def release(self):
        """Drop what was saved; a second walk through here is an error."""
        if self.versions is not None:
            self.saved = self.versions = None
            self.pull = _pull_freed


def freed(node) -> str:
    return (
        f"{node.name}: Trying to backward through the graph a second time, but the values saved for it were freed by the first "
        "backward. Give the first one retain_graph=True if you need to go through the graph again."
    )


def overwritten(node, spec, storage, version) -> str:
    by = f" by {storage.writer}" if getattr(storage, "writer", None) else ""
    return (
        f"one of the variables needed for gradient computation has been modified by an inplace operation: {node.name} saved a "
        f"{spec.dtype.name} tensor of shape {tuple(spec.shape)} at version {version}, and it was then overwritten{by} "
        f"(now at version {storage.version}). Use an out-of-place operation there, or clone() the tensor first."
    )


def _pull_freed(node, gradient):
    raise RuntimeError(freed(node))


def needs_grad(tensor) -> bool:
    """Whether `tensor` requires grad; a view may have come to it through its base."""
    if tensor._requires_grad:
        return True
    base = tensor._base
    if base is not None and base._requires_grad and tensor._seen != base._generation:
        tensor._current_node()
    return tensor._requires_grad


def edge_of(tensor):
    """Where the gradient of `tensor` goes: its node, itself if it is a leaf that requires grad, or None."""
    if tensor._base is not None:
        return (tensor._current_node() or tensor) if needs_grad(tensor) else None
    return (tensor._node or tensor) if tensor._requires_grad else None


# ------------------------------------------------------------------------------------------------ the walk
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
    state.enabled = create_graph
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
            if node in targets:
                targets[node] = gradient
                if cut or not any(e in needed for e in node.inputs if e is not None):
                    continue
            try:
                parts = node.pull(node, gradient)
            except Exception as problem:
                if node.note("trace"):
                    import traceback

                    problem.add_note("The forward call that was recorded:\n" + "".join(traceback.format_list(node.rare["trace"])))
                raise
            gradient = None
            if len(parts) != len(node.inputs):
                raise RuntimeError(f"{node.name}: its derivative returned {len(parts)} gradients for {len(node.inputs)} inputs")
            for edge, part in zip(node.inputs, parts):
                if edge is None or part is None or needed is not None and edge not in needed:
                    continue
                sum_so_far = pending.get(edge)
                if sum_so_far is None:
                    pending[edge] = part
                    if type(edge) is Node:
                        heappush(heap, (-edge.seq, edge))
                elif create_graph or edge not in ours:
                    pending[edge] = sum_so_far + part
                    ours.add(edge)
                else:
                    sum_so_far.add_(part)
            parts = part = sum_so_far = None  # so that a gradient held once is seen to be so
            if not retain_graph and node.saved is not None:
                node.release()
        for leaf in list(pending):  # what is left are leaves
            gradient = pending.pop(leaf)
            if gradient._spec.shape != leaf._spec.shape:
                raise RuntimeError(f"a derivative rule returned a gradient of shape {tuple(gradient.shape)} for a leaf of shape {tuple(leaf.shape)}")
            if leaf._hooks:
                gradient = run_hooks(leaf._hooks, gradient)
            if leaf in targets:
                targets[leaf] = gradient
            if accumulate:
                _accumulate(leaf, gradient, create_graph)
                if leaf._post_hooks:
                    for hook in list(leaf._post_hooks.values()):
                        hook(leaf)
            gradient = None
    finally:
        state.enabled = before
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
    return gradient


def run_hooks(hooks, gradient):
    for hook in list(hooks.values()):
        changed = hook(gradient)
        if changed is not None:
            gradient = changed
    return gradient


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


def _leading_to(targets, roots) -> set:
    """All nodes from which an edge in `targets` can be reached, and those edges."""
    needed = set(targets)
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
            if type(node) is Node:
                stack.append((node, True))
                stack.extend((e, False) for e in node.inputs if e is not None)
    return needed
