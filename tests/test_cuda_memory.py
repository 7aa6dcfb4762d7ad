"""The allocator of a card over an emulated driver: reuse, joining, streams, running out of memory, destructors at any time."""

import gc
import itertools
import threading

import numpy as np
import pytest
from cuda_host import MIB, card, emulated, host, machine, run_python, table
from hypothesis import given
from hypothesis import strategies as st

import numtape as nt
from numtape.kernels.cuda import driver, pool
from numtape.kernels.cuda.card import Card, Event, on
from numtape.kernels.cuda.emulated_driver import Machine

pytestmark = emulated
# ruff: noqa: F401, F811  (fixtures are imported, and named as parameters)


def test_rounding():
    assert [pool.rounded(n) for n in (0, 1, 512, 513, 4096, 4097, 10_000)] == [512, 512, 512, 1024, 4096, 4608, 10240]
    for n in [*range(0, 100_000, 77), MIB, MIB + 1, 100 * MIB + 1, 10**10 + 1]:
        size = pool.rounded(n)
        assert size >= n and size % 512 == 0 and pool.rounded(size) == size
        assert size <= max(512, n + 511, int(n * 1.126))
    assert pool.rounded(100 * MIB + 1) == 102 * MIB


def test_blocks_are_reused_at_once(card, machine):
    block = card.default.allocate(1000)
    address = block.address
    del block
    assert card.default.allocate(700).address == address  # the same size class, and free again
    blocks = [card.default.allocate(1000) for _ in range(4)]
    assert len({b.address for b in blocks}) == 4 and all(b.address % 512 == 0 for b in blocks)
    assert card.pool.segments_made == 1
    small, large = card.default.allocate(MIB), card.default.allocate(MIB + 1)
    assert (len(card.default.small.segments), len(card.default.large.segments)) == (1, 1)
    assert small.size == MIB and large.size == MIB + MIB // 8


def test_neighbours_are_joined(card):
    """Small blocks that are free again make room for one large one, without another segment."""
    blocks = [card.default.allocate(64 * 1024) for _ in range(32)]  # a whole segment
    assert card.pool.segments_made == 1
    del blocks[::2]
    card.default.allocate(512 * 1024)
    assert card.pool.segments_made == 2  # every other block is in use: no stretch is long enough
    del blocks
    blocks = [card.default.allocate(MIB) for _ in range(3)]
    assert card.pool.segments_made == 2 and card.pool.reserved == 4 * MIB and len({b.address for b in blocks}) == 3


def test_segments_are_not_joined(card, monkeypatch):
    """Two segments may lie side by side; each goes back to the driver by itself."""
    address = card.call("cuMemAlloc", 4 * MIB)
    segments = iter([(address, 2 * MIB), (address + 2 * MIB, 2 * MIB)])
    monkeypatch.setattr(card.pool, "segment", lambda *arguments: next(segments))
    blocks = [card.default.allocate(MIB) for _ in range(4)]
    assert sorted(b.address for b in blocks) == [address + i * MIB for i in range(4)]
    del blocks
    card.default.small.join()
    assert card.default.small.runs == [(2 * MIB, address), (2 * MIB, address + 2 * MIB)]


def test_streams_do_not_share_free_blocks(card):
    other = card.stream()
    block = card.default.allocate(512)
    address = block.address
    del block
    assert other.allocate(512).address != address
    assert card.default.allocate(512).address == address


def test_record_stream(card):
    """A block that another stream uses is not handed out again before that stream is through with it."""
    other = card.stream()
    for recorded in (False, True):
        data = np.zeros(64, np.uint8)
        block = card.default.allocate(64)
        address = block.address
        driver.memset(address, 1, 64)
        event = Event()
        event.record(card.default)
        other.wait(event)
        card.call("cuMemcpyDtoHAsync", host(data), address, 64, other.handle)
        if recorded:
            block.record_stream(other)
        del block
        again = card.default.allocate(64)
        driver.memset(again.address, 2, 64)
        card.default.synchronize()
        other.synchronize()
        assert (again.address == address) is not recorded
        assert (data == (1 if recorded else 2)).all()  # without the promise: overwritten
        del again
    third = card.default.allocate(64), card.default.allocate(64)  # both are free, the recorded one since its stream is done
    card.pool.settle()
    assert address in (*third[0].home, *(b.address for b in third))


