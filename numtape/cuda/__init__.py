"""CUDA cards: which there are, the current one, streams and events, memory. The names are those of `torch.cuda`.

Nothing here is needed to compute on a card: ``nt.ones(3, device="cuda")`` is enough. CUDA starts when it is first used; importing
this module starts nothing. It needs an NVIDIA driver for CUDA 13 and ``pip install "numtape[cuda]"``. With NUMTAPE_CUDA=emulate in
the environment a slow card in plain Python takes the place of a real one; NUMTAPE_CUDA=off hides all cards.

>>> import numtape as nt
>>> if nt.cuda.is_available():
...     with nt.cuda.stream(nt.cuda.Stream()):
...         nt.cuda.synchronize()
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from numtape import random
from numtape.cuda.streams import Event, Stream, StreamContext, card_of, current_stream, default_stream, index_of, set_stream, stream
from numtape.device import device as Device
from numtape.device import find_current_card
from numtape.kernels.cuda import card
from numtape.kernels.cuda.api import OutOfMemoryError

__all__ = [
    "DeviceProperties",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "is_available",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "seed",
    "set_device",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
]

find_current_card(lambda: card.current().card.index if card.initialised() else 0)


# ------------------------------------------------------------------------------------------------ which cards
def is_available() -> bool:
    """Whether there is a card that can be used. It raises nothing; `init` says what is missing."""
    return device_count() > 0


def device_count() -> int:
    """The number of cards, 0 where CUDA cannot be used."""
    return card.count()


def init() -> None:
    """Start CUDA, which its first use does by itself; a RuntimeError says why there is none and what to do about it."""
    card.current()


def is_initialized() -> bool:
    """Whether this process has used CUDA yet."""
    return card.initialised()


def current_device() -> int:
    """The number of the thread's current card."""
    return card.current().card.index


def set_device(device: int | str | Device) -> None:
    """Make a card the thread's current one, with the stream that the thread used last there."""
    card.use(card.stream_on(card_of("set_device", device)))


class device:
    """A `with` block in which a card is the current one (None or a negative number: no change).

    >>> import numtape as nt
    >>> with nt.cuda.device(0):
    ...     nt.cuda.current_device()
    0
    """

    def __init__(self, device: int | str | Device | None):
        self.idx = -1 if device is None or isinstance(device, int) and device < 0 else index_of("device", device)

    def __enter__(self) -> device:
        self._block = None if self.idx < 0 else card.on(card.stream_on(card.card(self.idx)))
        if self._block is not None:
            self._block.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._block is not None:
            self._block.__exit__(None, None, None)


@dataclasses.dataclass(frozen=True)
class DeviceProperties:
    """What a card is; sizes in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_block: int
    max_threads_per_multi_processor: int
    shared_memory_per_block: int
    shared_memory_per_block_optin: int
    shared_memory_per_multiprocessor: int
    L2_cache_size: int


def get_device_properties(device: int | str | Device | None = None) -> DeviceProperties:
    """What a card is: name, compute capability, memory, sizes.

    >>> import numtape as nt
    >>> nt.cuda.get_device_properties(0).warp_size
    32
    """
    found = card_of("get_device_properties", device)
    names = [f.name for f in dataclasses.fields(DeviceProperties) if f.name not in ("name", "total_memory")]
    return DeviceProperties(name=found.name(), total_memory=found.total_memory(), **{n: found.attribute(n) for n in names})


def get_device_name(device: int | str | Device | None = None) -> str:
    """The name of a card."""
    return card_of("get_device_name", device).name()


def get_device_capability(device: int | str | Device | None = None) -> tuple[int, int]:
    """The compute capability of a card, as (major, minor)."""
    return card_of("get_device_capability", device).capability


def synchronize(device: int | str | Device | None = None) -> None:
    """Wait for all work on a card. An index that a kernel found out of range is raised here as an IndexError."""
    card_of("synchronize", device).synchronize()


# ------------------------------------------------------------------------------------------------ memory
def memory_stats(device: int | str | Device | None = None) -> dict[str, int]:
    """Counts of the caching allocator of a card, by PyTorch's names: bytes in use and reserved now and at the peak, segments, retries."""
    return card_of("memory_stats", device).pool.stats() if card.initialised() else {}


def memory_allocated(device: int | str | Device | None = None) -> int:
    """Bytes of a card that tensors of this process hold (as blocks: a tensor's size rounded up).

    >>> import numtape as nt
    >>> before = nt.cuda.memory_allocated()
    >>> x = nt.empty(1024, device="cuda")
    >>> nt.cuda.memory_allocated() - before
    4096
    """
    return card_of("memory_allocated", device).pool.live if card.initialised() else 0


def memory_reserved(device: int | str | Device | None = None) -> int:
    """Bytes that this process has taken from the driver: what tensors hold, and what is kept for reuse."""
    return card_of("memory_reserved", device).pool.reserved if card.initialised() else 0


def max_memory_allocated(device: int | str | Device | None = None) -> int:
    """The most bytes that tensors held at a time, since the start or `reset_peak_memory_stats`."""
    return card_of("max_memory_allocated", device).pool.peak if card.initialised() else 0


def max_memory_reserved(device: int | str | Device | None = None) -> int:
    """The most bytes that were reserved at a time, since the start or `reset_peak_memory_stats`."""
    return card_of("max_memory_reserved", device).pool.peak_reserved if card.initialised() else 0


def reset_peak_memory_stats(device: int | str | Device | None = None) -> None:
    """Count the peaks anew from what is in use now."""
    if card.initialised():
        card_of("reset_peak_memory_stats", device).pool.reset_peak()


def empty_cache() -> None:
    """Wait for the cards in use, and give memory that no tensor holds back to the driver."""
    for found in card.in_use():
        found.pool.empty_cache()


def mem_get_info(device: int | str | Device | None = None) -> tuple[int, int]:
    """Free and total bytes of a card, by the driver: what other processes hold is not free."""
    return card_of("mem_get_info", device).call("cuMemGetInfo")


# ------------------------------------------------------------------------------------------------ random numbers
def manual_seed(seed: int) -> None:
    """Set the seed of the current card's random numbers; `numtape.manual_seed` sets those of every device."""
    random.generator_of(Device("cuda", current_device() if is_initialized() else 0)).manual_seed(seed)


def _generator(device: int | str | Device | None) -> random.Generator:
    index = index_of("generator", device) if device is not None else current_device() if is_initialized() else 0
    return random.generator_of(Device("cuda", index))


def get_rng_state(device: int | str | Device | None = "cuda") -> Any:
    """The state of a card's random numbers, a tensor on the CPU."""
    return _generator(device).get_state()


def set_rng_state(new_state: Any, device: int | str | Device | None = "cuda") -> None:
    """Restore what `get_rng_state` gave."""
    _generator(device).set_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The states of all cards."""
    return [get_rng_state(i) for i in range(device_count())]


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Restore the states of all cards."""
    for i, state in enumerate(new_states):
        set_rng_state(state, i)


def initial_seed() -> int:
    """The seed of the current card's random numbers."""
    return _generator(None).initial_seed()


def seed() -> None:
    """Give the current card a seed from the system's entropy."""
    _generator(None).seed()


def manual_seed_all(seed: int) -> None:
    """Set the seed of the random numbers of every card.

    >>> import numtape as nt
    >>> nt.cuda.manual_seed_all(0)
    """
    for index in range(device_count()):
        random.generator_of(Device("cuda", index)).manual_seed(seed)
