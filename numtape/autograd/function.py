"""Operations of the user's own: subclasses of `Function` with a forward and a backward."""

from __future__ import annotations

import functools
import weakref

from numtape.autograd import mode, tape
from numtape.autograd.tape import Part


class Context:
    """What `forward` leaves for `backward`."""

    def __init__(self, needs_input_grad: tuple[bool, ...]):
        self.needs_input_grad = needs_input_grad
        self._saved: tuple = ()
        self._forward: tuple = ()
        self._pushing = False
        self._node: tape.Node | None = None
        self._outputs: list = []
        self._not_differentiable: tuple = ()
        self._dirty: tuple = ()
        self._materialize = True

    def save_for_backward(self, *tensors) -> None:
        """Keep tensors (inputs, results, or others; None is allowed) for `backward`."""
        for i, t in enumerate(tensors):
            if t is not None and not _is_tensor(t):
                raise TypeError(f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}")
        self._saved = tensors

    def save_for_forward(self, *tensors) -> None:
        """Keep tensors (None is allowed) for `jvp`, which finds them in `saved_tensors`."""
        for t in tensors:
            if t is not None and not _is_tensor(t):
                raise TypeError("save_for_forward expects all arguments to be tensors; you should save non-tensors as attributes on ctx.")
        self._forward = tensors

    @property
    def saved_tensors(self) -> tuple:
        """The kept tensors, unless one was overwritten or the graph was freed since."""
        if self._pushing:
            return self._forward
        node = self._node
        if node is None:
            return self._saved
        saved = node.unpack()
        result = []
        for t, position in zip(saved, self._positions):
            if position is not None and mode.state.enabled:
                t = t.detach()
                t._node, t._requires_grad = self._outputs[position](), True
            result.append(t)
        return tuple(result)

    def mark_non_differentiable(self, *tensors) -> None:
        """Say that these results have no gradient."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors) -> None:
        """Say that these inputs were changed in place and are returned."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for results that nothing used."""
        self._materialize = value


