"""Forward mode under the names of `torch.autograd.forward_ad`: dual tensors, which carry a tangent through what is computed from them.

A dual tensor is a recorded one whose node has a tangent (see `forward.py`). Within a level every operation on it is recorded, under `no_grad`
too, and tangents are brought up to date when they are asked for, and before anything is overwritten that they may hang on.
Unlike PyTorch's, dual tensors say that they require grad.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any, NamedTuple

from numtape.autograd import forward, mode, tape
from numtape.autograd.tape import Node

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A tensor without its tangent, and the tangent (None if there is none)."""

    primal: Any
    tangent: Any


class Level:
    """The tangents of nodes, and the nodes recorded since that have none yet."""

    def __init__(self) -> None:
        self.tangents: Any = weakref.WeakKeyDictionary()
        self.inner: Any = weakref.WeakSet()  # nodes that hang on dual tensors alone: nothing goes backwards through them
        self.pending: list = []

    def note(self, node: Node) -> None:
        self.pending.append(weakref.ref(node))

    def flush(self) -> None:
        """Carry tangents through all nodes recorded since, in the order in which they were made."""
        pending, self.pending = [node for node in (r() for r in self.pending) if node is not None], []
        state, level = mode.state, mode.state.level
        state.level = None  # what is recorded here is nothing to be noted
        try:
            for node in pending:
                if not node.inputs or all(e is None or e in self.inner for e in node.inputs):
                    self.inner.add(node)
                tangents = [self.tangents.get(e) if type(e) is Node else None for e in node.inputs]
                if any(t is not None for t in tangents):
                    given = [t for several in tangents for t in (several if isinstance(several, (list, tuple)) else [several])]
                    with mode.recording(node not in self.inner or any(t is not None and tape.needs_grad(t) for t in given)):
                        found = forward.through(node, tangents)
                    if found is not None:
                        self.tangents[node] = found
        finally:
            state.level = level


def enter_dual_level() -> int:
    """Open the level in which dual tensors can be made; there is one at a time."""
    state = mode.state
    if state.level is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    state.quiet = not state.enabled
    state.level, state.enabled = Level(), True
    mode.watch()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Close the level; its tangents are gone."""
    state = mode.state
    if state.level is None or level not in (None, 0):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created. This is not supported.")
    state.level = None
    state.enabled, state.quiet = not state.quiet, False
    mode.watch()


class dual_level:
    """Within it, dual tensors can be made. A decorator, too.

    >>> import numtape as nt
    >>> import numtape.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(nt.tensor([1.0, 2.0]), nt.tensor([1.0, 0.0]))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor([2., 0.])
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc_info: object) -> None:
        exit_dual_level()

    def __call__(self, function: Any) -> Any:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with dual_level():
                return function(*args, **kwargs)

        return wrapped


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """The tensor (the same memory) with a tangent of its shape.

    Raises RuntimeError outside of a level, for a tensor that is a dual one, or a tangent of another shape; ValueError for dtypes that are not
    floating point.
    """
    current = mode.state.level
    if current is None or (level is not None and level < 0):
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.")
    for what, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.dtype.is_floating_point or t.dtype.is_complex):
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")
    if tensor._spec.shape != tangent._spec.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not supported. "
            f"Tensor is of size {list(tensor.shape)} while the given forward gradient is of size {list(tangent.shape)}."
        )
    edge = tape.edge_of(tensor)
    if type(edge) is Node:
        current.flush()
        if current.tangents.get(edge) is not None:
            raise RuntimeError("Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not supported.")
    dual = tensor.detach() if edge is None else tensor.view_as(tensor)
    dual._node, dual._requires_grad = Node("make_dual", (edge,), lambda node, g: (g,), tensor._spec), True
    current.flush()  # its own node, which has no tangent from elsewhere
    current.tangents[dual._node] = tangent
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """A tensor without its tangent, and the tangent: None where there is none, or no level. Both can be differentiated backwards."""
    current = mode.state.level
    edge = tape.edge_of(tensor)
    if current is None or (level is not None and level < 0) or type(edge) is not Node:
        return UnpackedDualTensor(tensor, None)
    current.flush()
    tangent = current.tangents.get(edge)
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    primal = tensor.detach()
    if mode.state.quiet:
        return UnpackedDualTensor(primal, tangent.detach())
    if edge not in current.inner:
        primal._node, primal._requires_grad = Node("unpack_dual", (edge,), _hand_on, tensor._spec), True
    return UnpackedDualTensor(primal, tangent)


def _hand_on(node, gradient):
    return (gradient,)


_hand_on.push = lambda node, tangents: None  # type: ignore[attr-defined]
