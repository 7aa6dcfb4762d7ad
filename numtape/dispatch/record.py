"""Recording for ops with kernels or views of their own: `recorded(out, name, inputs, pull)`."""

from __future__ import annotations

from numtape.autograd import mode, tape
from numtape.spec import Spec
from numtape.tensor import Tensor


def wanted(*inputs) -> bool:
    """Whether a call on these must be recorded."""
    return mode.state.enabled and any(isinstance(t, Tensor) and tape.needs_grad(t) for t in inputs)


def recorded(out: Tensor, name: str, inputs: tuple, pull, save: tuple = ()) -> Tensor:
    """Put `out` on the tape if an input requires grad. `pull(node, g)` gives one gradient per input (None: none).

    Tensors that `pull` needs are given as `save` and had back by `node.unpack()`; they must not be held by the closure.
    """
    if mode.state.enabled:
        edges = [tape.edge_of(t) if t._base is not None else (t._node or t) if t._requires_grad else None for t in inputs]
        for edge in edges:
            if edge is not None:
                out._node = node = tape.Node(name, edges, pull, out._spec)
                if save:
                    node.save(*save)
                out._requires_grad = True
                break
    return out


def view_of(x: Tensor, spec: Spec, offset: int, name: str, pull, *, part: bool = False) -> Tensor:
    """A recorded view of x. With `part`, of some of its elements: `pull(z)` then takes the same part of another tensor."""
    out = _new(Tensor)
    out._storage, out._spec = x._storage, spec
    out._address = x._address + offset * spec.dtype.itemsize if offset else x._address
    base = x._base
    if base is None:
        out._base = base = x
        recorded = x._requires_grad
    else:
        out._base = base
        recorded = x._requires_grad or base._requires_grad and tape.needs_grad(x)
    out._seen = base._generation
    if recorded and mode.state.enabled:
        out._node, out._requires_grad = tape.Node(name, (tape.edge_of(x),), tape.Taken(pull, x._spec) if part else pull, spec), True
    else:
        out._node, out._requires_grad = None, False
    return out


_new = object.__new__
