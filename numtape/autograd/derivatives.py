"""What `func` and `autograd.functional` share: a function's outputs on inputs that are followed, and products with its Jacobian.

`Followed` runs a function on twins of its inputs. Where all that its outputs hang on are these twins, nothing outlives the call and
derivatives are plain; where they hang on more (an outer derivative, parameters that require grad), derivatives are recorded.

Products with the Jacobian go backwards (`pull`) or forwards (`pusher`, see `forward.py`) along the tape of one call of the function.
"""

from __future__ import annotations

from numtape import autograd
from numtape.autograd import forward, mode, tape


def is_tensor(value) -> bool:
    """Whether a value is a tensor, told by its fields: this package imports no tensors."""
    return hasattr(value, "_requires_grad")


class Followed:
    """The outputs of `function(*inputs)`, lists of tensors both, ready to be differentiated."""

    def __init__(self, function, inputs, name: str, record: bool | None = None):
        outside = mode.state.enabled
        self.layers = mode.state.layers  # each example of a `vmap` has inputs of its own
        with mode.enable_grad():
            self.inputs = [twin(t, outside) for t in (map(self.layers[-1].spread, inputs) if self.layers else inputs)]
            outputs = function(self.inputs)
        for t in outputs:
            if not is_tensor(t):
                raise TypeError(f"{name}: expected the function to return tensors, got {type(t).__name__}")
        self.outputs = outputs
        own = {t for t in map(plain, self.inputs) if t._node is None}
        self.record = outside and reaches_beyond(map(plain, outputs), own) if record is None else record

    def values(self):
        """The outputs for the caller: connected to what is outside, or to nothing."""
        return [t if self.record else t.detach() for t in self.outputs]

    def pull(self, cotangents, keep=True, record=None):
        """The gradients of the inputs for gradients of the outputs: J' v. Zeros where nothing depends on an input."""
        if mode.state.layers and mode.state.layers is not self.layers:  # gradients of a `vmap` within which the function was not called
            if not (self.layers or self.record or record or len(mode.state.layers) > 1 or any(tape.needs_grad(c) for c in cotangents if c is not None)):
                return self._pull_batch(cotangents)
            return mode.state.layers[-1].by_example(lambda *cotangents: self.pull(cotangents, True, record), cotangents, self.layers)
        record = self.record or any(c._requires_grad for c in cotangents if c is not None) and mode.state.enabled if record is None else record
        pairs = [(o, c) for o, c in zip(self.outputs, cotangents) if tape.needs_grad(o) and c is not None]
        if not pairs:
            return [t.new_zeros(t.shape) for t in self.inputs]
        with mode.enable_grad():
            found = autograd.grad(
                [o for o, _ in pairs], self.inputs, [c for _, c in pairs], retain_graph=keep or record, create_graph=record, allow_unused=True
            )
        return [t.new_zeros(t.shape) if g is None else g for t, g in zip(self.inputs, found)]

    def _pull_batch(self, cotangents):
        pairs = [(o, c) for o, c in zip(self.outputs, cotangents) if tape.needs_grad(o) and c is not None]
        first, second = [o for o, _ in pairs], [c for _, c in pairs]
        found = tape.backward(first, second, retain_graph=True, create_graph=False, inputs=self.inputs, accumulate=False)
        return [t.detach().new_zeros(t.shape) if g is None else g for t, g in zip(self.inputs, found)]

    def pusher(self):
        """v -> J v as a function of lists: tangents carried forwards along the tape."""
        layers, within = self.layers, lambda t: t
        outputs = self.outputs
        if layers:
            within = layers[-1].spread
            outputs = [within(t) for t in outputs]
        carried = forward.Push(map(plain, self.inputs), list(map(plain, outputs)))

        def push(tangents):
            if mode.state.layers and mode.state.layers is not layers:
                if not (layers or self.record or len(mode.state.layers) > 1 or any(tape.needs_grad(t) for t in tangents)):
                    return [o.detach().new_zeros(o.shape) if t is None else t for o, t in zip(self.outputs, carried(tangents, False))]
                return mode.state.layers[-1].by_example(lambda *tangents: push(tangents), tangents, layers)
            record = self.record or any(t._requires_grad for t in tangents) and mode.state.enabled
            found = carried([plain(within(t)) for t in tangents], record)
            if layers:
                found = [None if t is None else layers[-1].wrap_all(t, layers) for t in found]
            return [o.new_zeros(o.shape) if t is None else t for o, t in zip(self.outputs, found)]

        return push


def plain(t):
    """The tensor with the batches of all running `vmap`s in front."""
    return t._layer.plain(t) if hasattr(t, "_layer") else t


