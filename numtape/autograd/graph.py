"""Looking into the tape and taking part in it, under the names of `torch.autograd.graph`: what is saved, nodes, hooks of several tensors."""

from __future__ import annotations

import contextlib
import threading
from typing import NamedTuple

from numtape.autograd import mode, tape
from numtape.autograd.handles import Both
from numtape.autograd.tape import AccumulateGrad, Node

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:
    """Within it, `pack_hook(tensor)` makes what is kept for the backward pass, and `unpack_hook` the tensor from that again.

    The tensors come detached, and those that come back must have the same values. Of several that are open the innermost is used.

    >>> import numtape as nt
    >>> kept = []
    >>> x = nt.tensor(3.0, requires_grad=True)
    >>> with nt.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or len(kept) - 1, lambda i: kept[i]):
    ...     y = x.exp()
    >>> y.backward()
    >>> len(kept), bool(x.grad == y)
    (1, True)
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if mode.state.refused is not None:
            raise RuntimeError(mode.state.refused)
        mode.state.packers = (*mode.state.packers, (self.pack_hook, self.unpack_hook))
        mode.watch()

    def __exit__(self, *exc_info) -> None:
        mode.state.packers = mode.state.packers[:-1]
        mode.watch()


class save_on_cpu(saved_tensors_hooks):
    """Within it, what is kept for the backward pass is kept in the host's memory. `pin_memory` changes nothing.

    >>> import numtape as nt
    >>> x = nt.ones(2, requires_grad=True)
    >>> with nt.autograd.graph.save_on_cpu():
    ...     y = x * x
    >>> y.sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        super().__init__(lambda t: (t.device, t.cpu()), lambda kept: kept[1].to(kept[0]))


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str):
    """Within it, `saved_tensors_hooks` is refused with a RuntimeError of this message."""
    if mode.state.packers:
        raise RuntimeError(error_message)
    before, mode.state.refused = mode.state.refused, error_message
    try:
        yield
    finally:
        mode.state.refused = before


class GradientEdge(NamedTuple):
    """The place on the tape where a tensor's gradient arrives; `numtape.autograd.grad` takes it for the tensor."""

    node: object
    output_nr: int


def get_gradient_edge(tensor) -> GradientEdge:
    """The place where the gradient of a tensor arrives, without holding its memory if it is no leaf."""
    edge = tape.edge_of(tensor)
    if edge is None:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(edge if type(edge) is Node else AccumulateGrad(edge), 0)


class Standing:
    """Stands for a tensor whose gradient is wanted or given, of which only its node is known."""

    _base, _requires_grad = None, True

    def __init__(self, node):
        self._node, self._spec = node, node.spec[-1] if isinstance(node.spec, tuple) else node.spec


def tensor_of(value):
    """The tensor that an argument of `grad` stands for."""
    if isinstance(value, GradientEdge):
        return value.node.variable if isinstance(value.node, AccumulateGrad) else Standing(value.node)
    return value


def increment_version(tensor) -> None:
    """Note that a tensor's memory was changed by something that the tape does not see."""
    for t in [tensor] if hasattr(tensor, "_storage") else tensor:
        t._storage.version += 1


def register_multi_grad_hook(tensors, fn, *, mode: str = "all"):
    """Call `fn` in each backward pass with the gradients of all these tensors when they are there (None for those it does not come
    to), or, with mode="any", with the first of them.

    >>> import numtape as nt
    >>> a, b = nt.ones(1, requires_grad=True), nt.ones(1, requires_grad=True)
    >>> handle = nt.autograd.graph.register_multi_grad_hook((a, b), lambda grads: print([g.item() for g in grads]))
    >>> (a * 2 + b * 3).backward()
    [2.0, 3.0]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors, lock = tuple(tensors), threading.Lock()
    for t in tensors:
        if not tape.needs_grad(t):
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    edges = [tape.edge_of(t) for t in tensors]
    ongoing: dict = {}  # by backward walk: how many gradients will come, and those that are here

    def hook_of(i):
        def hook(gradient):
            walk = _state.walk
            if walk is None:
                return  # this walk began before the hook was registered
            with lock:
                for other in [key for key, (_, _, w) in ongoing.items() if w[0] is None]:
                    del ongoing[other]
                first = id(walk) not in ongoing
                if first:
                    roots, needed = walk[:2]
                    coming = tape.reached(roots)
                    if needed is not None:
                        coming &= needed
                    ongoing[id(walk)] = [sum(e in coming for e in edges), [None] * len(edges), walk]
                found = ongoing[id(walk)]
                found[0] -= 1
                found[1][i] = gradient
            if mode == "any":
                if first:
                    fn(gradient)
            elif not found[0]:
                del ongoing[id(walk)]
                fn(found[1])

        return hook

    tape.shown.append(None)  # from now on
    return Both(*[t.register_hook(hook_of(i)) for i, t in enumerate(tensors)])


_state = mode.state
