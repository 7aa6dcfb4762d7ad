"""The caching allocator of one card: segments from the driver, cut into blocks that are reused in stream order.

A stream has two arenas, for requests of up to 1 MiB and for larger ones. Freed blocks go onto a list by their size and are handed out
again at once: work that still uses them is queued on the same stream, before the new owner's. When a size has no free block, one is
cut from a *run*, a longer stretch of free memory; then free neighbours are joined into runs; then the driver is asked. When it has
nothing left, the card is synchronised, segments that are free as a whole go back, and the driver is asked again.

A `Block` may die in any thread, in the middle of anything, also in this module: its destructor only appends to lists.
"""

from __future__ import annotations

import bisect
import functools
import os
import threading

from numtape.kernels.cuda.api import OUT_OF_MEMORY, OutOfMemoryError, failure

GRANULE = 512
SMALL = 1 << 20
SMALL_SEGMENT, LARGE_SEGMENT, BIG = 2 << 20, 20 << 20, 10 << 20
EXACT = 64 << 20  # from here on sizes are rounded up to 2 MiB instead of to an eighth of a power of two


@functools.lru_cache(4096)
def rounded(nbytes: int) -> int:
    """The size of the block for a request: multiples of 512 bytes, 8 steps to each power of two, 2 MiB from 64 MiB on."""
    if nbytes >= EXACT:
        step = SMALL_SEGMENT
    else:
        step = max(GRANULE, 1 << max(max(nbytes - 1, 0).bit_length() - 4, 0))
    return max(-(-nbytes // step), 1) * step


class Block:
    """Memory of a card that somebody uses; it returns to the pool when the object dies."""

    __slots__ = ("address", "home", "pool", "size", "streams")

    def __init__(self, address, size, home, pool):
        self.address, self.size, self.home, self.pool, self.streams = address, size, home, pool, None

    def record_stream(self, stream) -> None:
        """Promise that work on another stream uses this memory: after its death it is not reused before that work is done."""
        self.streams = {*(self.streams or ()), stream}

    def __del__(self):
        pool = self.pool
        pool.live -= self.size
        if self.streams is None:
            self.home.append(self.address)
        else:
            pool.dead.append((self.address, self.home, self.streams))


class Arena:
    """The free memory of one stream for small or for large requests."""

    __slots__ = ("blocks", "pool", "runs", "segments", "small", "stream")

    def __init__(self, pool, stream, small):
        self.pool, self.stream, self.small = pool, stream, small
        self.blocks: dict[int, list] = {}  # free blocks by size; a list stays for good, because living blocks return to it
        self.runs: list[tuple[int, int]] = []  # (size, address) of other free stretches, sorted
        self.segments: dict[int, int] = {}  # address: size

    def allocate(self, size: int) -> Block:
        """A block of `size` bytes, a size that `Pool.rounded` gave."""
        pool = self.pool
        try:
            home = self.blocks[size]
            address = home.pop()
        except (KeyError, IndexError):
            home, address = self.find(size)
        live = pool.live = pool.live + size
        if live > pool.peak:
            pool.peak = live
        return Block(address, size, home, pool)

    def find(self, size):
        """A place for a block where its list is empty: (list, address)."""
        with self.pool.lock, self.pool.card.bound():
            home = self.blocks.setdefault(size, [])
            self.pool.settle()
            if home:
                return home, home.pop()
            address = self._cut(size)
            if address is None and self.join():
                address = self._cut(size)
            if address is None:
                self._grow(size)
                address = self._cut(size)
            return home, address

    def _cut(self, size):
        """The front of the smallest run that is long enough, or None."""
        k = bisect.bisect_left(self.runs, (size, 0))
        if k == len(self.runs):
            return None
        length, address = self.runs.pop(k)
        if length > size:
            bisect.insort(self.runs, (length - size, address + size))
        return address

    def join(self) -> bool:
        """Make runs of all free blocks, neighbours joined; whether there were any blocks."""
        stretches = [(address, size) for size, address in self.runs]
        before = len(stretches)
        for size, home in list(self.blocks.items()):
            while True:
                try:
                    stretches.append((home.pop(), size))
                except IndexError:
                    break
        if len(stretches) == before:
            return False
        joined: list[list[int]] = []
        for address, size in sorted(stretches):
            if joined and sum(joined[-1]) == address and address not in self.segments:
                joined[-1][1] += size
            else:
                joined.append([address, size])
        self.runs = sorted((size, address) for address, size in joined)
        return True

    def _grow(self, size):
        """One more segment from the driver."""
        length = SMALL_SEGMENT if self.small else LARGE_SEGMENT if size < BIG else -(-size // SMALL_SEGMENT) * SMALL_SEGMENT
        address, length = self.pool.segment(length, size)
        self.segments[address] = length
        bisect.insort(self.runs, (length, address))

    def release(self) -> None:
        """Give the segments that are free as a whole back to the driver; nothing may be queued that uses them."""
        self.join()
        whole = [run for run in self.runs if self.segments.get(run[1]) == run[0]]
        for length, address in whole:
            self.runs.remove((length, address))
            del self.segments[address]
            self.pool.card.call("cuMemFree", address)
            self.pool.reserved -= length

    def free(self) -> int:
        """Bytes that are free."""
        return sum(size for size, _ in self.runs) + sum(size * len(home) for size, home in list(self.blocks.items()))


class Bare(Arena):
    """An arena without a cache: each block is an allocation of its own, exactly as large as asked for, freed in stream order.

    For finding stray accesses: with the emulator, or with ``compute-sanitizer`` on a card. The list that blocks return to is the list
    of what is to be freed.
    """

    __slots__ = ("dead",)

    def __init__(self, pool, stream, small):
        super().__init__(pool, stream, small)
        self.dead = []

    def find(self, size):
        with self.pool.lock, self.pool.card.bound():
            self.pool.settle()
            self.release()
            address, length = self.pool.segment(size, size, self.stream)
            self.segments[address] = length
            return self.dead, address

    def release(self):
        while self.dead:
            address = self.dead.pop()
            self.pool.card.call("cuMemFreeAsync", address, self.stream.handle)
            self.pool.reserved -= self.segments.pop(address)

    def free(self):
        return sum(self.segments[address] for address in list(self.dead))


class Pool:
    """The memory of a card: its arenas and what is counted. `cached` says whether blocks are kept for reuse."""

    def __init__(self, card, cached=True):
        self.card, self.cached, self.lock = card, cached, threading.RLock()
        self.arenas: list[Arena] = []
        self.live = self.peak = self.reserved = self.peak_reserved = self.segments_made = self.retries = 0
        self.dead: list = []  # blocks that other streams used, as their destructors left them
        self.waiting: list = []  # the same, with the events to wait for

    def arena(self, stream, small: bool) -> Arena:
        made = (Arena if self.cached else Bare)(self, stream, small)
        self.arenas.append(made)
        return made

    def rounded(self, nbytes: int) -> int:
        """The size of the block for a request."""
        return rounded(nbytes) if self.cached else max(nbytes, 1)

    def settle(self) -> None:
        """Return blocks whose work on other streams is done to their arenas; `lock` is held."""
        while self.dead:
            address, home, streams = self.dead.pop()
            events = [self.card.take_event() for _ in streams]
            for event, stream in zip(events, streams):
                self.card.call("cuEventRecord", event, stream.handle)
            self.waiting.append((events, address, home))
        waiting, self.waiting = self.waiting, []
        for events, address, home in waiting:
            if all(self.card.passed(e) for e in events):
                self.card.spare_events += events
                home.append(address)
            else:
                self.waiting.append((events, address, home))

    def segment(self, length: int, size: int, stream=None) -> tuple[int, int]:
        """Memory from the driver as (address, bytes), after giving back what is free if need be."""
        api, lengths = self.card.api, [length] if length == size else [length, max(-(-size // SMALL_SEGMENT) * SMALL_SEGMENT, SMALL_SEGMENT)]
        for attempt in range(2):
            for n in dict.fromkeys(lengths):
                code, address = api.cuMemAlloc(n) if stream is None else api.cuMemAllocAsync(n, stream.handle)
                if not code:
                    self.reserved += n
                    self.peak_reserved = max(self.peak_reserved, self.reserved)
                    self.segments_made += 1
                    return int(address), n
                if int(code) != OUT_OF_MEMORY:
                    raise failure(api, "cuMemAlloc", code)
            if attempt == 0:
                self.retries += 1
                self.empty_cache()
        free, total = self.card.call("cuMemGetInfo")
        raise OutOfMemoryError(
            f"CUDA out of memory: asked for {size:,} bytes on cuda:{self.card.index}; this process has {self.live:,} bytes in use and "
            f"{self.reserved - self.live:,} cached in fragments; {free:,} of the card's {total:,} bytes are free. Free tensors, or work in smaller batches"
        )

    def empty_cache(self) -> None:
        """Wait for the card, and give every segment that is free as a whole back to the driver."""
        with self.lock, self.card.bound():
            self.settle()
            self.card.call("cuCtxSynchronize")
            self.settle()  # what other streams used, too
            for arena in self.arenas:
                arena.release()
            self.card.call("cuCtxSynchronize")

    def reset_peak(self) -> None:
        self.peak, self.peak_reserved = self.live, self.reserved

    def stats(self) -> dict[str, int]:
        """What is in use, cached and reserved now, the peaks, and how often the driver was asked."""
        with self.lock:
            free = sum(arena.free() for arena in self.arenas)
            return {
                "allocated_bytes.all.current": self.live,
                "allocated_bytes.all.peak": self.peak,
                "reserved_bytes.all.current": self.reserved,
                "reserved_bytes.all.peak": self.peak_reserved,
                "free_bytes.all.current": free,
                "segment.all.current": sum(len(arena.segments) for arena in self.arenas),
                "segment.all.allocated": self.segments_made,
                "num_alloc_retries": self.retries,
            }


def caching() -> bool:
    """Whether pools cache: NUMTAPE_CUDA_POOL=on or off; by default on for a card and off for the emulator, which then sees exact sizes."""
    from numtape.kernels.cuda.api import emulated

    wanted = os.environ.get("NUMTAPE_CUDA_POOL", "").lower()
    return wanted == "on" if wanted in ("on", "off") else not emulated()
