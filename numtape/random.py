"""Seeds and generators: where the random numbers of a draw come from."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from numtape.device import device as Device


class Generator:
    """A stream of random numbers: a seed, and an offset that each draw moves on.

    >>> import numtape as nt
    >>> g = nt.Generator().manual_seed(1)
    >>> bool((nt.rand(3, generator=g) == nt.rand(3, generator=nt.Generator().manual_seed(1))).all())
    True
    """

    def __init__(self, device: str | Device = "cpu"):
        self._seed, self._offset = 67280421310721, 0
        self.device = Device(device)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of this seed (any int of 64 bits)."""
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise RuntimeError(f"manual_seed: expected a value within 64 bits, got {seed}")
        self._seed, self._offset = (seed + 2**63) % 2**64 - 2**63, 0
        return self

    def seed(self) -> int:
        """Start a stream of a seed from the system's entropy, and return it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_state(self) -> Any:
        """The seed and the offset, as an int64 tensor."""
        from numtape import int64, tensor

        return tensor([self._seed, self._offset], dtype=int64)  # type: ignore[operator]  # the function, not the module

    def set_state(self, state: Any) -> Generator:
        """Go on from what `get_state` returned."""
        words = state.tolist()
        if not isinstance(words, list) or len(words) != 2:
            raise RuntimeError(f"set_state: expected what get_state returned, an int64 tensor of 2 elements, got shape {tuple(state.shape)}")
        self._seed, self._offset = (int(v) for v in words)
        return self

    def draw(self) -> tuple[int, int]:
        """The seed and the offset of one draw; the next has another offset."""
        self._offset += 1
        return self._seed, self._offset


default_generator = Generator()
_generators: dict[Device, Generator] = {}  # of each GPU, made when first drawn from


def generator_of(where: Device, generator: Generator | None = None, op: str = "random") -> Generator:
    """The generator that a draw for a device takes: the one given, which must be of that kind of device, or the device's own."""
    if generator is not None:
        if generator.device.type != where.type:
            raise RuntimeError(f"{op}: Expected a '{where.type}' device type for generator but found '{generator.device.type}'")
        return generator
    if where.type == "cpu":
        return default_generator
    found = _generators.get(where)
    if found is None:
        found = _generators[where] = Generator(where).manual_seed(default_generator.initial_seed())
    return found


def manual_seed(seed: int) -> Generator:
    """Set the seed of all random numbers that are drawn without a generator of their own, on every device.

    The same seed gives the same numbers on the CPU and on a GPU.

    >>> import numtape as nt
    >>> _ = nt.manual_seed(0)
    """
    for generator in _generators.values():
        generator.manual_seed(seed)
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Set a seed from the system's entropy and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The state of the default generator."""
    return default_generator.get_state()


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """Put the states of the random generators back at the end of a `with` block: of the CPU, and of the GPUs (or of `devices`).

    >>> import numtape as nt
    >>> with nt.random.fork_rng():
    ...     _ = nt.rand(3)
    """
    if not enabled:
        yield
        return
    cuda: Any = sys.modules.get("numtape.cuda")
    cards = [] if cuda is None or not cuda.is_available() else list(range(cuda.device_count()) if devices is None else devices)
    here, there = get_rng_state(), [cuda.get_rng_state(d) for d in cards]
    try:
        yield
    finally:
        set_rng_state(here)
        for d, state in zip(cards, there):
            cuda.set_rng_state(state, d)


def set_rng_state(state: Any) -> None:
    """Restore the state of the default generator."""
    default_generator.set_state(state)
