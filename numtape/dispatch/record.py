"""Recording for ops with kernels or views of their own: `recorded(out, name, inputs, pull)`."""

from __future__ import annotations

from numtape.autograd import mode, tape
from numtape.spec import Spec
from numtape.tensor import Tensor, view


def wanted(*inputs) -> bool:
    """Whether a call on these must be recorded."""
    return mode.state.enabled and any(isinstance(t, Tensor) and t._requires_grad for t in inputs)


def recorded(out: Tensor, name: str, inputs: tuple, pull, save: tuple = ()) -> Tensor:
    """Put `out` on the tape if an input requires grad. `pull(node, g)` gives one gradient per input (None: none).

    Tensors that `pull` needs are given as `save` and had back by `node.unpack()`; they must not be held by the closure.
    """
    if mode.state.enabled:
        for t in inputs:
            if t._requires_grad:
                node = tape.Node(name, tuple(tape.edge_of(t) for t in inputs), pull, out._spec)
                if save:
                    node.save(*save)
                out._node, out._requires_grad = node, True
                break
    return out


def view_of(x: Tensor, spec: Spec, offset: int, name: str, pull) -> Tensor:
    """A recorded view of x."""
    out = view(x, spec, offset)
    if x._requires_grad and mode.state.enabled:
        out._node, out._requires_grad = tape.Node(name, (tape.edge_of(x),), pull, spec), True
    return out