def test_recorded_blocks_wait(card):
    other, block = card.stream(), card.default.allocate(512)
    address = block.address
    driver_event = [card.default.allocate(8 * MIB) for _ in range(2)]
    with on(other):
        for _ in range(5):
            driver.memset(driver_event[0].address, 1, 8 * MIB)
    block.record_stream(other)
    block.record_stream(card.default)
    del block
    card.pool.settle()
    assert len(card.pool.waiting) == 1
    card.synchronize()
    card.pool.settle()
    assert not card.pool.waiting and card.default.allocate(512).address == address


def test_out_of_memory_gives_back_what_is_free(card, machine):
    blocks = [card.default.allocate(8 * MIB) for _ in range(6)]  # of 64 MiB, in segments of 20 MiB (the last smaller)
    other = card.stream()
    del blocks[:]
    assert card.pool.reserved >= 48 * MIB
    big = other.allocate(60 * MIB)  # free memory of another stream has to go back first
    assert card.pool.retries == 1 and card.pool.reserved == 60 * MIB == machine.used.total()
    del big
    assert card.default.allocate(30 * MIB).size == 30 * MIB


def test_out_of_memory_with_work_queued(card):
    """Giving memory back waits for the work that uses it."""
    block = card.default.allocate(40 * MIB)
    for value in range(3):
        driver.memset(block.address, value, 40 * MIB)
    del block
    assert card.default.allocate(48 * MIB).size == 48 * MIB
    card.synchronize()


def test_out_of_memory_error(card):
    held = card.default.allocate(40 * MIB), card.default.allocate(100)
    with pytest.raises(pool.OutOfMemoryError) as caught:
        driver.allocate(30 * MIB, None, "zeros")
    text = str(caught.value)
    assert isinstance(caught.value, MemoryError) and isinstance(caught.value, RuntimeError) and nt.cuda.OutOfMemoryError is pool.OutOfMemoryError
    assert text.startswith("zeros: CUDA out of memory: asked for 31,457,280 bytes on cuda:0; this process has 41,943,552 bytes in use")
    assert "and 2,096,640 cached in fragments; 23,068,672 of the card's 67,108,864 bytes are free" in text
    with pytest.raises(MemoryError, match="scale: CUDA out of memory"):
        driver.launch_new(table(nbytes=1 << 40).address, 0, 1.0)
    del held
    assert driver.allocate(50 * MIB).nbytes == 50 * MIB


def test_other_calls_that_need_memory(card, machine, monkeypatch):
    """A module, for one, takes memory of the card: the pool gives back what it only keeps."""
    card.default.allocate(40 * MIB)
    calls = []

    def load(image):
        calls.append(card.pool.reserved)
        return (2, None) if card.pool.reserved else (0, 77)

    monkeypatch.setattr(machine, "cuModuleLoadData", load)
    assert card.call("cuModuleLoadData", b"") == 77 and calls == [40 * MIB, 0]
    held = card.default.allocate(2 * MIB)
    with pytest.raises(pool.OutOfMemoryError, match="reported by cuModuleLoadData"):
        card.call("cuModuleLoadData", b"")
    del held


def test_a_smaller_segment_where_a_large_one_does_not_fit(card):
    held = card.default.allocate(48 * MIB)
    assert card.default.allocate(5 * MIB).size == 5 * MIB and card.pool.reserved == 54 * MIB
    del held


