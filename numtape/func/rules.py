"""Batching rules: how one call does what an op does for every example, by the op's public name.

A rule gets the layer, the function (for what is outside the layer), and the arguments, in which `layer.has(t)` tells batches. It returns tensors
with the batch in front, or NotImplemented, and the call is made for one example after another. Most ops are of a kind: elementwise ones
broadcast, others work along dims that are counted one further on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import prod
from typing import Any

import numtape as nt
from numtape.autograd._trees import flatten, unflatten
from numtape.func.batched import DRAWS, RULES, Layer, Shared
from numtape.op import TABLE
from numtape.tensor import Tensor


def rule(*names: str) -> Callable:
    def file(function: Callable) -> Callable:
        for name in names:
            RULES[name] = function
        return function

    return file


def _tensors(leaves: list) -> list:
    return [t for t in leaves if isinstance(t, Tensor)]


# ------------------------------------------------------------------------------------------------ elementwise
def elementwise(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    "Broadcasting, from the right: the batch goes in front of all dims."
    if kwargs.get("out") is not None:
        return NotImplemented
    leaves, structure = flatten((args, kwargs))
    tensors = _tensors(leaves)
    if len({t.dtype for t in tensors}) > 1 and any(layer.has(t) and not t.ndim for t in tensors):
        return NotImplemented  # a tensor without dims counts less in promotion, and would have one
    ndim = max(t.ndim for t in tensors)
    given, named = unflatten(structure, [layer.aligned(t, ndim) if isinstance(t, Tensor) else t for t in leaves])
    return function(*given, **named)


def in_place(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    "The same into the first argument, which must be a batch, since it gets another value for each example."
    target, *rest = args
    refuse_shared(layer, function, target)
    leaves, structure = flatten((rest, kwargs))
    if any(t.ndim > target.ndim for t in _tensors(leaves)):
        return NotImplemented
    given, named = unflatten(structure, [layer.aligned(t, target.ndim) if isinstance(t, Tensor) else t for t in leaves])
    function(target._value, *given, **named)
    return target._value


def refuse_shared(layer: Layer, function: Any, target: Any) -> None:
    if not layer.has(target):
        raise Shared(
            f"vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has more elements than "
            f"`self`. This happened due to `other` being vmapped over but `self` not being vmapped over in a vmap ({function.args[0]}). Please try to use "
            "out-of-place operators instead of inplace arithmetic. If said operator is being called inside the PyTorch framework, please file a bug report instead."
        )


_ELEMENTWISE = {name for op in TABLE.values() if op.family == "elementwise" for name in (op.name, *op.aliases)}
_ELEMENTWISE |= {
    "pow", "clamp", "clip", "add", "sub", "div", "round", "where", "masked_fill", "addcmul", "addcdiv", "lerp", "bitwise_not", "floor_divide", "remainder", "fmod",
    "divide", "true_divide", "subtract", "multiply", "absolute", "negative", "gcd", "lcm", "greater", "less", "positive", "clone", "contiguous", "detach", "to", "type",
    "float", "double", "long", "int", "short", "char", "byte", "bool", "half", "bfloat16", "cpu", "cuda", "zeros_like", "ones_like", "full_like", "empty_like", "isclose",
    "nan_to_num", "logit", "float_power", "ldexp", "isreal", "real", "conj", "resolve_conj", "resolve_neg", "conj_physical", "type_as", "requires_grad", "polygamma",
}  # fmt: skip
for _name in _ELEMENTWISE:
    RULES[_name] = elementwise
    RULES[f"{_name}_"] = in_place
for _name in ("zero_", "fill_", "copy_"):
    RULES[_name] = in_place


@rule("type_as", "to", "detach", "type")
def _of_first(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if not layer.has(args[0]):
        return NotImplemented
    others = [a._value if layer.has(a) else a for a in args[1:]]
    return function(args[0]._value, *others, **kwargs)


@rule("new_zeros", "new_ones", "new_empty", "new_full")
def _new(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if not layer.has(args[0]) or "size" in kwargs:
        return NotImplemented
    value, rest = args[0]._value, list(args[1:])
    fill = [rest.pop()] if function.args[0] == "new_full" and "fill_value" not in kwargs else []
    sizes = tuple(rest[0]) if rest and isinstance(rest[0], (tuple, list)) else tuple(rest)
    return function(value, (layer.size, *sizes), *fill, **kwargs)


# ------------------------------------------------------------------------------------------------ along dims
def _shifted(dim: Any, ndim: int) -> Any:
    if isinstance(dim, (tuple, list)):
        return tuple(_shifted(d, ndim) for d in dim)
    return dim + 1 if dim >= 0 else dim + ndim + 1 if -ndim <= dim else dim - 1


def along(*dims: str, flat: bool = False, extra: int = 0) -> Callable:
    """A rule for an op that works along the dims its parameters `dims` name; where that is None, over all of an example's, as one, if `flat`.

    `extra`: how many dims the result of an example has more, for dims that count them.
    """

    def apply(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
        if kwargs.get("out") is not None or any(kwargs.get(k) is not None for k in ("axis", "keepdims")):
            return NotImplemented
        try:
            bound = _signature(function).bind(*args, **kwargs)
        except (TypeError, ValueError):
            return NotImplemented
        bound.apply_defaults()
        given = bound.arguments
        leaves, structure = flatten(dict(given))
        tensors = _tensors(leaves)
        ndim = tensors[0].ndim
        if not all(t.ndim == ndim for t in tensors):
            return NotImplemented
        named = unflatten(structure, [layer.front(t) if isinstance(t, Tensor) else t for t in leaves])
        for name in dims:
            dim = given[name]
            if dim is None or dim == ():
                if not flat or len(tensors) > 1:
                    return NotImplemented
                first = next(iter(named))
                named[first] = named[first].reshape(layer.size, prod(tensors[0].shape))
                named[name] = 1
                if named.get("keepdim"):
                    named["keepdim"] = False
                    found = function(**named)
                    return found.reshape(layer.size, *[1] * ndim) if isinstance(found, Tensor) else NotImplemented
            elif not ndim + extra or not isinstance(dim, (int, tuple, list)):
                return NotImplemented
            else:
                named[name] = _shifted(dim, ndim + extra)
        kinds = bound.signature.parameters
        places = [named[n] for n in named if kinds[n].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        spread = next((named[n] for n in named if kinds[n].kind is inspect.Parameter.VAR_POSITIONAL), ())
        return function(*places, *spread, **{n: v for n, v in named.items() if kinds[n].kind is inspect.Parameter.KEYWORD_ONLY})

    return apply


_signatures: dict = {}


def _signature(function: Any) -> inspect.Signature:
    raw = function.args[1]
    found = _signatures.get(raw)
    if found is None:
        found = _signatures[raw] = inspect.signature(raw)
    return found


for _name in ("sum", "prod", "amax", "amin", "any", "all", "mean", "var", "std", "nansum", "nanmean", "count_nonzero", "argmax", "argmin", "var_mean", "std_mean"):
    RULES[_name] = along("dim", flat=True)


@rule("norm")
def _norm(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if isinstance(kwargs.get("p", args[1] if len(args) > 1 else 2), str) and (len(args) > 1 and args[1] == "nuc" or kwargs.get("p") == "nuc"):
        return NotImplemented
    return _along_norm(layer, function, args, kwargs)


_along_norm = along("dim", flat=True)
for _name in (
    "logsumexp", "softmax", "log_softmax", "softmin", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sort", "argsort", "topk", "kthvalue", "select", "narrow",
    "chunk", "split", "unbind", "unflatten", "gather", "take_along_dim", "cat", "concat", "concatenate", "tensor_split", "scatter", "scatter_add", "diff",
    "split_with_sizes", "glu", "cosine_similarity",
):  # fmt: skip
    RULES[_name] = along("dim")
for _name in ("stack", "unsqueeze"):
    RULES[_name] = along("dim", extra=1)
for _name in ("transpose", "swapaxes", "swapdims", "diagonal"):
    RULES[_name] = along("dim0" if _name != "diagonal" else "dim1", "dim1" if _name != "diagonal" else "dim2")
RULES["flatten"] = along("start_dim", "end_dim")
RULES["movedim"] = RULES["moveaxis"] = along("source", "destination")
RULES["roll"] = along("dims")


def _leading(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    "An op of matrices that takes dims before them."
    if not layer.has(args[0]) or args[0].ndim < 2 or kwargs.get("out") is not None or any(isinstance(t, Tensor) for t in args[1:]):
        return NotImplemented
    return function(args[0]._value, *args[1:], **kwargs)


for _name in ("det", "slogdet", "inv", "inv_ex", "cholesky", "cholesky_ex", "qr", "svd", "svdvals", "eigh", "eigvalsh", "matrix_power", "matrix_exp", "pinv"):
    RULES[f"linalg_{_name}"] = _leading
RULES["tril"] = RULES["triu"] = RULES["det"] = RULES["inverse"] = RULES["matrix_power"] = RULES["matrix_exp"] = RULES["logdet"] = RULES["slogdet"] = _leading


@rule("max", "min")
def _extremum(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if len(args) > 1 and isinstance(args[1], Tensor) or "other" in kwargs:
        return elementwise(layer, function, args, kwargs)
    if len(args) == 1 and not kwargs:
        value = args[0]._value.reshape(layer.size, -1)
        return (nt.amax if function.args[0] == "max" else nt.amin)(value, 1) if value.shape[1] else NotImplemented
    return _max_along(layer, function, args, kwargs)


_max_along = along("dim")


def _dims_given(args: tuple) -> tuple:
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


@rule("permute", "flip")
def _permute(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if kwargs or not args[0].ndim:
        return NotImplemented
    dims, ndim = _dims_given(args[1:]), args[0].ndim
    lead = (0,) if function.args[0] == "permute" else ()
    return function(args[0]._value, (*lead, *(_shifted(d, ndim) for d in dims)))


@rule("t")
def _t(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    value = args[0]._value
    return value.transpose(1, 2) if value.ndim == 3 else value if value.ndim < 3 else NotImplemented


@rule("squeeze")
def _squeeze(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    ndim = args[0].ndim
    if dim is None:
        dim = tuple(d for d in range(ndim) if args[0].shape[d] == 1)
    if not ndim or dim == ():
        return args[0]._value
    return args[0]._value.squeeze(_shifted(dim, ndim))


# ------------------------------------------------------------------------------------------------ shapes
@rule("reshape", "view")
def _reshape(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    sizes = _dims_given(args[1:])
    if kwargs or not all(isinstance(n, int) for n in sizes):
        return NotImplemented  # view(dtype)
    if -1 in sizes:
        known = prod(n for n in sizes if n != -1)
        if not known or sizes.count(-1) > 1 or args[0].numel() % known:
            return NotImplemented
        sizes = tuple(args[0].numel() // known if n == -1 else n for n in sizes)
    return function(args[0]._value, layer.size, *sizes)


@rule("reshape_as", "view_as")
def _reshape_as(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    return args[0]._value.reshape(layer.size, *args[1].shape) if layer.has(args[0]) else NotImplemented


@rule("ravel")
def _ravel(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    return args[0]._value.reshape(layer.size, args[0].numel())


@rule("expand", "broadcast_to")
def _expand(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    sizes = _dims_given(args[1:])
    if kwargs or len(sizes) < args[0].ndim:
        return NotImplemented
    return layer.aligned(args[0], len(sizes)).expand(layer.size, *sizes)


@rule("expand_as")
def _expand_as(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if not layer.has(args[0]) or args[1].ndim < args[0].ndim:
        return NotImplemented
    return layer.aligned(args[0], args[1].ndim).expand(layer.size, *args[1].shape)


@rule("repeat", "tile")
def _repeat(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    counts = _dims_given(args[1:])
    if kwargs or len(counts) < args[0].ndim:
        return NotImplemented
    return layer.aligned(args[0], len(counts)).repeat(1, *counts)


# ------------------------------------------------------------------------------------------------ indexing
def _is_index(value: Any) -> bool:
    return value is None or value is Ellipsis or isinstance(value, slice) or isinstance(value, int) and not isinstance(value, bool)


@rule("getitem")
def _getitem(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    x, index = args
    index = index if isinstance(index, tuple) else (index,)
    special = [i for i in index if not _is_index(i)]
    if not special and layer.has(x):
        return function(x._value, (slice(None), *index))
    if len(special) > 1 or not isinstance(special[0], Tensor) or special[0].dtype is nt.bool or special[0].dtype is nt.uint8:
        return NotImplemented
    if layer.has(x) and not layer.has(special[0]):
        if any(isinstance(i, int) for i in index):
            return NotImplemented  # a number beside a tensor is an index of its kind
        return function(x._value, (slice(None), *index))
    if len(index) > 1:
        return NotImplemented
    if not layer.has(x):
        return function(x, index[0]._value)
    value, places = x._value, index[0]._value
    if value.ndim < 2:
        return NotImplemented
    return _rows_of_each(layer, value, places)


@rule("setitem_")
def _setitem(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    x, index, new = args
    if isinstance(new, Tensor) and layer.has(new) and not layer.has(x):
        refuse_shared(layer, function, x)
    index = index if isinstance(index, tuple) else (index,)
    if not layer.has(x) or not all(_is_index(i) for i in index):
        return NotImplemented
    index = (slice(None), *index)
    if isinstance(new, Tensor):
        ndim = x._value[index].ndim - 1
        if new.ndim > ndim:
            return NotImplemented
        new = layer.aligned(new, ndim)
    function(x._value, index, new)
    return None


@rule("index_select")
def _index_select(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    if kwargs or len(args) != 3 or layer.has(args[2]) or not args[0].ndim:
        return NotImplemented
    return function(args[0]._value, _shifted(args[1], args[0].ndim), args[2])


@rule("embedding")
def _embedding(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    given = _signature(function).bind(*args, **kwargs)
    name = "input" if "input" in given.arguments else "indices"  # of nn.functional, or of the op
    weight, indices = given.arguments["weight"], given.arguments[name]
    if not layer.has(weight):
        given.arguments[name] = indices._value
        return function(*given.args, **given.kwargs)
    if given.arguments.keys() - {"weight", name} or weight.ndim != 2:
        return NotImplemented
    return _rows_of_each(layer, weight._value, layer.front(indices))


def _rows_of_each(layer: Layer, value: Any, places: Any) -> Any:
    "value[k][places[k]] for each example k."
    n = value.shape[1]
    if bool((places < -n).any() | (places >= n).any()):
        return NotImplemented  # the loop says which is out of bounds
    start = nt.arange(layer.size, device=places.device).reshape(-1, *[1] * (places.ndim - 1)) * n
    return value.reshape(layer.size * n, *value.shape[2:])[nt.where(places < 0, places + n, places) + start]


@rule("as_strided")
def _as_strided(layer: Layer, function: Callable, args: tuple, kwargs: dict) -> Any:
    "Strides and offsets count in the memory of an example."
    if not layer.has(args[0]):
        return NotImplemented
    return nt.stack([function(x.clone(), *args[1:], **kwargs) for x in args[0]._value.unbind(0)])


DRAWS |= {
    "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson", "rand_like", "randn_like", "randint_like", "uniform_", "normal_", "random_",
    "bernoulli_", "exponential_", "geometric_", "cauchy_", "log_normal_",
}  # fmt: skip

# Methods that a plain tensor may be given a batch for, and which know no batches themselves.
SEVERAL = {
    "matmul", "__matmul__", "mm", "bmm", "mv", "dot", "vdot", "inner", "outer", "addmm", "addmv", "baddbmm", "addr", "gather", "index_select", "take_along_dim", "scatter",
    "scatter_add", "index_add", "index_copy", "index_fill", "index_put", "masked_select", "masked_scatter", "take", "put", "__getitem__", "__setitem__", "expand_as",
    "view_as", "reshape_as", "type_as", "copy", "where", "select_scatter", "slice_scatter", "diagonal_scatter", "isclose", "cross", "kron", "masked_fill", "allclose",
    "equal", "max", "min", "add", "sub", "mul", "div", "pow", "bernoulli", "normal", "uniform", "random", "multinomial", "exponential", "addcmul", "addcdiv", "lerp",
}  # fmt: skip