def twin(t, connected: bool):
    """A tensor to differentiate by: the same values; a leaf of its own unless t has a history that is to be kept."""
    if connected and tape.needs_grad(t):
        return t.view_as(t)
    return t.detach().requires_grad_()


def reaches_beyond(outputs, own) -> bool:
    """Whether the outputs hang on a leaf that is none of `own`."""
    seen: set = set()
    stack = [tape.edge_of(t) for t in outputs]
    while stack:
        edge = stack.pop()
        if edge is None or edge in seen or edge in own:
            continue
        if type(edge) is not tape.Node:
            return True
        seen.add(edge)
        stack.extend(edge.inputs)
    return False


def unit_like(t, k: int):
    """Zeros like t with a 1 at its k-th element."""
    with mode.no_grad():
        found = plain(t).detach().new_zeros((t.numel(),))
        found[k] = 1
        return found.reshape(t.shape)


def stacked(parts, shape):
    """Tensors of one shape, one for each element of `shape`, as one tensor (*shape, *theirs)."""
    import numtape

    if not parts:
        return None
    return numtape.stack(parts).reshape((*shape, *parts[0].shape))


CHUNK = 128  # how many rows or columns of a Jacobian are computed at once


def batches(followed, tensors) -> bool:
    """Whether the derivatives by each element of these can be batches: nothing is recorded, and no `vmap` is running."""
    return not followed.record and not mode.state.layers and all(t.numel() > 1 for t in tensors)


def units(t):
    """For each element of t a tensor like t with a 1 there."""
    import numtape

    return numtape.eye(t.numel(), dtype=t.dtype, device=t.device).reshape(t.numel(), *t.shape)


def rows_at_once(followed, i: int) -> list:
    """The Jacobians of output i by the inputs."""
    import numtape

    output = followed.outputs[i]
    pull = lambda c: tuple(followed.pull([c if k == i else None for k in range(len(followed.outputs))]))
    found = numtape.vmap(pull, chunk_size=CHUNK)(units(output))
    return [g.reshape(*output.shape, *t.shape) for g, t in zip(found, followed.inputs)]


def columns_at_once(followed, push, j: int) -> list:
    """The Jacobians of the outputs by input j."""
    import numtape

    t = followed.inputs[j]
    zeros = [t.detach().new_zeros(t.shape) for t in followed.inputs]
    found = numtape.vmap(lambda v: tuple(push([v if k == j else z for k, z in enumerate(zeros)])), out_dims=-1, chunk_size=CHUNK)(units(t))
    return [g.reshape(*o.shape, *t.shape) for g, o in zip(found, followed.outputs)]


def jacobian_by_rows(followed: Followed) -> list:
    """For each output the list of its Jacobians by the inputs, (*output, *input) each: one pull per element of the outputs."""
    if batches(followed, followed.outputs):
        return [rows_at_once(followed, i) for i in range(len(followed.outputs))]
    result = []
    for i, output in enumerate(followed.outputs):
        rows = []
        for k in range(output.numel()):
            cotangents = [None] * len(followed.outputs)
            cotangents[i] = unit_like(output, k)
            rows.append(followed.pull(cotangents))
        shape = tuple(output.shape)
        by_input = [
            stacked([row[j] for row in rows], shape) if rows else t.new_zeros((*shape, *t.shape)) for j, t in enumerate(followed.inputs)
        ]
        result.append(by_input)
    return result


def jacobian_by_columns(followed: Followed) -> list:
    """The same by one push per element of the inputs."""
    push = followed.pusher()
    if batches(followed, followed.inputs):
        found = [columns_at_once(followed, push, j) for j in range(len(followed.inputs))]
        return [[by_output[i] for by_output in found] for i in range(len(followed.outputs))]
    columns: list = [[] for _ in followed.inputs]
    zeros = [t.detach().new_zeros(t.shape) for t in followed.inputs]
    for j, t in enumerate(followed.inputs):
        for k in range(t.numel()):
            columns[j].append(push([unit_like(t, k) if i == j else z for i, z in enumerate(zeros)]))
    result = []
    for i, output in enumerate(followed.outputs):
        by_input = []
        for j, t in enumerate(followed.inputs):
            shape, rank = tuple(t.shape), t.ndim
            if not columns[j]:
                by_input.append(output.new_zeros((*output.shape, *shape)))
                continue
            whole = stacked([c[i] for c in columns[j]], shape)
            by_input.append(whole.permute((*range(rank, whole.ndim), *range(rank))))
        result.append(by_input)
    return result
