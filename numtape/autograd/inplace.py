"""What an in-place operation does to the history: it becomes that of the tensor, of its base, and of the base's other views."""

from __future__ import annotations

from numtape.autograd import mode, tape


def check_inplace(tensor, name: str) -> None:
    """Refuse to write to a leaf that requires grad while recording."""
    base = tensor._base
    if base is not None and base._spec.dtype is not tensor._spec.dtype and mode.state.enabled and (tape.needs_grad(base) or tape.needs_grad(tensor)):
        raise RuntimeError(f"{name}: writing to a {tensor.dtype.name} view of a {base.dtype.name} tensor cannot be recorded; build the tensor anew instead")
    if mode.state.level is not None:
        mode.state.level.flush()
    if mode.state.enabled and tape.needs_grad(tensor):
        if tensor.is_leaf:
            raise RuntimeError(f"{name}: a leaf Variable that requires grad is being used in an in-place operation; use it inside numtape.no_grad(), or an out-of-place operation")
        base = tensor._base
        if base is not None and base._requires_grad and base.is_leaf:
            raise RuntimeError(f"{name}: a view of a leaf Variable that requires grad is being used in an in-place operation")


def rebase(tensor, node) -> None:
    """After an in-place operation recorded as `node`: it becomes the history of `tensor`, of its base and its other views."""
    base = tensor._base
    old = tensor._node
    if base is None:
        tensor._node, tensor._requires_grad = node, True
        keep_retaining(tensor, old)
        tensor._generation += 1
        return
    spec, offset = tensor._spec, tensor.storage_offset() - base.storage_offset()
    before = tape.edge_of(base)
    shape_of_base = base._spec
    base._node = tape.Node("as_strided_scatter", (before, node), lambda n, g: g.as_strided_scatter_pull(spec, offset, shape_of_base), base._spec)
    base._requires_grad = True
    base._generation += 1
    tensor._node, tensor._requires_grad, tensor._seen = node, True, base._generation
    keep_retaining(tensor, old)


def keep_retaining(tensor, old) -> None:
    """A tensor that retains its gradient goes on doing so when an in-place operation gives it another node."""
    kept = old.note("retain") if old is not None else None
    if kept and any(r() is tensor for r in kept):
        old.rare["retain"] = [r for r in kept if r() is not tensor]
        tensor.retain_grad()


def view_node(base, view):
    """The history of a view whose base was changed in place since it was made."""
    spec, offset, base_spec = view._spec, view.storage_offset() - base.storage_offset(), base._spec
    return tape.Node("as_strided", (tape.edge_of(base),), lambda n, g: (g.as_strided_pull(spec, offset, base_spec),), spec)
