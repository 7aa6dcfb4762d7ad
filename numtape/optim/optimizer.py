"""Optimizer: the base class. It holds groups of parameters with their settings, and what an algorithm remembers for each parameter."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numtape as nt

required: Any = object()  # the default of a setting that every group has to bring


class Optimizer:
    """The base class of all optimizers: subclass it, give `__init__` the parameters and the default settings, define `step`.

    params: an iterable of leaf tensors, of pairs (name, tensor), or of dictionaries with "params" and settings of their own.

    Raises TypeError where `params` is a tensor or holds anything but tensors, ValueError where it is empty, where a tensor is no leaf,
    or where a tensor stands in two groups.

    >>> class Descent(nt.optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     def step(self):
    ...         with nt.no_grad():
    ...             for group in self.param_groups:
    ...                 for p in group["params"]:
    ...                     p.sub_(p.grad * group["lr"])
    >>> p = nt.ones(2, requires_grad=True)
    >>> (p * p).sum().backward()
    >>> Descent([p]).step()
    >>> p
    tensor([0.8000, 0.8000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, nt.Tensor):
            raise TypeError(
                f"params argument given to the optimizer should be an iterable of Tensors or dicts, but got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _rows(self) -> dict[int, Any]:
        "What was laid out for the last step, by group; no part of the state."
        return self.__dict__.setdefault("_laid_out", {})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a dictionary with "params" (a tensor or an ordered iterable of them) and any settings that differ from the defaults.

        Raises as the class does.

        >>> optimizer = nt.optim.SGD([nt.zeros(2, requires_grad=True)], lr=0.1)
        >>> optimizer.add_param_group({"params": nt.zeros(3, requires_grad=True), "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets will "
                "change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, nt.Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names:
            if len(names) < len(params):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            params = [p[1] for p in params]
            param_group["param_names"] = names
        param_group["params"] = params
        for p in params:
            if not isinstance(p, nt.Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not (p.is_leaf or getattr(p, "retains_grad", False)):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        if len({id(p) for p in params}) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                named = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    f"all optimizer param groups should be with/without names. cannot add param group {named} to the optimizer"
                )
        taken = {id(p) for group in self.param_groups for p in group["params"]}
        if not taken.isdisjoint(id(p) for p in params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros where `set_to_none` is False.

        >>> p = nt.ones(2, requires_grad=True)
        >>> p.sum().backward()
        >>> nt.optim.SGD([p], lr=0.1).zero_grad()
        >>> p.grad is None
        True
        """
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    zeros = p.grad.detach().zero_()
                    if p.grad.requires_grad:
                        p.grad = zeros

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters once. `closure` computes the loss anew and returns it; `step` returns what it returned.

        >>> nt.optim.Optimizer([nt.zeros(1, requires_grad=True)], {}).step()
        Traceback (most recent call last):
        NotImplementedError: Optimizer defines no step; subclasses do
        """
        raise NotImplementedError(f"{type(self).__name__} defines no step; subclasses do")

    def state_dict(self) -> dict[str, Any]:
        """{"state": what is remembered, by parameter number; "param_groups": the settings and the parameter numbers}: PyTorch's layout.

        >>> nt.optim.SGD([nt.zeros(2, requires_grad=True)], lr=0.1).state_dict()["param_groups"][0]["params"]
        [0]
        """
        number: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [number.setdefault(id(p), len(number)) for p in group["params"]]
            groups.append(packed)
        state = {number[id(key)] if isinstance(key, nt.Tensor) else key: value for key, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what another optimizer's `state_dict` returned; tensors take the dtype and device of their parameter.

        Raises ValueError where the numbers of groups or of parameters in them differ.

        >>> p = nt.zeros(2, requires_grad=True)
        >>> a, b = nt.optim.SGD([p], lr=0.1), nt.optim.SGD([p], lr=0.2)
        >>> b.load_state_dict(a.state_dict())
        >>> b.param_groups[0]["lr"]
        0.1
        """
        groups, saved = self.param_groups, copy.deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(group["params"]) != len(other["params"]) for group, other in zip(groups, saved)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
        numbers = itertools.chain.from_iterable(group["params"] for group in saved)
        params = itertools.chain.from_iterable(group["params"] for group in groups)
        param_of = dict(zip(numbers, params))

        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in param_of:
                state[param_of[key]] = _cast(param_of[key], value)
            else:
                state[key] = value
        for group, other in zip(groups, saved):
            other["params"] = group["params"]
            if "param_names" in group:
                other.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines.extend(f"    {key}: {group[key]}" for key in sorted(group) if key != "params")
        return "\n".join(lines) + "\n)"


def _cast(param: Any, value: Any, key: Any = None) -> Any:
    "`value`, every tensor in it with the dtype (where both are floating) and device of `param`; a step count keeps its dtype."
    if isinstance(value, nt.Tensor):
        if key == "step":
            return value
        return value.to(device=param.device, dtype=param.dtype) if param.dtype.differentiable else value.to(device=param.device)
    if isinstance(value, dict):
        return {k: _cast(param, v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(param, v) for v in value)
    return value


def _check_not_negative(name: str, value: Any) -> None:
    if isinstance(value, nt.Tensor) and value.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not value >= 0.0:
        raise ValueError(f"Invalid {name}: {value}")


def _run(closure: Callable[[], Any] | None) -> Any:
    "What the closure returns, with gradients recorded."
    if closure is None:
        return None
    with nt.enable_grad():
        return closure()
