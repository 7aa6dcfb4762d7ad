"""What a recorded operation leaves on the tape: a `Node`, what it saved, and what PyTorch's users ask of a `grad_fn`.

An edge is a node, or a leaf tensor, or None. Modes that look at every new node (anomaly, saved_tensors_hooks, forward mode) are told of it
by `watch`.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from numtape.autograd import mode
from numtape.autograd.handles import Both, Handle
from numtape.autograd.naming import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

_next = itertools.count(1).__next__


_package = os.path.dirname(os.path.dirname(__file__))


def place() -> list:
    """The frames of the user's code that are being run."""
    import traceback

    return [f for f in traceback.extract_stack() if not f.filename.startswith(_package)]


class Node:
    """One recorded operation.

    `saved` holds what its rules named (arguments in order, then the result), `versions` the storage versions they were saved
    at. `rare` holds what few nodes have: hooks, tensors that retain their gradient, the forward call's place, metadata, whether saved
    tensors are packed.
    """

    __slots__ = ("__weakref__", "inputs", "label", "op", "pull", "rare", "saved", "seq", "spec", "versions")

    def __init__(self, name, inputs, pull, spec=None):
        self.seq = _next()
        self.label, self.inputs, self.pull, self.spec = name, inputs, pull, spec
        self.op = self.saved = self.versions = self.rare = None
        if mode.state.watched:
            watch(self)

    def note(self, key):
        """The value of a rare property, or None."""
        return None if self.rare is None else self.rare.get(key)

    def hook_table(self, kind="hooks") -> dict:
        """The hooks of this node: of its result's gradient ("hooks"), or of the node itself ("pre", "post")."""
        if self.rare is None:
            self.rare = {}
        return self.rare.setdefault(kind, {})

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    # What PyTorch's users ask of a `grad_fn`. The results of a Function have nodes of their own, before the one of the call.
    def name(self) -> str:
        """The name PyTorch gives this operation: mul is MulBackward0, a user's own Function Double is DoubleBackward."""
        if type(self.pull) is Part:
            return f"{self.label}Backward"
        return name_of(self)

    @property
    def next_functions(self) -> tuple:
        """(node, 0) of each input: None for what is not differentiated, an `AccumulateGrad` for a leaf."""
        node = self.inputs[0] if type(self.pull) is Part else self
        return tuple((edge if edge is None or type(edge) is Node else AccumulateGrad(edge), 0) for edge in node.inputs)

    @property
    def metadata(self) -> dict:
        """A dict for the user's own use."""
        return self.hook_table("metadata")

    def register_hook(self, fn: Callable):
        """Call fn(gradients of the inputs, gradients of the outputs) when this node has run; a tuple it returns replaces the former."""
        node = self.inputs[0] if type(self.pull) is Part else self
        return Handle(node.hook_table("post"), fn)

    def register_prehook(self, fn: Callable):
        """Call fn(gradients of the outputs) before this node runs; a tuple it returns takes their place."""
        node = self.inputs[0] if type(self.pull) is Part else self
        return Handle(node.hook_table("pre"), fn)

    def save(self, *tensors):
        """Keep tensors for `pull`, to be had back through `unpack`; None stays None."""
        self.saved = tensors
        self.versions = tuple(None if t is None else t._storage.version for t in tensors)
        if mode.state.packers:
            pack(self)

    def unpack(self):
        """The saved tensors, unless they were freed or overwritten since."""
        if self.saved is None:
            raise RuntimeError(freed(self))
        if self.rare is not None and "packed" in self.rare:
            return unpacked(self)
        for t, version in zip(self.saved, self.versions):
            if t is not None and version is not None and t._storage.version != version:
                raise RuntimeError(overwritten(self, t._spec, t._storage, version))
        return self.saved

    def release(self):
        """Drop what was saved; a second walk through here is an error."""
        if self.versions is not None:
            self.saved = self.versions = None
            self.pull = _pull_freed


