"""The host side of CUDA over an emulated driver, which is stricter than a card: the driver itself, launches, copies, bad indices, several cards."""

import threading

import numpy as np
import pytest
from cuda_host import KEEP, MIB, SCALE, card, download, emulated, host, machine, pick, run_python, table, upload

import numtape as nt
from numtape.kernels.cuda import card as cards
from numtape.kernels.cuda import copies, driver, library
from numtape.kernels.cuda.card import Card, Event, on
from numtape.kernels.cuda.emulated_driver import POISON, Machine, Violation
from numtape.kernels.cuda.emulator import OutOfRange

pytestmark = emulated
# ruff: noqa: F401, F811  (fixtures are imported, and named as parameters)


# ------------------------------------------------------------------------------------------------ the emulated driver itself
def test_driver_refuses_bad_calls(machine):
    assert machine.cuMemAlloc(8)[0] == 201  # no context
    context = machine.cuDevicePrimaryCtxRetain(machine.cuDeviceGet(0)[1])[1]
    assert machine.cuCtxSetCurrent(context + 1)[0] == 201
    machine.cuCtxSetCurrent(context)
    address = machine.cuMemAlloc(64)[1]
    assert machine.cuMemFree(address + 8)[0] == 1 and machine.cuMemFree(address)[0] == 0
    assert machine.cuMemFree(address)[0] == 1  # twice
    pinned = machine.cuMemHostAlloc(64, 0)[1]
    assert machine.cuMemFree(pinned)[0] == 1 and machine.cuMemFreeHost(pinned)[0] == 0
    assert machine.cuStreamSynchronize(12)[0] == 400 and machine.cuEventRecord(12, 12)[0] == 400
    assert machine.cuMemAlloc(machine.total + 1)[0] == 2 and machine.cuMemAlloc(0)[0] == 1
    assert machine.cuDeviceGet(1)[0] == 101
    assert machine.live() == 0 and machine.used.total() == 0


def test_driver_refuses_copies_out_of_range(card):
    block, data = card.default.allocate(64), np.zeros(1024, np.uint8)
    segment = next(iter(card.default.small.segments.items()))
    with pytest.raises(RuntimeError, match="invalid value .CUDA_ERROR_INVALID_VALUE., reported by cuMemcpyHtoDAsync"):
        card.call("cuMemcpyHtoDAsync", sum(segment) - 8, host(data), 16, card.default.handle)
    with pytest.raises(RuntimeError, match="cuMemcpyDtoHAsync"):
        card.call("cuMemcpyDtoHAsync", host(data), host(data), 16, card.default.handle)  # from host to host
    with pytest.raises(RuntimeError, match="cuMemsetD8Async"):
        card.call("cuMemsetD8Async", block.address, 0, 3 * MIB, card.default.handle)


def test_queued_work_that_meets_freed_memory(card):
    address = card.call("cuMemAlloc", 64)
    card.call("cuMemsetD8Async", address, 1, 64, card.default.handle)
    card.call("cuMemFree", address)
    with pytest.raises(Violation, match="freed"):
        card.default.synchronize()
    card.default.synchronize()  # the queue goes on


def test_memory_is_poisoned(card):
    storage = driver.allocate(16)
    assert (download(storage, np.uint8, 16) == POISON).all()


# ------------------------------------------------------------------------------------------------ launches
def test_launch(card):
    x = upload(np.arange(50, dtype=np.float32))
    t = table()
    with nt.kernels.log() as log:
        out = driver.launch_new(t.address, x.address, 2.5)
        driver.launch(t.address, out.address, out.address, 2.0)
    assert [k.name for k in log] == ["scale", "scale"] and nt.kernels.last().text == SCALE and log[0] in nt.kernels.all()
    assert out.nbytes == 200 and out.owner.size == 512
    np.testing.assert_array_equal(download(out, np.float32, 50), np.arange(50) * 5.0)


def test_arguments(card):
    t, out = table(KEEP, 4, (3,), 1, 1), driver.allocate(24)

    def kept(*values):
        driver.launch(t.address, out.address, *values)
        return download(out, np.int64, 3)

    assert kept(1, -2, 2**63 - 1).tolist() == [1, -2, 2**63 - 1]
    assert kept(np.int64(7), True, -(2**63)).tolist() == [7, 1, -(2**63)]
    assert kept(1, 2.5, -0.0).tolist() == [1, *np.array([2.5, -0.0]).view(np.int64)]
    assert kept(1, 2, 3).tolist() == [1, 2, 3]  # ints again where floats were: as ints
    assert kept(float("nan"), 2, 1e300)[0] == np.array([np.nan]).view(np.int64)[0]
    assert kept(2.0, 2, 3).tolist() == [np.array([2.0]).view(np.int64)[0], 2, 3]
    for _ in range(2):
        with pytest.raises(OverflowError, match="keep: argument 2 is too large for int64: 9223372036854775808"):
            kept(1, 2**63, 0)
        with pytest.raises(TypeError, match="keep: argument 1 is neither an int nor a float: '1'"):
            kept("1", 2, 3)
        with pytest.raises(TypeError, match="takes 4 arguments, got 3"):
            kept(1, 2)
        assert kept(1.0, 2, 3)[0] == np.array([1.0]).view(np.int64)[0]
        with pytest.raises(OverflowError):
            kept(1.0, 2**63, 0)


