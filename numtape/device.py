"""Where tensors live."""

from __future__ import annotations

from typing import Any


class device:
    """A device: `device("cpu")`. CUDA is declared and raises a clear error until it is built.

    >>> import numtape as nt
    >>> nt.device("cpu")
    device(type='cpu')
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None
    _known: dict[tuple[str, int | None], device] = {}

    def __new__(cls, type: str | device = "cpu", index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if not isinstance(type, str):
            raise TypeError(f"device: expected a string such as 'cpu', got {type!r}")
        name, _, number = type.partition(":")
        if number:
            if not number.isdigit() or index is not None:
                raise RuntimeError(f"device: invalid device string {type!r}; expected 'cpu'")
            index = int(number)
        if name == "cuda":
            raise RuntimeError("device: numtape has no CUDA kernels yet; use device='cpu'")
        if name != "cpu":
            raise RuntimeError(f"device: expected 'cpu', got {type!r}")
        self = cls._known.get((name, index))
        if self is None:
            self = object.__new__(cls)
            self.type, self.index = name, index
            cls._known[name, index] = self
        return self

    def __repr__(self) -> str:
        return f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type

    def __hash__(self) -> int:
        return hash(self.type)

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


cpu = device("cpu")