class AccumulateGrad:
    """Stands for a leaf among the `next_functions`: `variable` is the leaf."""

    __slots__ = ("variable",)
    next_functions = ()

    def __init__(self, variable):
        self.variable = variable

    def __eq__(self, other) -> bool:
        return type(other) is AccumulateGrad and other.variable is self.variable

    def __hash__(self) -> int:
        return hash((AccumulateGrad, id(self.variable)))

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self.variable))}>"

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    @property
    def metadata(self) -> dict:
        if "_metadata" not in self.variable.__dict__:
            self.variable._metadata = {}
        return self.variable._metadata

    def register_prehook(self, fn: Callable):
        """Call fn((gradient,)) before it is accumulated; a tuple it returns takes its place."""

        def hook(gradient):
            changed = fn((gradient,))
            return None if changed is None else changed[0]

        return self.variable.register_hook(hook)

    def register_hook(self, fn: Callable):
        """Call fn((), (gradient,)) after it was accumulated."""
        last: list = []
        before = self.variable.register_hook(lambda gradient: last.__setitem__(slice(None), [gradient]))
        after = self.variable.register_post_accumulate_grad_hook(lambda leaf: fn((), (last.pop(),)))
        return Both(before, after)


class Grads:
    """The gradients of a function's several results on their way to it; they add up part by part."""

    def __init__(self, parts: dict):
        self.parts = parts

    def __add__(self, other):
        parts = dict(self.parts)
        for i, g in other.parts.items():
            parts[i] = parts[i] + g if i in parts else g
        return Grads(parts)

    def add_(self, other):
        self.parts = (self + other).parts
        return self

    def zeros(self, spec):
        like = next(iter(self.parts.values()))
        return like.new_zeros(spec.shape, dtype=spec.dtype)


class Part:
    """The pull of one result of several: it brings the gradient to the node of the call."""

    __slots__ = ("i",)

    def __init__(self, i: int):
        self.i = i

    def __call__(self, node, gradient):
        return (Grads({self.i: gradient}),)


class Taken:
    """The pull of a view of some of a tensor's elements: `again(z)` takes the same part of another tensor of that shape.

    The gradient is written into zeros of the spec `whole`, or added to the part of a sum that the walk has made: the pieces of a tensor
    then cost one tensor of zeros and not one each.
    """

    __slots__ = ("again", "whole")
    into_zeros: Callable  # ops/part.py has it

    def __init__(self, again, whole):
        self.again, self.whole = again, whole

    def __call__(self, node, gradient):
        return (Taken.into_zeros(gradient, self.whole, self.again),)

    def add(self, total, gradient) -> None:
        self.again(total).add_(gradient)


# ------------------------------------------------------------------------------------------------ modes that look at every node
def watch(node: Node) -> None:
    """Show a new node to the modes that want to see it: anomaly, packing, forward mode."""
    state = mode.state
    if state.anomaly:
        node.rare = {"trace": place(), "within": None if state.walk is None else state.walk[2]}
    if state.packers and node.versions is not None:
        pack(node)
    if state.level is not None:
        state.level.note(node)


class Packed:
    """What a pack hook made of a saved tensor, and the tensor's place on the tape."""

    __slots__ = ("edge", "unpack", "value")

    def __init__(self, tensor, hooks):
        self.edge, self.unpack = edge_of(tensor), hooks[1]
        given = tensor.detach()
        version = given._storage.version
        with mode.recording(False):
            self.value = hooks[0](given)
        if given._storage.version != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be modified by "
                "in-place operations as this can lead to unexpected side-effects."
            )

    def tensor(self):
        with mode.recording(False):
            found = self.unpack(self.value)
        if not hasattr(found, "_requires_grad"):
            raise TypeError(f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(found)}")
        found = found.detach()
        if self.edge is not None and mode.state.enabled:
            found._node, found._requires_grad = Node("saved", (self.edge,), lambda n, g: (g,), found._spec), True
        return found


def pack(node: Node) -> None:
    """Hand what a node saved to the innermost pack hook."""
    hooks, saved = mode.state.packers[-1], list(node.saved)
    versions = list(node.versions or [None] * len(saved))
    for k, version in enumerate(versions):
        if version is not None:
            saved[k], versions[k] = Packed(saved[k], hooks), None
    node.saved, node.versions = saved, versions
    node.hook_table("packed")


def unpacked(node: Node) -> list:
    """What a node saved, as the unpack hooks give it back."""
    return [v.tensor() if type(v) is Packed else v for v in node.saved]


def freed(node) -> str:
    return (
        f"{node.label}: Trying to backward through the graph a second time, but the values saved for it were freed by the first "
        "backward. Give the first one retain_graph=True if you need to go through the graph again."
    )


def overwritten(node, spec, storage, version) -> str:
    by = f" by {storage.writer}" if getattr(storage, "writer", None) else ""
    return (
        f"one of the variables needed for gradient computation has been modified by an inplace operation: {node.label} saved a "
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
