"""Where tensors live: names of devices. Nothing here touches a device, and nothing of CUDA is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

EXPECTED = "expected 'cpu', 'cuda' or 'cuda:0', 'cuda:1', ..."


class device:
    """A device: `device("cpu")`, `device("cuda:1")`, `device("cuda", 1)`; a number alone is that of a CUDA card.

    `type` is "cpu" or "cuda"; `index` is None where none was given, which means the current card. Whether there is such a card shows
    when a tensor is put there. As in PyTorch, `device("cuda")` and `device("cuda:0")` are not equal.

    >>> import numtape as nt
    >>> nt.device("cpu")
    device(type='cpu')
    >>> nt.device(1)
    device(type='cuda', index=1)
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None
    _known: dict[tuple[str, int | None], device] = {}

    def __new__(cls, type: str | int | device = "cpu", index: int | None = None) -> device:
        if isinstance(type, device):
            if index is not None:
                raise TypeError(f"device: an index cannot be added to {type!r}; use device({type.type!r}, {index!r})")
            return type
        given = type if index is None else (type, index)
        if isinstance(type, int) and not isinstance(type, bool) and index is None:
            index, type = type, "cuda"
        elif not isinstance(type, str):
            raise TypeError(f"device: expected a string such as 'cpu' or 'cuda:0', or the number of a card, got {given!r}")
        name, colon, number = type.partition(":")
        if colon:
            if index is not None or not (number.isascii() and number.isdigit()) or number != str(int(number)):
                raise RuntimeError(f"device: Invalid device string: {given!r}; {EXPECTED}")
            index = int(number)
        if name not in ("cpu", "cuda"):
            raise RuntimeError(f"device: {EXPECTED}; got {given!r}")
        if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
            raise TypeError(f"device: expected an int as index, got {index!r}")
        if index is not None and index < 0:
            raise RuntimeError(f"device: the index of a card is not negative, got {given!r}")
        self = cls._known.get((name, index))
        if self is None:
            self = object.__new__(cls)
            self.type, self.index = name, index
            self = cls._known.setdefault((name, index), self)
        return self

    def __enter__(self) -> device:
        """Make new tensors on this device, where none is given, until the end of the with block."""
        _before.append(_default)
        set_default_device(self)
        return self

    def __exit__(self, *_: object) -> None:
        set_default_device(_before.pop())

    def __repr__(self) -> str:
        return f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


cpu = device("cpu")

_current_card: Callable[[], int] = lambda: 0


def find_current_card(function: Callable[[], int]) -> None:
    """Set what gives the number of the thread's current card; until then it is 0, for nobody can have chosen another."""
    global _current_card
    _current_card = function


def placed(where: str | int | device) -> device:
    """The device that a tensor asked for on `where` is on: "cuda" means the current card, and there is one "cpu".

    >>> placed("cuda")
    device(type='cuda', index=0)
    """
    found = device(where)
    if found.type == "cpu":
        return cpu
    return found if found.index is not None else device("cuda", _current_card())


# ------------------------------------------------------------------------------------------------ the default
_default: device | None = None
_before: list[device | None] = []  # the defaults outside the with blocks that are open


def set_default_device(device: str | int | device | None) -> None:
    """Set the device of new tensors for which none is given; None: the CPU. Functions that are given a tensor stay on its device.

    >>> import numtape as nt
    >>> nt.set_default_device("cpu")
    >>> nt.get_default_device()
    device(type='cpu')
    """
    global _default
    _default = None if device is None else _Device(device)


def get_default_device() -> device:
    """The device of new tensors for which none is given: the CPU unless set otherwise."""
    return cpu if _default is None else placed(_default)


def wanted(where: str | int | device | None) -> device:
    """The device that a new tensor is made on."""
    if where is not None:
        return placed(where)
    return cpu if _default is None else placed(_default)


_Device = device
