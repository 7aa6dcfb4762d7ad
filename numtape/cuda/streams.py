"""Streams and events as users see them: `Stream`, `Event`, and the `with` block that works on a stream."""

from __future__ import annotations

from numtape.device import device as Device
from numtape.device import placed
from numtape.kernels.cuda import card


def index_of(op: str, where: int | str | Device | None) -> int | None:
    """The number of the card that an argument names, None for the current one."""
    if where is None:
        return None
    if isinstance(where, int) and not isinstance(where, bool) and where < 0:
        raise RuntimeError(f"{op}: expected the number of a card, got {where}")
    found = placed(where)
    if found.type != "cuda":
        raise ValueError(f"{op}: Expected a cuda device, but got: {found}")
    return found.index


def card_of(op: str, where: int | str | Device | None = None) -> card.Card:
    """The card that an argument names."""
    return card.card(index_of(op, where))


class Stream:
    """A queue of work on a card: what is in one stream runs in order, what is in two may run at once.

    Memory belongs to the stream that was current when it was taken; where another stream uses it, the streams must wait for each
    other (`wait_stream`), and the tensor be told (`record_stream`). `priority` -1 goes before 0.

    >>> import numtape as nt
    >>> s = nt.cuda.Stream()
    >>> s.wait_stream(nt.cuda.current_stream())
    >>> with nt.cuda.stream(s):
    ...     nt.cuda.current_stream() == s
    True
    >>> s.synchronize()
    """

    __slots__ = ("__weakref__", "_borrowed", "_stream")

    def __init__(self, device: int | str | Device | None = None, priority: int = 0):
        if not isinstance(priority, int):
            raise TypeError(f"Stream: expected an int as priority, got {priority!r}")
        self._borrowed = True
        self._stream = card_of("Stream", device).stream(min(priority, 0))

    @classmethod
    def _of(cls, found: card.Stream) -> Stream:
        self = object.__new__(cls)
        self._stream, self._borrowed = found, False
        return self

    @property
    def device(self) -> Device:
        """The card that it is on."""
        return Device("cuda", self._stream.card.index)

    @property
    def cuda_stream(self) -> int:
        """The driver's handle, as an int."""
        return int(self._stream.handle)

    @property
    def priority(self) -> int:
        return self._stream.priority

    def synchronize(self) -> None:
        """Wait for all work in the stream; an index that a kernel found out of range is raised here."""
        self._stream.synchronize()

    def query(self) -> bool:
        """Whether all work in the stream is done."""
        return self._stream.query()

    def wait_event(self, event: Event) -> None:
        """Let work that comes later in this stream wait for an event."""
        self._stream.wait(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Let work that comes later in this stream wait for all that is in the other now."""
        self.wait_event(stream.record_event())

    def record_event(self, event: Event | None = None) -> Event:
        """Mark the present end of the queue by an event (a new one by default), and return it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self._stream is other._stream

    def __hash__(self) -> int:
        return hash(self._stream)

    def __repr__(self) -> str:
        return f"<numtape.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"

    def __del__(self) -> None:
        found = getattr(self, "_stream", None)
        if found is not None and self._borrowed:  # kept for the next one: its free memory is worth keeping
            found.card.spare_streams.setdefault(found.priority, []).append(found)


class Event:
    """A mark in a stream's queue: for waiting, and, with `enable_timing`, for measuring.

    >>> import numtape as nt
    >>> start, end = nt.cuda.Event(enable_timing=True), nt.cuda.Event(enable_timing=True)
    >>> start.record()
    >>> end.record()
    >>> end.synchronize()
    >>> start.elapsed_time(end) >= 0
    True
    """

    __slots__ = ("_event",)

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        if interprocess:
            raise RuntimeError("Event: events between processes are not supported; use interprocess=False")
        self._event = card.Event(enable_timing, blocking)

    def record(self, stream: Stream | None = None) -> None:
        """Mark the present end of a stream's queue, by default the current stream's."""
        self._event.record(card.current() if stream is None else stream._stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let work that comes later in a stream, by default the current one, wait for the event."""
        (card.current() if stream is None else stream._stream).wait(self._event)

    def query(self) -> bool:
        """Whether the work before it is done."""
        return self._event.query()

    def synchronize(self) -> None:
        """Wait for the work before it."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to the other; both have passed."""
        return self._event.elapsed_time(end_event._event)

    def __repr__(self) -> str:
        return f"<numtape.cuda.Event{'' if self._event.handle is None else f' {int(self._event.handle):#x}'}>"


class StreamContext:
    """A `with` block that works on a stream, and on its card; None changes nothing."""

    def __init__(self, stream: Stream | None):
        self.stream = stream

    def __enter__(self) -> None:
        self._block = None if self.stream is None else card.on(self.stream._stream)
        if self._block is not None:
            self._block.__enter__()

    def __exit__(self, *exc_info: object) -> None:
        if self._block is not None:
            self._block.__exit__(None, None, None)


def stream(stream: Stream | None) -> StreamContext:
    """``with stream(s):`` works on the stream `s`."""
    return StreamContext(stream)


def set_stream(stream: Stream | None) -> None:
    """Make a stream, and its card, the thread's current ones."""
    if stream is not None:
        card.use(stream._stream)


def current_stream(device: int | str | Device | None = None) -> Stream:
    """The thread's current stream on a card."""
    return Stream._of(card.stream_on(card_of("current_stream", device)))


def default_stream(device: int | str | Device | None = None) -> Stream:
    """The stream that all threads work on until they choose another."""
    return Stream._of(card_of("default_stream", device).default)