def test_constants_stay_in_their_tables(card):
    """Many launches of two tables of one kernel, queued before any runs: each has its own copy of its parameters."""
    first, second = table(KEEP, 3, (10, 3), 1, 1), table(KEEP, 3, (20, 3), 1, 1)
    outs = [driver.allocate(24) for _ in range(20)]
    for i, out in enumerate(outs):
        driver.launch((first, second)[i % 2].address, out.address, i, 100 + i)
    assert [download(o, np.int64, 3).tolist() for o in outs] == [[i, 100 + i, (10, 20)[i % 2]] for i in range(20)]


def test_a_launch_inside_a_launch(card):
    """Arguments may run Python when they are packed, as destructors may at any time: a launch then has a parameter block of its own."""
    t, outs = table(KEEP, 4, (3,), 1, 1), [driver.allocate(24) for _ in range(2)]

    class Sneaky:
        def __index__(self):
            driver.launch(t.address, outs[1].address, 7, 8, 9)
            return 5

    driver.launch(t.address, outs[0].address, 1, 2, 3)
    driver.launch(t.address, outs[0].address, 4, Sneaky(), 6)
    assert [download(out, np.int64, 3).tolist() for out in outs] == [[4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(arguments=3, constants=range(94)), "at most 96 slots"), (dict(block=257), "257 threads; the kernel was made for 1 to 256"), (dict(block=(16, 17)), "272 threads"),
        (dict(block=0), "0 threads"), (dict(grid=(1, 65536)), "too large"), (dict(grid=(1, 1, 65536)), "too large"), (dict(grid=2**31), "too large"), (dict(grid=(1, 1, 1, 1)), "one to three"),
        (dict(block=(1, 1, 65)), "made for"),
    ],
)  # fmt: skip
def test_tables_refuse(card, options, message):
    with pytest.raises(RuntimeError, match=message):
        table(**options)


def test_driver_refuses_launches(card, machine):
    kernel = library.kernel("scale", SCALE)
    function, words = kernel.on(card), driver.parameters(3, [50])

    def launched(grid=(1, 1, 1), block=(1, 1, 1), function=function, extra=words[1]):
        return machine.cuLaunchKernel(function, *grid, *block, 0, card.default.handle, 0, extra)[0]

    assert launched() == 0
    assert launched(grid=(1, 65536, 1)) == launched(grid=(1, 1, 65536)) == launched(grid=(0, 1, 1)) == launched(block=(257, 1, 1)) == launched(block=(1, 1, 65)) == 1
    assert launched(function=card.default.handle) == 400
    words[2][1].value = 760
    assert launched() == 1 and "760 bytes of parameters, expected 768" in machine.refused[-1]


def test_nothing_to_launch(card, machine):
    t = table(grid=0, nbytes=0)
    out = driver.launch_new(t.address, 1, 2.0)
    driver.launch(t.address, 1, 1, 2.0)
    assert out.nbytes == 0 and machine.launches == 0


def test_a_launch_that_fails(card, machine, monkeypatch):
    t, x = table(), upload(np.zeros(50, np.float32))
    live = card.pool.live
    stream = card.default.handle
    card.default.handle = 12
    with pytest.raises(RuntimeError, match="invalid handle .CUDA_ERROR_INVALID_HANDLE., reported by cuLaunchKernel of scale"):
        driver.launch_new(t.address, x.address, 1.0)
    card.default.handle = stream
    assert card.pool.live == live  # the output is free again
    driver.launch_new(t.address, x.address, 1.0)


@pytest.mark.parametrize("context", [0, 0x101])
def test_another_library_changes_the_context(context):
    machine = Machine(devices=2)
    Card(machine, 1)
    with on(Card(machine, 0).default):
        t, x = table(), upload(np.ones(50, np.float32))
        out = driver.launch_new(t.address, x.address, 1.0)
        machine.here.context = context
        driver.launch(t.address, out.address, x.address, 2.0)
        machine.here.context = context
        storage = driver.allocate(1 << 20)
        machine.here.context = context
        driver.copy_on_device(storage.address, out.address, 200)
        machine.here.context = context
        assert (download(storage, np.float32, 50) == 2).all()


