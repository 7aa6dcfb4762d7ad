"""Walking the tree of modules: its parameters, buffers and children, and doing something to all of them.

`Traversal` is the part of Module that only reads the three dictionaries of names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numtape as nt

if TYPE_CHECKING:
    from typing import Self

    from numtape.nn.module import Module
    from numtape.nn.parameter import Parameter


class Traversal:
    "The part of Module that walks the tree below it."

    training: bool
    _parameter_names: dict[str, None]
    _buffer_names: dict[str, bool]  # whether it is persistent
    _module_names: dict[str, None]

    # ---- read-only views, under PyTorch's names ----

    @property
    def _parameters(self) -> Mapping[str, Parameter | None]:
        held = self.__dict__
        return MappingProxyType({name: held[name] for name in self._parameter_names})

    @property
    def _buffers(self) -> Mapping[str, Any]:
        held = self.__dict__
        return MappingProxyType({name: held[name] for name in self._buffer_names})

    @property
    def _modules(self) -> Mapping[str, Module | None]:
        held = self.__dict__
        return MappingProxyType({name: held[name] for name in self._module_names})

    # ---- parameters and buffers ----

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Pairs (name, parameter), own ones first. A parameter under two names comes once unless `remove_duplicate` is False.

        >>> [name for name, _ in nt.nn.Sequential(nt.nn.Linear(2, 3)).named_parameters()]
        ['0.weight', '0.bias']
        """
        return self._named("_parameter_names", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once: what an optimizer takes.

        >>> [tuple(p.shape) for p in nt.nn.Linear(2, 3).parameters()]
        [(3, 2), (3,)]
        """
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        "Pairs (name, buffer), own ones first."
        return self._named("_buffer_names", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        "The buffers, each once."
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        for path, module in modules:
            held = module.__dict__
            for name in held[kind]:
                tensor = held[name]
                if tensor is None or id(tensor) in seen:
                    continue
                if once:
                    seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    # ---- modules ----

    def named_children(self) -> Iterator[tuple[str, Module]]:
        "Pairs (name, module) of the direct children, each once."
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The direct children, each once.

        >>> list(nt.nn.Sequential(nt.nn.ReLU(), nt.nn.Tanh()).children())
        [ReLU(), Tanh()]
        """
        return (child for _, child in self.named_children())

    def named_modules(self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Pairs (path, module) of the module itself, under the path `prefix`, and of all modules below it.

        >>> [path for path, _ in nt.nn.Sequential(nt.nn.Sequential(nt.nn.ReLU())).named_modules()]
        ['', '0', '0.0']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self  # type: ignore[misc]
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        "The module itself and all modules below it, each once."
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module at the path `target`, such as "encoder.0"; "" is the module itself.

        Raises AttributeError where there is none.

        >>> nt.nn.Sequential(nt.nn.Sequential(nt.nn.ReLU())).get_submodule("0.0")
        ReLU()
        """
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            if name not in module._module_names:
                raise AttributeError(f"`{name}` is not an nn.Module")
            module = getattr(module, name)
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the path `target`, such as "0.weight". Raises AttributeError where there is none.

        >>> nt.nn.Sequential(nt.nn.Linear(2, 3)).get_parameter("0.weight").shape
        numtape.Size([3, 2])
        """
        return self._get_tensor(target, "_parameter_names", "an nn.Parameter")

    def get_buffer(self, target: str) -> Any:
        "The buffer at the path `target`. Raises AttributeError where there is none."
        return self._get_tensor(target, "_buffer_names", "a buffer")

    def _get_tensor(self, target: str, kind: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        if name not in module.__dict__[kind]:
            raise AttributeError(f"`{name}` is not {what}")
        return getattr(module, name)

    # ---- doing something to all of them ----

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module of the tree, children before parents; returns the module.

        >>> def zero(module):
        ...     if isinstance(module, nt.nn.Linear):
        ...         nt.nn.init.zeros_(module.weight)
        >>> nt.nn.Sequential(nt.nn.Linear(2, 1)).apply(zero)[0].weight
        Parameter containing:
        tensor([[0., 0.]], requires_grad=True)
        """
        for child in self.children():
            child.apply(fn)
        fn(self)  # type: ignore[arg-type]
        return self

    def train(self, mode: bool = True) -> Self:
        """Put the tree into training mode (`mode=True`) or evaluation mode: Dropout and its like look at `self.training`.

        Raises ValueError where `mode` is not a bool.

        >>> nt.nn.Dropout(0.5).train(False).training
        False
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        "Put the tree into evaluation mode: `train(False)`."
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say for every parameter whether gradients are recorded; returns the module.

        >>> any(p.requires_grad for p in nt.nn.Linear(2, 3).requires_grad_(False).parameters())
        False
        """
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        "Forget every parameter's gradient, or fill it with zeros where `set_to_none` is False."
        for param in self.parameters():
            grad = param.grad
            if grad is None:
                continue
            if set_to_none:
                param.grad = None
                continue
            zeros = grad.detach().zero_()
            if grad.requires_grad:
                param.grad = zeros

    def _apply(self, fn: Callable[[Any], Any]) -> Self:
        "Replace the data of every parameter, its gradient and every buffer by `fn` of it. The Parameter objects stay the same."
        for child in self.children():
            child._apply(fn)
        held = self.__dict__
        with nt.no_grad():
            for name in self._parameter_names:
                param = held[name]
                if param is None:
                    continue
                data, grad = fn(param.data), param.grad
                new_grad = None if grad is None else fn(grad)
                if data is not param:
                    param.data = data
                if new_grad is not grad:
                    param.grad = new_grad
            for name in self._buffer_names:
                if held[name] is not None:
                    held[name] = fn(held[name])
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device and/or convert to a floating dtype, in place: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`.

        Tensors of integer dtype are moved but keep their dtype. Raises TypeError where the dtype is not a floating one.

        >>> nt.nn.Linear(2, 3).to(nt.float64).weight.dtype == nt.float64
        True
        """
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        kwargs.pop("non_blocking", None)
        if kwargs:
            raise TypeError(f"Module.to: got an unexpected argument {next(iter(kwargs))!r}; expected device, dtype or non_blocking")
        for arg in args:
            if isinstance(arg, nt.Tensor):
                device, dtype = arg.device, arg.dtype
            elif isinstance(arg, nt.dtype):
                dtype = arg
            elif not isinstance(arg, bool):  # a bool is non_blocking
                device = arg
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")

        def convert(tensor: Any) -> Any:
            wanted = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            if device is None:
                return tensor if wanted is None else tensor.to(wanted)
            return tensor.to(device) if wanted is None else tensor.to(device, wanted)

        return self._apply(convert)

    def float(self) -> Self:
        "Convert every floating tensor to float32."
        return self.to(nt.float32)

    def double(self) -> Self:
        "Convert every floating tensor to float64."
        return self.to(nt.float64)

    def half(self) -> Self:
        "Convert every floating tensor to float16."
        return self.to(nt.float16)

    def type(self, dst_type: Any) -> Self:
        "Convert every parameter and buffer, integer ones too, to the dtype `dst_type`."
        return self._apply(lambda tensor: tensor.to(dst_type))

    def cpu(self) -> Self:
        "Move every parameter and buffer to the CPU."
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        "Move every parameter and buffer to a CUDA device, by default the first one."
        if device is None:
            device = "cuda"
        return self.to(f"cuda:{device}" if isinstance(device, int) else device)
