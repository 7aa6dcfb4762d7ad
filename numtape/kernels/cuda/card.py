"""Cards: a context, a memory pool and streams for each; the card and the stream that a thread works on; events.

The context is the card's primary one, which other libraries of the process share. Work goes to a stream of ours that does not wait for
the default stream of others. `current()` gives the calling thread's stream and sees to it that the stream's context is the thread's.
"""

from __future__ import annotations

import contextlib
import os
import threading

from numtape.kernels.cuda import api as driver_api
from numtape.kernels.cuda.api import NOT_READY, OUT_OF_MEMORY, failure
from numtape.kernels.cuda.checks import Checks
from numtape.kernels.cuda.copies import Staging
from numtape.kernels.cuda.pool import SMALL, Pool, caching

LOST_CONTEXT = (201, 400)  # results where another library changed the context of the thread
NON_BLOCKING, UNTIMED, BLOCKING_WAIT = 1, 2, 1  # flags of streams and events
ATTRIBUTES = {  # of `Card.attribute`, as cuda.h numbers them
    "max_threads_per_block": 1,
    "shared_memory_per_block": 8,
    "warp_size": 10,
    "clock_rate": 13,
    "multi_processor_count": 16,
    "L2_cache_size": 38,
    "max_threads_per_multi_processor": 39,
    "major": 75,
    "minor": 76,
    "shared_memory_per_multiprocessor": 81,
    "shared_memory_per_block_optin": 97,
}
FORKED = "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method"

local = threading.local()  # `stream`: the thread's current stream; `streams`: the one it left on each card
_cards: list[Card] | None = None
_lock = threading.RLock()
_forked = False


def _after_fork():
    """A forked child has no right to its parent's cards: every use of CUDA says so."""
    global _forked
    _forked = _forked or driver_api.used()
    local.__dict__.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Stream:
    """A queue of work on a card, with the arenas that its memory comes from."""

    __slots__ = ("card", "handle", "large", "priority", "small")

    def __init__(self, card, priority=0):
        self.card, self.priority = card, priority
        self.handle = card.call("cuStreamCreateWithPriority", NON_BLOCKING, priority)
        self.small, self.large = card.pool.arena(self, True), card.pool.arena(self, False)

    def __repr__(self):
        return f"<stream {int(self.handle):#x} of cuda:{self.card.index}>"

    def allocate(self, nbytes: int):
        """A `pool.Block` of at least `nbytes`."""
        size = self.card.pool.rounded(nbytes)
        return (self.small if size <= SMALL else self.large).allocate(size)

    def synchronize(self) -> None:
        """Wait for all work in the stream; a bad index that one of its kernels met is raised here."""
        if not self.card.checks.pending:
            self.card.call("cuStreamSynchronize", self.handle)
            return
        with self.card.checks.after(self):
            self.card.call("cuStreamSynchronize", self.handle)

    def query(self) -> bool:
        """Whether all work in the stream is done."""
        return self.card.passed(self.handle, "cuStreamQuery")

    def wait(self, event: Event) -> None:
        """Let work that comes later in this stream wait for `event`."""
        if event.handle is not None:
            self.card.call("cuStreamWaitEvent", self.handle, event.handle, 0)


