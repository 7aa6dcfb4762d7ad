"""Recording for ops with kernels or views of their own: `recorded(out, name, inputs, pull)`."""

from __future__ import annotations

import functools

from numtape.autograd import mode, tape
from numtape.kernels.cpu.calls import remembering
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


def known_view(fn):
    """A function (tensor, argument, ...) of a view whose calls are remembered, and with them how each is differentiated.

    The pull of such a view may depend on its arguments and on the spec of the tensor alone, not on the tensor.
    """
    known, learn = remembering(1, views=True, completes=True)
    pulls: dict = {}  # (spec, spec of the view, its offset in bytes) -> the label and the pull of its node

    @functools.wraps(fn)
    def function(input, *arguments, **named):
        if named:
            return fn(input, *arguments, **named)
        view = known(input, arguments)
        if view is not None:
            if not view._requires_grad:
                return view
            view._requires_grad = False
            if not mode.state.enabled:
                return view
            edge = tape.edge_of(input)
            if edge is None:
                return view
            found = pulls.get((input._spec, view._spec, view._address - input._address))
            if found is not None:
                view._node, view._requires_grad = tape.Node(found[0], (edge,), found[1], view._spec), True
                return view
        view = fn(input, *arguments)
        node = getattr(view, "_node", fn)  # a batch of `vmap` has none, and may be no view
        if node is not fn and view._storage is input._storage and view._base is (input if input._base is None else input._base):
            offset = view._address - input._address
            learn((input, arguments), view._spec, offset=offset, direct=True)
            if node is not None and len(node.inputs) == 1 and node.inputs[0] is tape.edge_of(input):
                if len(pulls) > 4096:
                    pulls.clear()
                pulls[input._spec, view._spec, offset] = node.label, node.pull
        return view

    fn.op.public = function
    return function