def test_exact_sizes_show_stray_accesses():
    """The emulated card of the process has no cache of blocks, so one element past the end is found."""
    x = upload(np.zeros(49, np.float32))
    driver.launch_new(table().address, x.address, 1.0)
    with pytest.raises(OutOfRange, match="element|out of range"):
        nt.cuda.synchronize()
    nt.cuda.synchronize()


def test_threads(card):
    """Threads launch one table at once, half of them on streams of their own."""
    t, problems = table(), []

    def work(k):
        try:
            with on(card.stream() if k % 2 else card.default):
                for i in range(20):
                    x = upload(np.full(50, k, np.float32))
                    out = driver.launch_new(t.address, x.address, float(i))
                    del x
                    np.testing.assert_array_equal(download(out, np.float32, 50), np.full(50, k * i))
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert card.pool.live == 0


# ------------------------------------------------------------------------------------------------ copies
def test_the_source_may_change(card):
    data = np.arange(1000)
    storage = driver.allocate(data.nbytes)
    driver.copy_from_host(storage.address, host(data), data.nbytes)
    data[:] = -1
    np.testing.assert_array_equal(download(storage, np.int64, 1000), np.arange(1000))


def test_a_copy_that_does_not_stage_is_seen(card):
    """What the staging is for: the driver may read the host's memory late."""
    data = np.arange(10)
    storage = driver.allocate(data.nbytes)
    card.call("cuMemcpyHtoDAsync", storage.address, host(data), data.nbytes, card.default.handle)
    data[:] = -1
    assert (download(storage, np.int64, 10) == -1).all()


