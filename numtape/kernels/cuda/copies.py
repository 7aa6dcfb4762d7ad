"""Copies between host and card, and on the card, all in the order of the thread's current stream.

To the card: the bytes go into pinned memory at once, so the source may change when the call returns, and from there to the card
while Python runs on. To the host: the call waits, and raises what kernels found wrong until then.
"""

from __future__ import annotations

import collections
import ctypes
import threading

RING = 16 << 20  # bytes of pinned memory for a card
PIECE = RING // 4  # a longer copy is cut
PART = RING // 16  # copies of so many bytes have an event behind them
PORTABLE = 1


class Staging:
    """A ring of pinned memory; a part of it is used again when the copies from it are done, which an event behind them tells."""

    def __init__(self, card):
        self.card, self.lock, self.address = card, threading.RLock(), None
        self.tail = self.fenced = self.head = 0  # byte counts since the start: the ring holds [tail, head), [fenced, head) has no event
        self.busy: collections.deque = collections.deque()  # (end of a part, event)
        self.stream = None  # where the copies without an event are queued

    def copy(self, address: int, host_address: int, nbytes: int, stream) -> None:
        """Queue a copy from the host's memory to the card's; the host's memory is read before this returns."""
        with self.lock:
            if self.address is None:
                self.address = int(self.card.call("cuMemHostAlloc", RING, PORTABLE))
            for start in range(0, nbytes, PIECE):
                self._piece(address + start, host_address + start, min(PIECE, nbytes - start), stream)

    def _piece(self, address, host_address, nbytes, stream):
        if self.stream is not stream:
            self._fence()
            self.stream = stream
        length = -(-nbytes // 64) * 64
        skipped = -self.head % RING if self.head % RING + length > RING else 0  # pieces do not wrap around
        end = self.head = self.head + skipped + length  # taken first: what is called below may come here again
        place = self.address + (end - length) % RING
        if self.tail < end - RING // 2:
            self._make_room(end)
        ctypes.memmove(place, host_address, nbytes)
        self.card.call("cuMemcpyHtoDAsync", address, place, nbytes, stream.handle)
        if end - self.fenced >= PART:
            self._fence()

    def _fence(self):
        """An event behind the copies that have none."""
        if self.fenced < self.head:
            event, end = self.card.take_event(), self.head
            self.card.call("cuEventRecord", event, self.stream.handle)
            self.busy.append((end, event))
            self.fenced = end

    def _make_room(self, end):
        """Wait until everything before `end` - RING has been copied."""
        while self.busy:
            last, event = self.busy[0]
            if self.tail < end - RING:
                self.card.call("cuEventSynchronize", event)
            elif not self.card.passed(event):
                break
            self.tail = max(self.tail, last)
            self.busy.popleft()
            self.card.spare_events.append(event)


def from_host(stream, address: int, host_address: int, nbytes: int) -> None:
    """Copy `nbytes` to the card's `address`; the host's memory may change or go away as soon as this returns."""
    if nbytes:
        stream.card.staging.copy(address, host_address, nbytes, stream)


def to_host(stream, host_address: int, address: int, nbytes: int) -> None:
    """Copy `nbytes` from the card's `address`, and wait for them."""
    if nbytes:
        stream.card.call("cuMemcpyDtoHAsync", host_address, address, nbytes, stream.handle)
    stream.synchronize()


def on_card(stream, address: int, source: int, nbytes: int) -> None:
    """Copy within the card; the ranges do not overlap."""
    if nbytes:
        stream.card.call("cuMemcpyDtoDAsync", address, source, nbytes, stream.handle)


def between(stream, address: int, source_stream, source: int, nbytes: int) -> None:
    """Copy to `stream`'s card from another's: after what the source's stream holds now, and before what comes to it later."""
    ready, done = source_stream.card.take_event(), stream.card.take_event()
    source_stream.card.call("cuEventRecord", ready, source_stream.handle)
    stream.card.call("cuStreamWaitEvent", stream.handle, ready, 0)
    if nbytes:
        stream.card.call("cuMemcpyPeerAsync", address, stream.card.context, source, source_stream.card.context, nbytes, stream.handle)
    stream.card.call("cuEventRecord", done, stream.handle)
    source_stream.card.call("cuStreamWaitEvent", source_stream.handle, done, 0)
    source_stream.card.spare_events.append(ready)
    stream.card.spare_events.append(done)


def fill(stream, address: int, value: int, nbytes: int) -> None:
    """Set `nbytes` bytes to `value`."""
    if nbytes:
        stream.card.call("cuMemsetD8Async", address, value, nbytes, stream.handle)