def test_statistics(card):
    assert card.pool.stats()["reserved_bytes.all.current"] == 0
    a, b = card.default.allocate(512), card.default.allocate(3 * MIB)
    assert card.pool.live == card.pool.peak == 512 + 3 * MIB
    del b
    assert (card.pool.live, card.pool.peak) == (512, 512 + 3 * MIB)
    stats = card.pool.stats()
    assert stats["allocated_bytes.all.peak"] == 512 + 3 * MIB and stats["reserved_bytes.all.current"] == 22 * MIB and stats["segment.all.current"] == 2
    assert stats["free_bytes.all.current"] == 22 * MIB - 512
    card.pool.reset_peak()
    assert card.pool.peak == 512
    card.pool.empty_cache()
    assert card.pool.reserved == 2 * MIB
    del a
    card.pool.empty_cache()
    assert card.pool.reserved == 0


def test_leaks_are_counted(card, machine):
    pinned = machine.live()
    blocks = [card.default.allocate(n) for n in (1, 10_000, 5 * MIB)]
    assert machine.live() == pinned + 2
    del blocks
    card.pool.empty_cache()
    assert machine.live() == pinned
    card.call("cuMemAlloc", 64)  # a planted leak
    card.pool.empty_cache()
    assert machine.live() == pinned + 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6 * MIB), st.integers(0, 50), st.integers(0, 2)), max_size=60), st.booleans())
def test_pool_hands_out_each_byte_once(steps, cached):
    """Random requests and releases on two streams: blocks in use do not overlap, and all bytes are accounted for."""
    machine = Machine(total=256 * MIB)
    card = Card(machine, 0, cached)
    with on(card.default):
        streams, blocks = [card.default, card.stream(), card.default], []
        for take, size, which, stream in steps:
            if take or not blocks:
                blocks.append(streams[stream].allocate(size >> which % 20))
                if which % 7 == 0:
                    blocks[-1].record_stream(streams[1])
            else:
                del blocks[which % len(blocks)]
            spans = sorted((b.address, b.address + b.size) for b in blocks)
            assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
            assert card.pool.live == sum(b.size for b in blocks)
            if not cached:
                card.synchronize()  # what is freed in stream order is free
            assert card.pool.reserved == machine.used.total()
            waiting = card.pool.reserved - card.pool.live - card.pool.stats()["free_bytes.all.current"]
            assert waiting >= 0 and (waiting == 0 or card.pool.dead or card.pool.waiting)
        del blocks[:]
        card.pool.empty_cache()
        assert card.pool.reserved == card.pool.live == machine.live() == 0


def test_destructors_inside_the_pool(card, monkeypatch):
    """Garbage is collected in the middle of an allocation, and its destructors free and take memory of the same arena."""
    taken = []

    class Owner:
        def __init__(self):
            self.me, self.block = self, card.default.allocate(100_000)

        def __del__(self):
            taken.append(card.default.allocate(200_000))

    gc.disable()
    try:
        for _ in range(10):
            Owner()
        ask, join = card.pool.segment, pool.Arena.join

        def segment(*arguments):
            gc.collect()
            return ask(*arguments)

        monkeypatch.setattr(card.pool, "segment", segment)
        monkeypatch.setattr(pool.Arena, "join", lambda arena: (gc.collect(), join(arena))[1])
        taken += [card.default.allocate(300_000) for _ in range(20)]
    finally:
        gc.enable()
    spans = sorted((b.address, b.address + b.size) for b in taken)
    assert len(taken) == 30 and all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_destructors_in_other_threads(card):
    blocks = [card.default.allocate(1000) for _ in range(100)]
    thread = threading.Thread(target=blocks.clear)
    thread.start()
    thread.join()
    assert card.pool.live == 0 and card.default.allocate(1000)


def test_the_end_of_the_interpreter():
    program = """
import numpy as np, threading
from numtape.kernels.cuda import driver, card
import numtape as nt
kept = [driver.allocate(100) for _ in range(10)]
class Cycle: pass
c = Cycle(); c.me, c.storage, c.stream, c.event = c, driver.allocate(10), nt.cuda.Stream(), nt.cuda.Event()
c.event.record()
driver.index_check("late", 1, 0)
print("done")
"""
    assert run_python(program, NUMTAPE_CUDA="emulate") == (0, "done\n", "")
