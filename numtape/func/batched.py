"""Batched tensors: what a function sees within `vmap`, a tensor of one example that stands for those of all.

A `Batched` holds a tensor with the examples along its first dim (which may be a `Batched` of an outer `vmap`). Calls with one are sent to the
op's rule in `rules.py`, which makes one call for the whole batch of it, or to a loop over the examples where there is no rule.

Plain calls pay nothing for this: elementwise ops meet a `Batched` where they would not know what to do with it (`dispatch.elementwise`),
and the public names of other functions get the question "is there a batch?" put before them when `vmap` is first used (`recognise.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numtape as nt
from numtape.autograd import mode, tape
from numtape.autograd._trees import flatten, unflatten
from numtape.dispatch import elementwise, rows
from numtape.graph import FULL, ROW
from numtape.spec import Size
from numtape.tensor import Tensor

_new = object.__new__
RULES: dict[str, Callable] = {}  # by public name: rule(layer, function, args, kwargs) -> tensors with the batch in front, or NotImplemented
DRAWS: set[str] = set()  # functions that draw random numbers


class NoRule(AttributeError):
    """Code that knows no batches met one."""


class Asked(RuntimeError):
    """The value of a batch was asked for, where one example has one."""


class Shared(RuntimeError):
    """A batch was to be written into a tensor that is the same for all examples."""


class Layer:
    """One `vmap` that is running: its number of examples, and how they draw random numbers."""

    def __init__(self, size: int, randomness: str):
        self.size, self.randomness = size, randomness
        self.depth = len(mode.state.layers)

    def __enter__(self) -> Layer:
        self.previous = mode.state.layers
        mode.state.layers = (*self.previous, self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        mode.state.layers = self.previous

    # ---------------------------------------------------------------------------------- in and out
    def has(self, t: Any) -> bool:
        return type(t) is Batched and t._layer is self

    def wrap(self, value: Any) -> Any:
        "A tensor with the batch in front, as a tensor of one example; others as they are."
        if not isinstance(value, Tensor):
            return value
        t = _new(Batched)
        t._value, t._layer = value, self
        return t

    def wrapped(self, tree: Any) -> Any:
        leaves, structure = flatten(tree)
        return unflatten(structure, [self.wrap(t) for t in leaves])

    def front(self, t: Any) -> Any:
        "The tensor with the batch in front; repeated for the examples if it is the same for all."
        return t._value if self.has(t) else t.expand(self.size, *t.shape)

    def aligned(self, t: Any, ndim: int) -> Any:
        "For broadcasting over `ndim` dims of an example: the batch in front, then dims of size 1 as needed; what is no batch as it is."
        if not self.has(t):
            return t
        value = t._value
        missing = ndim + 1 - value.ndim
        return value.reshape(self.size, *[1] * missing, *value.shape[1:]) if missing > 0 else value

    # ---------------------------------------------------------------------------------- what autograd asks
    def meet(self, name: str, function: Callable, args: tuple) -> Any:
        if innermost(args) is None:
            raise
        return call("mul", function, args, {})  # the rule of all elementwise ops

    def pull(self, node: Any, gradient: Any) -> Any:
        "The pull of a node for gradients that are batches."
        several = isinstance(gradient, tape.Grads)
        if not several and type(gradient) is not Batched:
            return node.pull(node, gradient)
        op = node.op
        if not mode.state.enabled and not several:
            try:
                if op is not None and op.family != "elementwise":
                    return self._pull_rows(node, gradient)
                if op is None:
                    return node.pull(node, gradient)
                saved, parts = elementwise.unpack(node), []
                for i, edge in enumerate(node.inputs):
                    _, places, same = (None, (), False) if edge is None else op.recipes[i]
                    values = tuple(gradient if k < 0 else saved[k] for k in places)
                    parts.append(None if edge is None else gradient if same else elementwise.call(op.pullbacks.get(i) or elementwise.pullback(op, i), values))
                return parts
            except (NoRule, Asked, Shared):
                pass  # for one example after another
        names = list(gradient.parts) if several else [0]

        def one(*given: Any) -> tuple:
            return tuple(node.pull(node, tape.Grads(dict(zip(names, given))) if several else given[0]))

        return self.by_example(one, list(gradient.parts.values()) if several else [gradient], ())

    def _pull_rows(self, node: Any, gradient: Any) -> Any:
        "As `rows.pull`, with the batch as one more dim in front."
        op, (dims, spec, _) = node.op, node.spec
        dims, shape = tuple(d + 1 for d in dims), (self.size, *spec.shape)
        if node.pull is rows.pull_linear:
            return (self.wrap(op.vjp[0](gradient._value, dims, shape)), *[None] * (len(node.inputs) - 1))
        if node.pull is not rows.pull:
            raise NoRule
        saved, kept = elementwise.unpack(node), tuple(1 if d in dims else n for d, n in enumerate(shape))
        reduces, per_row = op.traits["reduces"], op.traits.get("per_row", ())
        values = dict(zip(op.names, saved)) | ({"out": saved[-1]} if len(saved) > len(op.names) else {})
        values = {name: self.front(t.detach()) if isinstance(t, Tensor) else t for name, t in values.items()}
        values |= {"g": gradient._value.reshape(kept) if reduces else gradient._value, "dim": dims, "shape": shape}
        parts: list = []
        for i, edge in enumerate(node.inputs):
            names = op.saves[i]
            given = tuple(values[name] for name in names)
            if edge is None:
                parts.append(None)
            elif op.traits.get("rule_on_tensors"):
                parts.append(self.wrap(op.vjp[i](*given)))
            else:
                extents = tuple(ROW if reduces and name in ("g", "out") or name in per_row else FULL for name in names)
                parts.append(self.wrap(rows.run(rows._pullback(op, i), given, dims, True, extents, shape)))
        return parts

    def by_example(self, function: Callable, tensors: Any, known: tuple) -> Any:
        "A function of tensors that knows the layers `known` alone: where tensors are batches of others, for one example after another."
        layer = innermost([t for t in tensors if type(t) is Batched and t._layer not in known])
        if layer is None:
            previous, mode.state.layers = mode.state.layers, known
            try:
                return function(*tensors)
            finally:
                mode.state.layers = previous
        with _Without(layer):
            return layer.loop(function, tuple(tensors), {})

    def grad(self, outputs: list, inputs: list, seeds: Any, keep: Any, create: bool, unused: Any, zeros: bool) -> tuple:
        layers = mode.state.layers
        for t in inputs:
            if plain(t).ndim != len(layers) + t.ndim:
                raise RuntimeError("grad: within vmap, gradients can be taken by tensors that are mapped over; use func.grad for others")
        seeds = [None] * len(outputs) if seeds is None else list(seeds) if isinstance(seeds, (tuple, list)) else [seeds]
        given = []
        for output, seed in zip(outputs, seeds):
            if seed is None and output.numel() != 1:
                raise RuntimeError(f"grad can be implicitly created only for scalar outputs, but a tensor has shape {tuple(output.shape)}")
            given.append(output.detach().new_ones(output.shape) if seed is None else seed)
        roots, targets, starts = ([plain(spread(t)) for t in several] for several in (outputs, inputs, given))
        mode.state.layers = ()
        try:
            found = nt.autograd.grad(roots, targets, starts, keep, create, unused, zeros)
        finally:
            mode.state.layers = layers
        return tuple(None if g is None else wrap_all(g, layers) for g in found)

    def apply(self, cls: Any, args: tuple) -> Any:
        "A `Function` of batches: by its own `vmap`, or by the loop."
        layer: Any = innermost(args)
        own = cls.vmap is not nt.autograd.Function.vmap
        if own and cls.generate_vmap_rule:
            raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overriden vmap staticmethod; use one of them.")
        with _Without(layer):
            if not own:
                return layer.loop(cls.apply, args, {})
            dims = tuple(0 if layer.has(a) else None for a in args)
            found, places = cls.vmap(Info(layer.size, layer.randomness), dims, *[a._value if layer.has(a) else a for a in args])
            several = isinstance(found, tuple)
            values, places = (found, places) if several else ((found,), (places,))
            if not isinstance(places, tuple):
                places = (places,) * len(values)
            values = [t if d is None or not isinstance(t, Tensor) else layer.wrap(t.movedim(d, 0)) for t, d in zip(values, places)]
            return tuple(values) if several else values[0]

    # ---------------------------------------------------------------------------------- calls
    def call(self, name: str, function: Callable, args: tuple, kwargs: dict) -> Any:
        "A call with batches of this layer (or a random one) by the rule, or by the loop."
        rule = RULES.get(name)
        with _Without(self):
            if rule is not None and name not in DRAWS:
                found = rule(self, function, args, kwargs)
                if found is not NotImplemented:
                    return self.wrapped(found)
            return self.loop(function, args, kwargs)

    def loop(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        "The function of each example in turn, the results as batches. What it changes in place is changed."
        if not self.size:
            raise RuntimeError("vmap: there is no example to call the function with, the mapped dim has size 0")
        leaves, structure = flatten((args, kwargs))
        random, results, shape = Randomness(self.randomness), [], _new
        for i in range(self.size):
            example = [t._value.select(0, i) if self.has(t) else t for t in leaves]
            specs = [t.shape if isinstance(t, Tensor) else None for t in example]
            given, named = unflatten(structure, example)
            random.before()
            result = function(*given, **named)
            random.after()
            if any(s is not None and t.shape != s for t, s in zip(example, specs)):
                raise NotImplementedError(f"vmap: {getattr(function, '__name__', function)} changes the shape of a tensor in place; use the out-of-place one")
            same = next((k for k, t in enumerate(example) if result is t), None)
            if isinstance(result, Tensor) and same is not None:
                results.append(leaves[same])  # an in-place method returns its tensor
                continue
            found, shape = flatten(result)
            results.append(found)
        if shape is _new:
            return results[0]
        stacked = [self.wrap(nt.stack(list(parts))) if isinstance(parts[0], Tensor) else parts[0] for parts in zip(*results)]
        return unflatten(shape, stacked)


class Info(NamedTuple):
    "What a Function's `vmap` is told."

    batch_size: int
    randomness: str


class _Without:
    "While a layer's rule runs, the layer is not there: the rule's calls are of the layers outside."

    def __init__(self, layer: Layer):
        self.layer = layer

    def __enter__(self) -> None:
        self.previous = mode.state.layers
        mode.state.layers = self.previous[: self.previous.index(self.layer)] if self.layer in self.previous else self.previous

    def __exit__(self, *exc_info: object) -> None:
        mode.state.layers = self.previous


class Randomness:
    "What the random draws of the examples have to do with each other."

    def __init__(self, kind: str):
        if kind not in ("error", "different", "same"):
            raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {kind}")
        self.kind, self.start = kind, nt.get_rng_state().tolist()

    def before(self) -> None:
        if self.kind == "same":
            nt.set_rng_state(nt.tensor(self.start))

    def after(self) -> None:
        if self.kind == "error" and nt.get_rng_state().tolist() != self.start:
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or "
                "perform the randomness operation out of vmap"
            )


# ------------------------------------------------------------------------------------------------ all layers
def spread(t: Any, layers: tuple | None = None) -> Any:
    "The tensor as a batch in every running layer, repeated where it is none."
    layers = mode.state.layers if layers is None else layers
    if not layers:
        return t
    layer = layers[-1]
    with _Without(layer):
        if layer.has(t):
            return layer.wrap(spread(t._value, layers[:-1]))
        inner = spread(t, layers[:-1])
        return layer.wrap(inner.expand(layer.size, *inner.shape))


def plain(t: Any) -> Any:
    "The tensor with the batches of all layers in front."
    while type(t) is Batched:
        t = t._value
    return t


def wrap_all(t: Any, layers: tuple) -> Any:
    "The other way round: a tensor with the batches of these layers in front, as a batch in each."
    for layer in layers:
        t = layer.wrap(t)
    return t


Layer.spread, Layer.plain, Layer.wrap_all = staticmethod(spread), staticmethod(plain), staticmethod(wrap_all)  # type: ignore[attr-defined]


def innermost(tree: Any) -> Layer | None:
    "The innermost running layer that a tensor in these arguments is a batch of."
    found = None
    for value in tree:
        if type(value) is Batched:
            layer = value._layer
        elif isinstance(value, (tuple, list)):
            layer = innermost(value)
        elif isinstance(value, dict):
            layer = innermost(value.values())
        else:
            continue
        if layer is not None and (found is None or layer.depth > found.depth):
            found = layer
    return found


def call(name: str, function: Callable, args: tuple, kwargs: dict) -> Any:
    "A call that may have batches among its arguments."
    layers = mode.state.layers
    layer = innermost(args) if not kwargs else innermost((*args, *kwargs.values()))
    if name in DRAWS and layers and (layer is None or layer.depth < layers[-1].depth):
        layer = layers[-1]
        if layer.randomness == "same":
            with _Without(layer):
                return call(name, function, args, kwargs)
    if layer is None:
        return function(*args, **kwargs)
    if layer not in layers and layers:
        raise RuntimeError("vmap: a tensor of an inner vmap was used after it had ended; return it from the function instead")
    return layer.call(name, functools.partial(_outside, name, function), args, kwargs)


def _outside(name: str, function: Callable, *args: Any, **kwargs: Any) -> Any:
    return call(name, function, args, kwargs)


# ------------------------------------------------------------------------------------------------ the tensor
class Batched(Tensor):
    """A tensor of one example that stands for those of all examples of a `vmap`."""

    __slots__ = ("_layer", "_value")

    def _unknown(self) -> Any:
        raise NoRule("vmap: this function does not know batches of tensors")

    _spec = _storage = _address = _node = _seen = property(_unknown)  # type: ignore[assignment]
    _base = None
    _requires_grad = property(lambda self: plain(self).requires_grad)  # type: ignore[assignment]

    shape = property(lambda self: Size(self._value.shape[1:]))  # type: ignore[assignment]
    ndim = property(lambda self: self._value.ndim - 1)  # type: ignore[assignment]
    dtype = property(lambda self: self._value.dtype)  # type: ignore[assignment]
    device = property(lambda self: self._value.device)  # type: ignore[assignment]
    itemsize = property(lambda self: self._value.itemsize)  # type: ignore[assignment]
    is_cuda = property(lambda self: self._value.is_cuda)  # type: ignore[assignment]
    is_cpu = property(lambda self: self._value.is_cpu)  # type: ignore[assignment]
    requires_grad = property(lambda self: plain(self).requires_grad)  # type: ignore[assignment]
    is_leaf = property(lambda self: plain(self).is_leaf)  # type: ignore[assignment]
    grad_fn = property(lambda self: plain(self).grad_fn)  # type: ignore[assignment]
    grad = property(lambda self: None)  # type: ignore[assignment]
    data = property(lambda self: self.detach())  # type: ignore[assignment]
    nbytes = property(lambda self: self.numel() * self.itemsize)  # type: ignore[assignment]
    _version = property(lambda self: plain(self)._version)  # type: ignore[assignment]
    T = property(lambda self: self.permute(*range(self.ndim - 1, -1, -1)))
    mT = property(lambda self: self.transpose(-2, -1))

    def dim(self) -> int:
        return self._value.ndim - 1

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def stride(self, dim: int | None = None) -> Any:
        strides = self._value.stride()[1:]
        return strides if dim is None else strides[dim]

    def numel(self) -> int:
        found = 1
        for n in self.shape:
            found *= n
        return found

    nelement = numel

    def is_contiguous(self, *args: Any, **kwargs: Any) -> bool:
        return self._value.select(0, 0).is_contiguous() if self._layer.size else True

    def requires_grad_(self, requires_grad: bool = True) -> Batched:
        plain(self).requires_grad_(requires_grad)
        return self

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))  # type: ignore[attr-defined]

    __hash__ = object.__hash__

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"BatchedTensor(lvl={self._layer.depth + 1}, bdim=0, value=\n    {self._value!r}\n)"

    def _ask(self, *args: Any, **kwargs: Any) -> Any:
        raise Asked(
            "vmap: It looks like you're calling .item() (or .tolist(), .numpy(), float(), int()) on a Tensor. We don't support vmap over calling .item() on "
            "a Tensor, please try to rewrite what you're doing with other operations."
        )

    item = tolist = numpy = __array__ = __float__ = __int__ = __index__ = _ask  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise Asked(
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that, "
            "please use where() or other operations instead."
        )

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("vmap: this is not supported on a tensor within vmap; do it outside")

    data_ptr = storage = untyped_storage = storage_offset = __dlpack__ = __deepcopy__ = __reduce_ex__ = record_stream = _refuse
    register_post_accumulate_grad_hook = retain_grad = register_hook = set_ = _refuse

    def backward(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            "backward() called inside a functorch transform. This is not supported, please use functorch.grad or functorch.vjp instead or call "
            "backward() outside of functorch transforms."
        )

    def _check_inplace(self, name: str) -> None:
        plain(self)._check_inplace(name)