class Event:
    """A place in a stream's queue, once recorded; until then it is passed."""

    __slots__ = ("card", "flags", "handle")

    def __init__(self, timed=False, blocking=False):
        self.card, self.handle = None, None
        self.flags = (0 if timed else UNTIMED) | (BLOCKING_WAIT if blocking else 0)

    def record(self, stream: Stream) -> None:
        """Mark the present end of the stream's queue."""
        if self.handle is None:
            self.card, self.handle = stream.card, stream.card.take_event(self.flags)
        elif self.card is not stream.card:
            raise RuntimeError(f"Event.record: the event belongs to cuda:{self.card.index}, the stream to cuda:{stream.card.index}; use another event")
        self.card.call("cuEventRecord", self.handle, stream.handle)

    def query(self) -> bool:
        """Whether the work before it is done."""
        return self.handle is None or self.card.passed(self.handle)

    def synchronize(self) -> None:
        """Wait for the work before it."""
        if self.handle is not None:
            self.card.call("cuEventSynchronize", self.handle)

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds from this event to `end`."""
        if (self.flags | end.flags) & UNTIMED:
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self.handle is None or end.handle is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        if not (self.query() and end.query()):
            raise RuntimeError("Event.elapsed_time: one of the events is not over yet; synchronize first")
        return self.card.call("cuEventElapsedTime", self.handle, end.handle)

    def __del__(self):
        if self.handle is not None:  # handles are used again: a destructor may run where no driver may be called
            self.card.spare.setdefault(self.flags, []).append(self.handle)


class Card:
    """One card: its context, its pool of memory, and the default stream. Other streams are made by `stream`."""

    def __init__(self, api, index: int, cached: bool = True):
        self.api, self.index = api, index
        self.spare: dict[int, list] = {}  # event handles by flags
        self.spare_events = self.spare.setdefault(UNTIMED, [])
        self.spare_streams: dict[int, list[Stream]] = {}
        self.device = self._first("cuDeviceGet", index)
        self.context = self._first("cuDevicePrimaryCtxRetain", self.device)
        self.pool = Pool(self, cached)
        self.checks, self.staging = Checks(self), Staging(self)
        self.multiprocessors = self.attribute("multi_processor_count")
        self.capability = self.attribute("major"), self.attribute("minor")
        self.default = Stream(self)

    def __repr__(self):
        return f"<cuda:{self.index}>"

    def _first(self, name, argument):
        """As `call`, while there is no context yet."""
        code, value = getattr(self.api, name)(argument)
        if code:
            raise failure(self.api, name, code)
        return value

    def call(self, name: str, *arguments):
        """Call a driver function in the card's context: its value, its values as a tuple, or None; an error where it fails."""
        code, *values = self._ask(name, arguments)
        if code:
            raise failure(self.api, name, code)
        return values[0] if len(values) == 1 else tuple(values) or None

    def passed(self, handle, question="cuEventQuery") -> bool:
        """Whether an event (or, by another question, a stream) is done."""
        code = self._ask(question, (handle,))[0]
        if code and int(code) != NOT_READY:
            raise failure(self.api, question, code)
        return not code

    def _ask(self, name, arguments):
        if _forked:
            raise RuntimeError(FORKED)
        here = getattr(local, "stream", None)
        if here is None or here.card is not self:
            with self.bound():
                return getattr(self.api, name)(*arguments)
        result = getattr(self.api, name)(*arguments)
        if result[0] and (int(result[0]) in LOST_CONTEXT and self.rebind() or int(result[0]) == OUT_OF_MEMORY and self._flush()):
            result = getattr(self.api, name)(*arguments)
        return result

    def _flush(self):
        """Give back what the pool only keeps; whether that was anything. (A module, say, needs memory of the card too.)"""
        if self.pool.reserved == self.pool.live:
            return False
        self.pool.empty_cache()
        return True

    @contextlib.contextmanager
    def bound(self):
        """The card's context as the thread's, and then again what was."""
        before = getattr(local, "stream", None)
        self._bind()
        try:
            yield self
        finally:
            if before is not None and before.card is not self:
                before.card._bind()

    def _bind(self):
        if _forked:
            raise RuntimeError(FORKED)
        code = self.api.cuCtxSetCurrent(self.context)[0]
        if code:
            raise failure(self.api, "cuCtxSetCurrent", code)

    def rebind(self) -> bool:
        """Make the card's context the thread's again; False where it was: then that is not why a call failed."""
        code, found = self.api.cuCtxGetCurrent()
        if code or int(found or 0) == int(self.context):
            return False
        return not self.api.cuCtxSetCurrent(self.context)[0]

    def attribute(self, name: str) -> int:
        """One of ATTRIBUTES."""
        return self.call("cuDeviceGetAttribute", self.api.CUdevice_attribute(ATTRIBUTES[name]), self.device)

    def name(self) -> str:
        return self.call("cuDeviceGetName", 256, self.device).rstrip(b"\0").decode()

    def total_memory(self) -> int:
        """Bytes of memory that the card has."""
        return self.call("cuDeviceTotalMem", self.device)

    def stream(self, priority: int = 0) -> Stream:
        """A stream of this card that nobody else has now."""
        try:
            return self.spare_streams[priority].pop()
        except (KeyError, IndexError):
            return Stream(self, priority)

    def take_event(self, flags: int = UNTIMED):
        """The handle of an event that nobody else has now; give it back by appending it to `spare[flags]`."""
        try:
            return self.spare[flags].pop()
        except (KeyError, IndexError):
            return self.call("cuEventCreate", flags)

    def synchronize(self) -> None:
        """Wait for all work on the card; a bad index that a kernel met is raised here."""
        with self.checks.after(None):
            self.call("cuCtxSynchronize")


# ------------------------------------------------------------------------------------------------ of the process and of threads
def cards() -> list[Card | None]:
    """A place for each card of the machine; CUDA is initialised by the first call."""
    global _cards
    if _forked:
        raise RuntimeError(FORKED)
    if _cards is None:
        with _lock:
            if _cards is None:
                api = driver_api.api()
                code, count = api.cuDeviceGetCount()
                if code:
                    raise failure(api, "cuDeviceGetCount", code)
                _cards = [None] * count
    return _cards


def count() -> int:
    """How many cards there are, 0 where CUDA cannot be used; it raises nothing."""
    try:
        return len(cards())
    except RuntimeError:
        return 0


def in_use() -> list[Card]:
    """The cards that this process has used."""
    return [c for c in _cards or [] if c is not None]


def card(index: int | None = None) -> Card:
    """The card of that index (None: the thread's current one)."""
    if index is None:
        return current().card
    every = cards()
    if not 0 <= index < len(every):
        raise RuntimeError(f"CUDA error: invalid device ordinal: cuda:{index}, but there {'is 1 card' if len(every) == 1 else f'are {len(every)} cards'}")
    if every[index] is None:
        with _lock:
            if every[index] is None:
                every[index] = Card(driver_api.api(), index, caching())
    return every[index]


def current() -> Stream:
    """The thread's current stream; the first call in a thread makes it the default stream of card 0."""
    found = getattr(local, "stream", None)
    return use(card(0).default) if found is None else found


def use(stream: Stream) -> Stream:
    """Make a stream, and its card, the thread's current ones."""
    stream.card._bind()
    local.stream = stream
    try:
        local.streams[stream.card] = stream
    except AttributeError:
        local.streams = {stream.card: stream}
    return stream


def stream_on(card: Card) -> Stream:
    """The stream of a card that the thread used last, by default the card's own."""
    current()
    return local.streams.get(card, card.default)


@contextlib.contextmanager
def on(stream: Stream):
    """Work on a stream inside a `with` block; then on what was current before, also on that stream's card."""
    before, there = current(), stream_on(stream.card)
    use(stream)
    try:
        yield stream
    finally:
        use(there)
        use(before)


def initialised() -> bool:
    """Whether this process has begun to use CUDA."""
    return bool(in_use()) and not _forked
