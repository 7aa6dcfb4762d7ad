"""Operations of the user's own: subclasses of `Function` with a forward and a backward."""

from __future__ import annotations

import weakref

from numtape.autograd import mode, tape


class Context:
    """What `forward` leaves for `backward`."""

    def __init__(self, needs_input_grad: tuple[bool, ...]):
        self.needs_input_grad = needs_input_grad
        self._saved: tuple = ()
        self._node: tape.Node | None = None
        self._outputs: list = []
        self._not_differentiable: tuple = ()
        self._dirty: tuple = ()
        self._materialize = True

    def save_for_backward(self, *tensors) -> None:
        """Keep tensors (inputs, results, or others; None is allowed) for `backward`."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple:
        """The kept tensors, unless one was overwritten or the graph was freed since."""
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
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function.")

    setup_context = None

    @classmethod
    def apply(cls, *args):
        """Run the operation and record it."""
        needs = tuple(_requires_grad(a) for a in args)
        ctx = Context(needs)
        recording = mode.state.enabled and any(needs)
        edges = tuple(tape.edge_of(a) if n else None for a, n in zip(args, needs))
        with mode.no_grad():
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
            t._check_inplace(cls.__name__)
        finished, results_info = [], []
        for i, out in enumerate(results):
            differentiable = _is_tensor(out) and out._spec.dtype.differentiable and not any(out is t for t in ctx._not_differentiable)
            if _is_tensor(out):
                dirty = any(out is t for t in ctx._dirty)
                if not dirty and any(out is a for a in args):
                    out = out.detach()  # an input returned as it is: a result of its own
                if differentiable:
                    pick = tape.Node(cls.__name__, (node,), lambda n, g, i=i: (Grads({i: g}),), out._spec)
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
        node.pull = _Gathered(cls, ctx, results_info)
        ctx._saved = ()
        return finished[0] if single else tuple(finished)


class _Gathered:
    """The pull of a custom function: its gradient is a `Grads`, one part per result."""

    def __init__(self, cls, ctx, specs):
        self.cls, self.ctx, self.specs = cls, ctx, specs

    def __call__(self, node, gradient):
        return _pull(self.cls, self.ctx, self.specs, gradient, node)


def _pull(cls, ctx, specs, gradient, node):
    ctx._node = node
    grads = []
    for i, spec in enumerate(specs):
        part = gradient.parts.get(i)
        if part is None and spec is not None and ctx._materialize:
            part = gradient.zeros(spec)
        grads.append(part)
    try:
        result = cls.backward(ctx, *grads)
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
