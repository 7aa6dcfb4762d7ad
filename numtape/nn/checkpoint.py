"""Saving and restoring a module: `state_dict` and `load_state_dict`, with PyTorch's keys and error texts.

`Checkpoint` is the part of Module that turns a tree into a flat dictionary and back.
"""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from typing import Any

import numtape as nt
from numtape.nn.parameter import Parameter
from numtape.nn.traversal import Traversal

_EXTRA_STATE = "_extra_state"


class IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    "What `load_state_dict` returns: the keys it looked for in vain, and those it had no use for."

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class Checkpoint(Traversal):
    "The part of Module that saves and restores the tree below it."

    def get_extra_state(self) -> Any:
        "What a subclass wants saved besides its tensors; define it together with `set_extra_state`."
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        "Take back what `get_extra_state` returned."
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    def state_dict(self, *, destination: dict | None = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """An ordered dictionary from path to tensor: parameters, then persistent buffers, then the children's.

        The tensors share storage with the module; they are detached unless `keep_vars`.

        >>> list(nt.nn.Sequential(nt.nn.Linear(2, 3), nt.nn.ReLU(), nt.nn.Linear(3, 1)).state_dict())
        ['0.weight', '0.bias', '2.weight', '2.bias']
        """
        if destination is None:
            destination = OrderedDict()
        for name, tensor in self._saved().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Checkpoint.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return destination

    def _saved(self) -> dict[str, Any]:
        "The module's own tensors that belong into a state dict, by name."
        names = [*self._parameter_names, *(name for name, persistent in self._buffer_names.items() if persistent)]
        held = self.__dict__
        return {name: held[name] for name in names if held[name] is not None}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copy the tensors of a state dict into the parameters and buffers; with `assign`, put them in place of the old ones.

        Returns a named tuple of the missing and the unexpected keys. Raises RuntimeError, naming every key concerned, where a
        shape does not fit and, if `strict`, where a key is missing or unexpected; TypeError where `state_dict` is no mapping.

        >>> a, b = nt.nn.Linear(2, 3), nt.nn.Linear(2, 3)
        >>> b.load_state_dict(a.state_dict())
        <All keys matched successfully>
        >>> bool((a.weight == b.weight).all())
        True
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing: list[str] = []
        errors: list[str] = []
        used: set[str] = set()
        with nt.no_grad():
            self._load(state_dict, "", assign, used, missing, errors)
        unexpected = [key for key in state_dict if key not in used]
        if strict and unexpected:
            errors.insert(0, "Unexpected key(s) in state_dict: {}. ".format(", ".join(f'"{key}"' for key in unexpected)))
        if strict and missing:
            errors.insert(0, "Missing key(s) in state_dict: {}. ".format(", ".join(f'"{key}"' for key in missing)))
        if errors:
            raise RuntimeError("Error(s) in loading state_dict for {}:\n\t{}".format(type(self).__name__, "\n\t".join(errors)))
        return IncompatibleKeys(missing, unexpected)

    def _load(self, state: Mapping, prefix: str, assign: bool, used: set[str], missing: list[str], errors: list[str]) -> None:
        for name, target in self._saved().items():
            key = prefix + name
            if key not in state:
                missing.append(key)
                continue
            used.add(key)
            source = state[key]
            if not isinstance(source, nt.Tensor):
                errors.append(
                    f'While copying the parameter named "{key}", expected a Tensor from checkpoint but received {type(source)}; '
                    "make one with nt.as_tensor"
                )
            elif source.shape != target.shape:
                errors.append(
                    f"size mismatch for {key}: copying a param with shape {source.shape} from checkpoint, "
                    f"the shape in current model is {target.shape}."
                )
            elif not assign:
                target.copy_(source)
            else:
                if isinstance(target, Parameter) and not isinstance(source, Parameter):
                    source = Parameter(source, requires_grad=target.requires_grad)
                elif isinstance(target, Parameter):
                    source.requires_grad_(target.requires_grad)
                setattr(self, name, source)
        if type(self).set_extra_state is not Checkpoint.set_extra_state:
            if prefix + _EXTRA_STATE in state:
                used.add(prefix + _EXTRA_STATE)
                self.set_extra_state(state[prefix + _EXTRA_STATE])
            else:
                missing.append(prefix + _EXTRA_STATE)
        for name, child in self._modules.items():
            if child is not None:
                child._load(state, f"{prefix}{name}.", assign, used, missing, errors)
