"""Hooks: functions of the user's that run before and after `forward`, and when gradients pass through a module.

A module without hooks has `_hooks = None` and never comes here.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numtape as nt

_ids = itertools.count()


class RemovableHandle:
    """What `register_*_hook` returns: `remove()` takes the hook off again. As a context manager it does so at the end of the block.

    >>> layer = nt.nn.ReLU()
    >>> with layer.register_forward_hook(lambda module, args, output: output + 1):
    ...     layer(nt.zeros(2))
    tensor([1., 1.])
    >>> layer(nt.zeros(2))
    tensor([0., 0.])
    """

    def __init__(self, hooks: OrderedDict) -> None:
        self._hooks = hooks
        self.id = next(_ids)

    def remove(self) -> None:
        "Take the hook off; a second call does nothing."
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


class Hooks:
    "The hooks of one module, by kind, in the order in which they run."

    def __init__(self) -> None:
        self.forward_pre: OrderedDict[int, tuple[Callable, bool]] = OrderedDict()  # (hook, with_kwargs)
        self.forward: OrderedDict[int, tuple[Callable, bool]] = OrderedDict()
        self.backward_pre: OrderedDict[int, Callable] = OrderedDict()
        self.backward: OrderedDict[int, Callable] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)

    @staticmethod
    def add(hooks: OrderedDict, hook: Any, prepend: bool) -> RemovableHandle:
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle


def call_with_hooks(module: Any, args: tuple, kwargs: dict) -> Any:
    "`module.forward(*args, **kwargs)` with every hook in its place."
    hooks: Hooks = module._hooks
    for hook, with_kwargs in tuple(hooks.forward_pre.values()):
        if with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}.")
                args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)

    gates = _Gates(module, hooks) if hooks.backward or hooks.backward_pre else None
    if gates is not None:
        args = gates.watch_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook, with_kwargs in tuple(hooks.forward.values()):
        changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        if changed is not None:
            output = changed
    return output if gates is None else gates.watch_outputs(output)


class _Gates:
    """An identity node before the module and one after it, through which its gradients pass.

    The node after the module sees the gradients first: it keeps `grad_output`. The node before it sees `grad_input`
    and calls the hooks. Where no input needs a gradient the first node calls them, with `grad_input` all None.
    """

    def __init__(self, module: Any, hooks: Hooks) -> None:
        self.module = module
        self.pre_hooks = tuple(hooks.backward_pre.values())
        self.hooks = tuple(hooks.backward.values())
        self.grad_output: tuple = ()
        self.inputs: int | None = None  # how many positional arguments there are, once one of them carries a gradient
        self.places: list[int] = []  # which of them are tensors that need a gradient

    def watch_inputs(self, args: tuple) -> tuple:
        self.count = len(args)
        watched, self.places = self._pass_through(args, self._at_input)
        self.inputs = len(args) if self.places else None
        return watched

    def watch_outputs(self, output: Any) -> Any:
        if isinstance(output, nt.Tensor):
            return self._pass_through((output,), self._at_output)[0][0]
        if isinstance(output, tuple):
            watched = self._pass_through(output, self._at_output)[0]
            return type(output)(*watched) if hasattr(output, "_fields") else watched
        if isinstance(output, list):
            return list(self._pass_through(tuple(output), self._at_output)[0])
        if isinstance(output, dict):
            watched = self._pass_through(tuple(output.values()), self._at_output)[0]
            return type(output)(zip(output, watched))
        raise TypeError(
            f"{type(self.module).__name__}: a full backward hook needs forward to return a Tensor, or a tuple, list or dict of "
            f"them, got {type(output).__name__}"
        )

    def _pass_through(self, values: tuple, callback: Callable) -> tuple[tuple, list[int]]:
        if not nt.is_grad_enabled():
            return values, []
        places = [i for i, v in enumerate(values) if isinstance(v, nt.Tensor) and v.requires_grad]
        if not places:
            return values, places
        passed = _gate().apply(callback, len(values), tuple(places), *(values[i] for i in places))
        watched = list(values)
        for i, tensor in zip(places, (passed,) if isinstance(passed, nt.Tensor) else passed):
            watched[i] = tensor
        return tuple(watched), places

    def _at_output(self, grads: tuple) -> tuple:
        for hook in self.pre_hooks:
            grads = _replaced(grads, hook(self.module, grads), "backward pre hook")
        self.grad_output = grads
        if self.inputs is None:
            for hook in self.hooks:
                if hook(self.module, (None,) * self.count, grads) is not None:
                    raise RuntimeError(
                        "backward hook for Modules where no input requires gradient should always return None or None for all gradients."
                    )
        return grads

    def _at_input(self, grads: tuple) -> tuple:
        for hook in self.hooks:
            grads = _replaced(grads, hook(self.module, grads, self.grad_output), "backward hook")
        return grads


def _replaced(grads: tuple, changed: Any, what: str) -> tuple:
    "The gradients a hook returned, or those it was given where it returned None."
    if changed is None:
        return grads
    changed = changed if isinstance(changed, tuple) else (changed,)
    if len(changed) != len(grads):
        raise RuntimeError(f"{what} returned an invalid number of grad, got {len(changed)}, but expected {len(grads)}")
    return changed


_gate_class: Any = None


def _gate() -> Any:
    "The identity function whose backward asks a callback what to pass on. Made on first use: it needs the finished `nt`."
    global _gate_class
    if _gate_class is None:

        class Gate(nt.autograd.Function):  # type: ignore[name-defined]
            @staticmethod
            def forward(ctx, callback, count, places, *tensors):
                ctx.callback, ctx.count, ctx.places = callback, count, places
                views = tuple(t.view_as(t) for t in tensors)
                return views if len(views) > 1 else views[0]

            @staticmethod
            def backward(ctx, *grads):
                every: list = [None] * ctx.count
                for i, g in zip(ctx.places, grads):
                    every[i] = g
                every = ctx.callback(tuple(every))
                return (None, None, None, *(every[i] for i in ctx.places))

        _gate_class = Gate
    return _gate_class