class Function:
    """An operation with a derivative of its own.

    >>> import numtape as nt
    >>> class Double(nt.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = nt.ones(2, requires_grad=True)
    >>> Double.apply(x).sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx, *grads):
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    vjp = backward  # another name for it

    @staticmethod
    def jvp(ctx, *tangents):
        """The tangents of the results from those of the arguments (None for what is no tensor), for forward mode.

        A Function without one has its forward mode from the derivative of its backward.
        """
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with forward mode AD.")

    @staticmethod
    def vmap(info, in_dims, *args):
        """The operation on a batch: (results, their batch dims), for arguments whose batch dims are `in_dims` (None: no batch).

        info has batch_size and randomness. A Function without one is called for each example, as with `generate_vmap_rule`.
        """
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True.")

    setup_context = None
    generate_vmap_rule = False

    @classmethod
    def apply(cls, *args):
        """Run the operation and record it."""
        if mode.state.layers and any(hasattr(a, "_layer") for a in args):
            return mode.state.layers[-1].apply(cls, args)
        needs = tuple(_requires_grad(a) for a in args)
        ctx = Context(needs)
        recording = mode.state.enabled and any(needs)
        edges = tuple(tape.edge_of(a) if n else None for a, n in zip(args, needs))
        with mode.recording(False):
            if cls.setup_context is not None:
                outputs = cls.forward(*args)
                cls.setup_context(ctx, args, outputs)
            else:
                outputs = cls.forward(ctx, *args)
        if not recording:
            return outputs
        single = not isinstance(outputs, tuple)
        results = (outputs,) if single else outputs
        node = tape.Node(cls.__name__, edges, None)
        for t in ctx._dirty:
            if not any(t is a for a in args):
                raise RuntimeError(f"{cls.__name__}: mark_dirty: expected inputs of the function, got a tensor that is none")
            t._check_inplace(cls.__name__)
        finished, results_info = [], []
        for i, out in enumerate(results):
            differentiable = _is_tensor(out) and out._spec.dtype.differentiable and not any(out is t for t in ctx._not_differentiable)
            if _is_tensor(out):
                dirty = any(out is t for t in ctx._dirty)
                if not dirty and any(out is a for a in args):
                    out = out.detach()  # an input returned as it is: a result of its own
                if differentiable:
                    pick = tape.Node(cls.__name__, (node,), Part(i), out._spec)
                    if dirty:
                        out._rebase(pick)
                    else:
                        out._node, out._requires_grad = pick, True
                    ctx._outputs.append(weakref.ref(pick))
                else:
                    ctx._outputs.append(None)
                results_info.append(out._spec)
            else:
                ctx._outputs.append(None)
                results_info.append(None)
            finished.append(out)
        # results among the saved tensors are kept without their history, else node and result would hold each other
        ctx._positions = [next((i for i, r in enumerate(results) if r is t), None) for t in ctx._saved]
        node.save(*(t.detach() if p is not None else t for t, p in zip(ctx._saved, ctx._positions)))
        node.pull = _Gathered(cls, ctx, results_info, [a._spec if _is_tensor(a) else None for a in args])
        ctx._saved = ()
        return finished[0] if single else tuple(finished)


class _Gathered:
    """The pull of a custom function: its gradient is a `Grads`, one part per result."""

    def __init__(self, cls, ctx, specs, inputs):
        self.cls, self.ctx, self.specs, self.inputs = cls, ctx, specs, inputs
        self.backward = cls.vjp if cls.backward is Function.backward else cls.backward
        self.push = NotImplemented if cls.jvp is Function.jvp else self._push

    def __call__(self, node, gradient):
        return _pull(self.cls, self.ctx, self.specs, gradient, node, self.backward)

    def _push(self, node, tangents):
        ctx, given = self.ctx, []
        like = next(t for t in tangents if t is not None)
        for t, spec in zip(tangents, self.inputs):
            if t is None and spec is not None and ctx._materialize:
                t = like.new_zeros(spec.shape, dtype=spec.dtype)
            given.append(t)
        ctx._pushing = True
        try:
            found = self.cls.jvp(ctx, *given)
        finally:
            ctx._pushing = False
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(self.specs):
            raise RuntimeError(f"{self.cls.__name__}.jvp: expected {len(self.specs)} tangents, as there are results, got {len(found)}")
        for i, (t, spec) in enumerate(zip(found, self.specs)):
            if t is not None and spec is not None and t._spec.shape != spec.shape:
                raise RuntimeError(f"{self.cls.__name__}.jvp: tangent {i} has shape {list(t.shape)}, its result has {list(spec.shape)}")
        return found


def _pull(cls, ctx, specs, gradient, node, backward):
    ctx._node = node
    grads = []
    for i, spec in enumerate(specs):
        part = gradient.parts.get(i)
        if part is None and spec is not None and ctx._materialize:
            part = gradient.zeros(spec)
        grads.append(part)
    try:
        result = backward(ctx, *grads)
    finally:
        ctx._node = None  # the node holds ctx: no cycle
    result = result if isinstance(result, tuple) else (result,)
    result = (*result, *[None] * (len(node.inputs) - len(result)))
    if len(result) > len(node.inputs) and any(r is not None for r in result[len(node.inputs) :]):
        raise RuntimeError(f"function {cls.__name__} returned an incorrect number of gradients (expected {len(node.inputs)}, got {len(result)})")
    for i, (edge, part) in enumerate(zip(node.inputs, result)):
        if edge is not None and part is not None and getattr(edge, "_spec", None) is not None and part._spec.shape != edge._spec.shape:
            raise RuntimeError(
                f"Function {cls.__name__} returned an invalid gradient at index {i} - got {list(part.shape)} but expected shape compatible with {list(edge.shape)}"
            )
    return result[: len(node.inputs)]


def _is_tensor(value) -> bool:
    return hasattr(value, "_requires_grad")


def _requires_grad(value) -> bool:
    return _is_tensor(value) and tape.needs_grad(value)


FunctionCtx = Context


def once_differentiable(fn):
    """Put on a `backward`: it is not recorded, and differentiating what it returned is an error.

    >>> import numtape as nt
    >>> class Square(nt.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     @nt.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return 2 * ctx.saved_tensors[0] * g
    >>> x = nt.tensor(3.0, requires_grad=True)
    >>> nt.autograd.grad(Square.apply(x), x)
    (tensor(6.),)
    """

    @functools.wraps(fn)
    def wrapped(ctx, *grads):
        with mode.recording(False):
            found = fn(ctx, *grads)
        edges = [tape.edge_of(g) for g in grads if _requires_grad(g)]
        if not mode.state.enabled or not edges:
            return found
        several = found if isinstance(found, tuple) else (found,)
        results = []
        for t in several:
            if _is_tensor(t) and t._spec.dtype.is_floating_point:
                t = t.detach()
                t._node, t._requires_grad = tape.Node("once_differentiable", edges, _refuse, t._spec), True
            results.append(t)
        return tuple(results) if isinstance(found, tuple) else results[0]

    return wrapped


def _refuse(node, gradient):
    raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