@pytest.mark.parametrize("nbytes", [1, copies.PIECE - 1, copies.PIECE + 1, copies.RING, copies.RING + copies.PIECE // 2 + 3])
def test_large_copies(card, rng, nbytes):
    data = rng.integers(0, 256, nbytes, np.uint8)
    expected = data.copy()
    first, second = driver.allocate(nbytes), driver.allocate(nbytes)
    driver.copy_from_host(first.address, host(data), nbytes)
    data[:] = 0
    driver.copy_on_device(second.address, first.address, nbytes)
    driver.memset(first.address, 7, nbytes)
    np.testing.assert_array_equal(download(second, np.uint8, nbytes), expected)
    assert (download(first, np.uint8, nbytes) == 7).all()


def test_the_ring_of_pinned_memory(card, rng):
    """Copies of all sizes, many more than the ring holds, on two streams, and none waited for by the caller."""
    other, kept = card.stream(), []
    for i in range(60):
        data = rng.integers(0, 256, int(rng.integers(1, 2 * MIB)), np.uint8)
        with on(other if i % 3 == 0 else card.default):
            small = data[: 1 + len(data) // 8]
            kept.append((card.default if i % 3 else other, driver.allocate(len(small)), small.copy()))
            scratch = driver.allocate(len(data))
            driver.copy_from_host(scratch.address, host(data), len(data))
            driver.copy_from_host(kept[-1][1].address, host(small), len(small))
            data[:] = 0
    for stream, storage, expected in kept:
        with on(stream):
            np.testing.assert_array_equal(download(storage, np.uint8, len(expected)), expected)
    assert len(card.staging.busy) < 60


def test_copies_of_nothing(card):
    driver.copy_from_host(0, 0, 0)
    driver.copy_to_host(0, 0, 0)
    driver.copy_on_device(0, 0, 0)
    driver.memset(0, 0, 0)


# ------------------------------------------------------------------------------------------------ indices out of range
def test_bad_indices_are_found_later(card):
    good, bad = pick([0, 4, 2]), pick([0, 7, 2])
    with pytest.raises(IndexError, match="gather: index 7 is out of bounds for dimension 1 with size 5.*next synchronisation"):
        download(good, np.int64, 3)
    assert download(good, np.int64, 3).tolist() == [0, 4, 2]  # raised once; the card goes on
    assert download(bad, np.int64, 3)[::2].tolist() == [0, 2]
    pick([-1])
    pick([9])
    with pytest.raises(IndexError, match="index -1 is out"):
        card.synchronize()
    card.synchronize()


def test_a_check_is_looked_at_with_its_own_stream(card):
    other = card.stream()
    with on(other):
        pick([8])
    out = pick([1])
    assert download(out, np.int64, 1).tolist() == [1]
    assert len(card.checks.pending) == 1
    with pytest.raises(IndexError, match="index 8"):
        other.synchronize()
    assert sorted(card.checks.free) == list(range(len(card.checks.free)))


def test_kernels_launched_meanwhile_are_looked_at_later(card, machine, monkeypatch):
    """A thread launches while another waits: its kernel may still run, so its cell is not touched."""
    wait = machine.cuStreamSynchronize

    def waits(stream):
        result = wait(stream)
        monkeypatch.setattr(machine, "cuStreamSynchronize", wait)
        pick([7])
        return result

    monkeypatch.setattr(machine, "cuStreamSynchronize", waits)
    pick([1])
    card.default.synchronize()
    assert len(card.checks.pending) == 1
    with pytest.raises(IndexError, match="index 7"):
        card.default.synchronize()


def test_errors_of_kernels_keep_the_checks(card):
    """Where waiting itself fails, what is not looked at yet is looked at by the next wait."""
    pick([7])
    address = card.call("cuMemAlloc", 64)
    card.call("cuMemsetD8Async", address, 1, 64, card.default.handle)
    card.call("cuMemFree", address)
    with pytest.raises(Violation):
        card.default.synchronize()
    with pytest.raises(IndexError, match="index 7"):
        card.default.synchronize()


def test_cells_are_used_again(card, monkeypatch):
    from numtape.kernels.cuda import checks

    monkeypatch.setattr(checks, "CELLS", 8)
    for _ in range(20):
        pick([1])
    assert len(card.checks.pending) <= 8
    pick([6])
    with pytest.raises(IndexError, match="index 6"):  # the ring is full: what is waiting is looked at
        for _ in range(20):
            pick([1])
    held = []
    card.synchronize()
    with pytest.raises(RuntimeError, match="launched at once"):
        for _ in range(9):
            held.append(driver.index_check("gather", 1, 0))
    del held  # their launches failed: the cells come back
    card.synchronize()
    assert len(card.checks.free) == 8


# ------------------------------------------------------------------------------------------------ several cards
def test_two_cards():
    machine = Machine(devices=2)
    first, second = Card(machine, 0), Card(machine, 1)
    data = np.arange(50, dtype=np.float32)
    with on(first.default):
        x = upload(data)
        t = table()
        with on(second.default):
            assert machine.cuCtxGetCurrent()[1] == second.context
            y = upload(data + 100)
            other = table()
            assert (other.card, t.card) == (second, first) and other.kernel is t.kernel
            out = driver.launch_new(t.address, x.address, 2.0)  # runs on the table's card
            assert machine.cuCtxGetCurrent()[1] == second.context
            assert out.owner.pool is first.pool
            mine = driver.launch_new(other.address, y.address, 2.0)
            np.testing.assert_array_equal(download(mine, np.float32, 50), (data + 100) * 2)
            copies.between(second.default, y.address, first.default, out.address, 200)
            driver.launch(t.address, out.address, x.address, -1.0)  # comes after the copy
            first.synchronize()
            np.testing.assert_array_equal(download(y, np.float32, 50), data * 2)
        assert machine.cuCtxGetCurrent()[1] == first.context and cards.current() is first.default
        np.testing.assert_array_equal(download(out, np.float32, 50), -data)
        block = second.default.allocate(5 * MIB)  # of the card that is not current
        assert machine.blocks[next(iter(second.default.large.segments))].context == second.context and block.pool is second.pool
        second.synchronize()
        assert machine.cuCtxGetCurrent()[1] == first.context
        event = Event()
        event.record(second.default)
        with pytest.raises(RuntimeError, match="belongs to cuda:1, the stream to cuda:0"):
            event.record(first.default)
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_DEVICE"):
        Card(machine, 2)


PROGRAM_TWO_CARDS = """
import numtape as nt
from numtape.device import placed
assert nt.cuda.device_count() == 2 and nt.cuda.current_device() == 0
s = nt.cuda.Stream("cuda:1")
assert s.device == nt.device("cuda:1") and nt.cuda.current_stream() == nt.cuda.default_stream()
with nt.cuda.stream(s):
    assert nt.cuda.current_device() == 1 and placed("cuda").index == 1
    with nt.cuda.device(0):
        assert nt.cuda.current_device() == 0 and nt.cuda.current_stream() == nt.cuda.default_stream()
    assert nt.cuda.current_stream() == s
assert nt.cuda.current_stream(1) == nt.cuda.default_stream(1) != nt.cuda.default_stream()
nt.cuda.set_device("cuda:1")
nt.cuda.set_stream(s)
nt.cuda.set_device(0)
assert placed("cuda").index == 0
nt.cuda.set_device(1)
assert nt.cuda.current_stream() == s
e = s.record_event()
nt.cuda.default_stream(0).wait_event(e)
nt.cuda.synchronize("cuda:0")
for wrong in (2, "cuda:2"):
    try:
        nt.cuda.set_device(wrong)
    except RuntimeError as problem:
        assert "invalid device ordinal: cuda:2, but there are 2 cards" in str(problem)
    else:
        raise AssertionError
print("fine")
"""


def test_two_cards_through_the_public_names():
    assert run_python(PROGRAM_TWO_CARDS, NUMTAPE_CUDA="emulate", NUMTAPE_CUDA_DEVICES="2") == (0, "fine\n", "")
