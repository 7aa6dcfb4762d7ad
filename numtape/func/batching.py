"""`vmap`: a function of single examples as a function of batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numtape as nt
from numtape.autograd._trees import flatten, unflatten


def _per_leaf(dims: Any, tree: Any, what: str) -> list:
    "The dims given for a tree, one for each leaf: an int or None stands for a whole subtree."
    if dims is None or isinstance(dims, int):
        return [dims] * len(flatten(tree)[0])
    children = list(tree.values()) if isinstance(tree, dict) else list(tree) if isinstance(tree, (tuple, list)) else None
    given = [dims[key] for key in tree] if isinstance(dims, dict) and isinstance(tree, dict) else list(dims) if isinstance(dims, (tuple, list)) else None
    if children is None or given is None or len(children) != len(given):
        raise ValueError(f"vmap: {what} is not compatible with the structure of the {'inputs' if what == 'in_dims' else 'outputs'}: got {dims!r}")
    return [d for part, child in zip(given, children) for d in _per_leaf(part, child, what)]


def _size(leaves: list, dims: list) -> int:
    sizes = []
    for t, d in zip(leaves, dims):
        if d is None:
            continue
        if not isinstance(t, nt.Tensor):
            raise ValueError(f"vmap: Got in_dim={d} for an input that is of type {type(t).__name__}; only tensors have dims, use None")
        if not -t.ndim <= d < t.ndim:
            raise ValueError(f"vmap: Got in_dim={d} for some input, but that input is a Tensor of dimensionality {t.ndim}")
        sizes.append(t.shape[d])
    if not sizes:
        raise ValueError("vmap: at least one input must be mapped over; all in_dims are None")
    if len(set(sizes)) > 1:
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension")
    return sizes[0]


class _Randomness:
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


def vmap(func: Callable, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None) -> Callable:
    """The function that maps `func` over dim `in_dims` of its arguments and stacks the results along `out_dims`.

    `in_dims`: an int for all arguments, or a tuple (nested like the arguments) of ints, and None for what is the same for every
    example. `randomness`: "error", "different" or "same" draws for the examples. `chunk_size` changes nothing.

    `func` is called once for each example, so this is a convenience and no faster than a loop; a function that takes batches itself is.

    Raises ValueError where dims do not fit the arguments, or the mapped sizes differ.

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
        leaves, structure = flatten(args)
        dims = _per_leaf(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args, "in_dims")
        named, names = flatten(kwargs)
        dims += [0 if isinstance(t, nt.Tensor) else None for t in named]  # as PyTorch: keyword arguments by their first dim
        random = _Randomness(randomness)
        results, shape = [], None
        size = _size(leaves + named, dims)
        if size == 0:
            raise RuntimeError("vmap: there is no example to call the function with, the mapped dim has size 0")
        for i in range(size):
            example = [t if d is None else t.select(d, i) for t, d in zip(leaves + named, dims)]
            random.before()
            found, shape = flatten(func(*unflatten(structure, example[: len(leaves)]), **unflatten(names, example[len(leaves) :])))
            random.after()
            for t in found:
                if not isinstance(t, nt.Tensor):
                    raise ValueError(f"vmap: the function must only return Tensors, got type {type(t).__name__}")
            results.append(found)
        places = _per_leaf(out_dims, unflatten(shape, results[0]), "out_dims")
        if None in places:
            raise ValueError("vmap: out_dims must be ints; take one example's result from the stack instead of None")
        return unflatten(shape, [nt.stack(parts, d) for parts, d in zip(zip(*results), places)])

    return wrapped
