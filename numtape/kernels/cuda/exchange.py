"""Memory shared with other libraries on a card: their streams wait for ours, and ours for theirs.

Streams come as the CUDA array interface and DLPack give them: a handle as an int, where 1 is the legacy default stream and 2 the
thread's own default stream.
"""

from __future__ import annotations

from numtape.kernels.cuda.card import card as card_of
from numtape.kernels.cuda.card import stream_on


def stream_handle(index: int) -> int:
    """The handle of the thread's stream on a card, for a consumer to wait on."""
    return int(stream_on(card_of(index)).handle)


def they_wait(index: int, handle: int) -> None:
    """Let the stream `handle` wait for what our stream on this card holds now."""
    stream = stream_on(card_of(index))
    _follow(stream.card, stream.handle, handle)


def we_wait(index: int, handle: int) -> None:
    """Let our stream on this card wait for what the stream `handle` holds now."""
    stream = stream_on(card_of(index))
    _follow(stream.card, handle, stream.handle)


def _follow(card, first, second) -> None:
    """Let work that comes later in stream `second` wait for what is in stream `first`."""
    if int(first) == int(second):
        return
    event = card.take_event()
    card.call("cuEventRecord", event, first)
    card.call("cuStreamWaitEvent", second, event, 0)
    card.spare_events.append(event)
