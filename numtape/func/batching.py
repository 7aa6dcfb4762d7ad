"""`vmap`: a function of single examples as a function of batches."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numtape as nt
from numtape.autograd._trees import flatten, unflatten
from numtape.func.batched import Batched, Layer, NoRule, Randomness
from numtape.func.recognise import recognise, recognising


def _per_leaf(dims: Any, tree: Any, error: Callable) -> list:
    "The dims given for a tree, one for each leaf: an int or None stands for a whole subtree."
    if dims is None or isinstance(dims, int) and not isinstance(dims, bool):
        return [dims] * len(flatten(tree)[0])
    children = list(tree.values()) if isinstance(tree, dict) else list(tree) if isinstance(tree, (tuple, list)) else None
    if isinstance(dims, dict) and isinstance(tree, dict):
        given = [dims[key] for key in tree] if dims.keys() == tree.keys() else None
    else:
        given = list(dims) if isinstance(dims, (tuple, list)) else None
    if children is None or given is None or len(children) != len(given):
        raise error()
    return [d for part, child in zip(given, children) for d in _per_leaf(part, child, error)]


def _name(func: Callable) -> str:
    return f"functools.partial({_name(func.func)}, ...)" if isinstance(func, functools.partial) else getattr(func, "__name__", repr(func))


def _in_dims(func: Callable, in_dims: Any, args: tuple) -> list:
    said = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple, list)) or isinstance(in_dims, bool):
        raise ValueError(f"{said}expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}.")
    dims = _per_leaf(
        tuple(in_dims) if isinstance(in_dims, list) else in_dims,
        args,
        lambda: ValueError(f"{said}in_dims is not compatible with the structure of `inputs`, which has {len(args)} arguments."),
    )
    found = []
    for t, d in zip(flatten(args)[0], dims):
        if d is not None:
            if not isinstance(t, nt.Tensor):
                raise ValueError(f"{said}Got in_dim={d} for an input but the input is of type {type(t)}. We cannot vmap over non-Tensor arguments, please use None as the respective in_dim")
            if not -t.ndim <= d < t.ndim:
                raise ValueError(
                    f"{said}Got in_dim={d} for some input, but that input is a Tensor of dimensionality {t.ndim} so expected in_dim to satisfy "
                    f"-{t.ndim} <= in_dim < {t.ndim}."
                )
            d %= t.ndim
        found.append(d)
    return found


def _size(leaves: list, dims: list) -> int:
    sizes = [t.shape[d] for t, d in zip(leaves, dims) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if len(set(sizes)) > 1:
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension")
    return sizes[0]


def vmap(func: Callable, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None) -> Callable:
    """The function that maps `func` over dim `in_dims` of its arguments and stacks the results along `out_dims`.

    `in_dims`: an int for all arguments, or a tuple (nested like the arguments) of ints, and None for what is the same for every
    example, as keyword arguments are. `randomness`: "error", "different" or "same" draws for the examples. `chunk_size`: how many examples are computed at once.

    `func` is called once (for each chunk), with tensors that stand for those of all examples. Elementwise ops, reductions, products, views,
    indexing, losses and convolutions of these are one call for the whole batch; other ops are called for one example after another.

    Raises ValueError where dims do not fit the arguments, or the mapped sizes differ, RuntimeError where `func` asks for the value of a tensor.

    >>> import numtape as nt
    >>> nt.vmap(nt.dot)(nt.ones(3, 2), nt.ones(3, 2))
    tensor([2., 2., 2.])
    >>> x = nt.tensor([1.0, 2.0])
    >>> nt.vmap(nt.func.grad(lambda w, x: (w * x) ** 2), in_dims=(None, 0))(nt.tensor(1.0), x)
    tensor([2., 8.])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        recognise()
        if not args and not kwargs:
            raise ValueError(
                f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no "
                "inputs. The latter is unsupported."
            )
        dims = _in_dims(func, in_dims, args)
        leaves, structure = flatten((args, kwargs))
        dims += [None] * (len(leaves) - len(dims))  # keyword arguments are the same for all
        size = _size(leaves, dims)
        Randomness(randomness)  # complains of a wrong one
        if chunk_size is None or chunk_size >= size:
            return _run(func, leaves, structure, dims, size, randomness, out_dims, None)
        start = nt.get_rng_state()
        places: list = []
        parts, shape = [], None
        for first in range(0, size, chunk_size):
            count = min(chunk_size, size - first)
            if randomness == "same":
                nt.set_rng_state(start)
            chunk = [t if d is None else t.narrow(d, first, count) for t, d in zip(leaves, dims)]
            found = _run(func, chunk, structure, dims, count, randomness, out_dims, places)
            values, shape = flatten(found)
            parts.append(values)
        return unflatten(shape, [several[0] if d is None else nt.cat(list(several), d) for several, d in zip(zip(*parts), places)])

    return wrapped


def _run(func: Callable, leaves: list, structure: Any, dims: list, size: int, randomness: str, out_dims: Any, places: list | None) -> Any:
    "func on all examples at once. The dims of the results are left in `places`."
    random = Randomness(randomness)
    with Layer(size, randomness) as layer:
        args, kwargs = unflatten(structure, [t if d is None else layer.wrap(t.movedim(d, 0) if d else t) for t, d in zip(leaves, dims)])
        try:
            found = recognising(func)(*args, **kwargs)
        except NoRule:  # a function of ours that was kept somewhere before any `vmap` ran
            layer.__exit__()
            warnings.warn(
                f"vmap({_name(func)}): a function of numtape was called by a reference that vmap does not know, so the function is called for one example after "
                "another; call it by its name, as numtape.cat, or as a method",
                stacklevel=3,
            )
            nt.set_rng_state(nt.tensor(random.start))
            found = layer.loop(func, args, kwargs)
    if randomness == "error":
        random.after()
    values, shape = flatten(found)
    said = f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): "
    given = _per_leaf(out_dims, found, lambda: ValueError(f"{said}out_dims is not compatible with the structure of `outputs`, which has {len(values)} tensors."))
    results = []
    for t, d in zip(values, given):
        if not isinstance(t, nt.Tensor):
            raise ValueError(f"vmap({_name(func)}, ...): `{_name(func)}` must only return Tensors, got type {type(t).__name__}. Did you mean to set out_dims= to None for output?")
        if d is None:
            if layer.has(t):
                raise ValueError(f"vmap({_name(func)}, ...): `{_name(func)}` can not return a BatchedTensor when out_dim is None")
            results.append(t)
            continue
        value = layer.front(t)
        if not -value.ndim <= d < value.ndim:
            raise IndexError(f"{said}Dimension out of range (expected to be in range of [{-value.ndim}, {value.ndim - 1}], but got {d})")
        results.append(value.movedim(0, d) if d else value)
    if places is not None:
        places[:] = given
    return unflatten(shape, results)


__all__ = ["Batched", "vmap"]
