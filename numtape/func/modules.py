"""Modules as functions of their parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numtape as nt


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict | None = None, *, tie_weights: bool = True, strict: bool = False
) -> Any:
    """module(*args, **kwargs) with other tensors in place of its parameters and buffers, which it has back afterwards.

    parameter_and_buffer_dicts: a dict from name ("layer.weight") to tensor, or several, no name twice. args: a tuple, or the only
    argument. With `tie_weights`, a tensor that the module holds under several names is replaced under all of them.

    Raises ValueError where a name is given twice, or one tied tensor is given two values, RuntimeError where with `strict` a name is missing
    or unknown.

    >>> import numtape as nt
    >>> layer = nt.nn.Linear(2, 1)
    >>> nt.func.functional_call(layer, {"weight": nt.ones(1, 2), "bias": nt.zeros(1)}, nt.tensor([1.0, 2.0]))
    tensor([3.])
    """
    dicts = parameter_and_buffer_dicts if isinstance(parameter_and_buffer_dicts, (tuple, list)) else [parameter_and_buffer_dicts]
    given: dict[str, Any] = {}
    for part in dicts:
        if not isinstance(part, dict):
            raise ValueError(f"Expected all elements of parameter_and_buffer_dicts to be dictionaries, got {type(part).__name__}")
        for name, tensor in part.items():
            if name in given:
                raise ValueError(f"{name} appears in multiple dictionaries; behavior of functional call is ambiguous")
            given[name] = tensor
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def _places(module: Any) -> dict[str, tuple]:
    "Where every parameter and buffer stands: (module, attribute) by its full name, each of several names of one tensor."
    found = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for name in (*part._parameter_names, *part._buffer_names):
            if part.__dict__[name] is not None:
                found[f"{path}.{name}" if path else name] = (part, name)
    return found


@contextlib.contextmanager
def _replaced(module: Any, given: dict[str, Any], tie_weights: bool, strict: bool) -> Iterator[None]:
    places = _places(module)
    unknown = [name for name in given if name not in places]
    if strict:
        missing = [name for name in places if name not in given]
        if missing or unknown:
            raise RuntimeError(
                f"Error(s) in loading state for {type(module).__name__}: Unexpected key(s): {', '.join(unknown)}. Missing key(s): {', '.join(missing)}."
            )
    elif unknown:
        raise KeyError(f"{type(module).__name__} has no parameter or buffer {unknown[0]!r}")
    chosen = dict(given)
    if tie_weights:
        for name, tensor in given.items():
            held = places[name][0].__dict__[places[name][1]]
            for other, (part, attribute) in places.items():
                if other != name and part.__dict__[attribute] is held:
                    if given.get(other, tensor) is not tensor:
                        raise ValueError(f"functional_call got multiple values for keys {sorted((name, other))}, which are tied. Consider using tie_weights=False")
                    chosen[other] = tensor
    before = [(*places[name], places[name][0].__dict__[places[name][1]]) for name in chosen]
    try:
        for name, tensor in chosen.items():
            part, attribute = places[name]
            part.__dict__[attribute] = tensor
        yield
    finally:
        for part, attribute, tensor in before:
            part.__dict__[attribute] = tensor


def stack_module_state(models: list) -> tuple[dict, dict]:
    """The parameters and the buffers of models of one kind, each stacked along a new first dim: two dicts from name to tensor.

    Raises RuntimeError where there are no models, they are of several classes, or some train and some do not.

    >>> import numtape as nt
    >>> parameters, buffers = nt.func.stack_module_state([nt.nn.Linear(2, 3) for _ in range(4)])
    >>> parameters["weight"].shape
    numtape.Size([4, 3, 2])
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(named: list[dict]) -> dict:
        return {
            name: nt.stack([d[name] for d in named]).detach().requires_grad_(any(d[name].requires_grad for d in named)) for name in named[0]
        }

    return stacked([dict(m.named_parameters()) for m in models]), stacked([dict(m.named_buffers()) for m in models])
