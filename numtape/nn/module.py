"""Module: the base class of everything that holds parameters and has a `forward`.

Every parameter, buffer and child is an ordinary attribute in the instance's `__dict__`, so that reading it is as fast as
Python reads any attribute; three dictionaries of *names* say which attribute is what. There is one copy of each fact, so
nothing can get out of step. `_parameters`, `_buffers` and `_modules` are read-only views of it under PyTorch's names.

A Module is Traversal (walk the tree) + Checkpoint (save and restore it) + what stands here (registering, calling, hooks, printing).

NOTE: there is no `__getattr__` on purpose: a class with one loses Python's fast path for `self.weight` (35 ns instead of 18).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numtape as nt
from numtape.nn.checkpoint import Checkpoint
from numtape.nn.hooks import Hooks, RemovableHandle, call_with_hooks
from numtape.nn.parameter import Parameter

_nothing = object()  # "no argument was given"


class Module(Checkpoint):
    """The base class of all neural network modules: subclass it, call `super().__init__()`, define `forward`.

    Parameters and modules assigned as attributes are found by `parameters()`, `state_dict()`, `to()` and the rest.

    Raises AttributeError where a parameter or module is assigned before `super().__init__()`, TypeError where something else
    is assigned to the name of a parameter or child, NotImplementedError where there is no `forward`.

    >>> class Scale(nt.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nt.nn.Parameter(nt.full((1,), 3.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(nt.ones(2)).tolist()
    [3.0, 3.0]
    >>> [name for name, _ in scale.named_parameters()]
    ['factor']
    """

    _hooks: Hooks | None = None

    def __init__(self) -> None:
        self.__dict__.update(training=True, _parameter_names={}, _buffer_names={}, _module_names={})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        "What the module computes; every subclass defines its own."
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, input: Any = _nothing, /, *args: Any, **kwargs: Any) -> Any:
        # One argument and no hooks is nearly every call; passing it on without packing saves 100 of 300 ns.
        if not args and not kwargs and self._hooks is None and input is not _nothing:
            return self.forward(input)
        if input is not _nothing:
            args = (input, *args)
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    # ---- registering ----

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None keeps the name for later. `self.name = param` does the same.

        Raises KeyError where the name is taken, empty or has a dot, TypeError where `param` is not a Parameter, ValueError where it
        is not a leaf.

        >>> module = nt.nn.Module()
        >>> module.register_parameter("scale", nt.nn.Parameter(nt.ones(2)))
        >>> module.scale.shape
        numtape.Size([2])
        """
        self._refuse_name("parameter", name, self._names("_parameter_names", "parameters"))
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{type(param).__name__}' object to parameter '{name}' (nn.Parameter or None required)")
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To express "
                f"'{name}' as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameter_names[name] = None
        self.__dict__[name] = param

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Add a tensor that is not a parameter, but moves and (if `persistent`) is saved with the module.

        Raises KeyError where the name is taken, empty or has a dot, TypeError where `tensor` is neither a tensor nor None.

        >>> module = nt.nn.Module()
        >>> module.register_buffer("count", nt.zeros(2))
        >>> module.state_dict()
        OrderedDict([('count', tensor([0., 0.]))])
        """
        self._refuse_name("buffer", name, self._names("_buffer_names", "buffer"))
        if tensor is not None and not isinstance(tensor, nt.Tensor):
            raise TypeError(f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None required)")
        self._buffer_names[name] = persistent
        self.__dict__[name] = tensor

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`; `self.name = module` does the same.

        Raises TypeError where `module` is not a Module, KeyError where the name is taken, empty or has a dot.

        >>> module = nt.nn.Module()
        >>> module.add_module("act", nt.nn.ReLU())
        >>> module
        Module(
          (act): ReLU()
        )
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._refuse_name("module", name, self._names("_module_names", "module"))
        self._module_names[name] = None
        self.__dict__[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        "The same as `add_module`."
        self.add_module(name, module)

    def _names(self, kind: str, what: str) -> dict:
        names = self.__dict__.get(kind)
        if names is None:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        return names

    def _refuse_name(self, kind: str, name: str, names: dict) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if name not in names and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__
        if isinstance(value, Parameter):
            if name not in self._names("_parameter_names", "parameters"):
                self._forget(name)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if name not in self._names("_module_names", "module"):
                self._forget(name)
            self._module_names[name] = None
            held[name] = value
        elif name in held.get("_parameter_names", ()):
            if value is not None:
                raise TypeError(f"cannot assign '{type(value).__name__}' as parameter '{name}' (nn.Parameter or None expected)")
            held[name] = None
        elif name in held.get("_module_names", ()):
            if value is not None:
                raise TypeError(f"cannot assign '{type(value).__name__}' as child module '{name}' (nn.Module or None expected)")
            held[name] = None
        elif name in held.get("_buffer_names", ()):
            if value is not None and not isinstance(value, nt.Tensor):
                raise TypeError(f"cannot assign '{type(value).__name__}' as buffer '{name}' (Tensor or None expected)")
            held[name] = value
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            self._forget(name)
        else:
            object.__delattr__(self, name)

    def _forget(self, name: str) -> None:
        "Make `name` mean nothing, whatever it was."
        self.__dict__.pop(name, None)
        for names in (self._parameter_names, self._buffer_names, self._module_names):
            names.pop(name, None)

    # ---- hooks ----

    def _add_hook(self, kind: str, hook: Any, prepend: bool) -> RemovableHandle:
        if self._hooks is None:
            self.__dict__["_hooks"] = Hooks()
        return Hooks.add(getattr(self._hooks, kind), hook, prepend)

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args)` before every `forward`; what it returns, if not None, replaces the arguments.

        With `with_kwargs` it is called as `hook(module, args, kwargs)` and may return `(args, kwargs)`.

        >>> layer = nt.nn.Identity()
        >>> handle = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
        >>> layer(nt.ones(2))
        tensor([2., 2.])
        """
        return self._add_hook("forward_pre", (hook, with_kwargs), prepend)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args, output)` after every `forward`; what it returns, if not None, replaces the output.

        With `with_kwargs` it is called as `hook(module, args, kwargs, output)`.

        >>> layer = nt.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output + 1)
        >>> layer(nt.ones(2))
        tensor([2., 2.])
        >>> handle.remove()
        """
        return self._add_hook("forward", (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when gradients reach the module's output; a tuple returned replaces them.

        >>> layer = nt.nn.Identity()
        >>> handle = layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
        >>> x = nt.ones(2, requires_grad=True)
        >>> layer(x).sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        return self._add_hook("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when gradients reach the module's input; a tuple returned replaces `grad_input`.

        >>> layer = nt.nn.Identity()
        >>> handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 10,))
        >>> x = nt.ones(2, requires_grad=True)
        >>> layer(x).sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        return self._add_hook("backward", hook, prepend)

    # ---- printing ----

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        "What stands between the brackets when the module is printed, before its children."
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indent(repr(child))}" for name, child in self._modules.items()]
        if not lines and not children:
            return f"{self._get_name()}()"
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({lines[0]})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"

    def __dir__(self) -> list[str]:
        return sorted(name for name in object.__dir__(self) if not name[0].isdigit())


def _indent(text: str) -> str:
    "`text` with every line but the first moved two spaces to the right."
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line if line.strip() else "" for line in rest)])
