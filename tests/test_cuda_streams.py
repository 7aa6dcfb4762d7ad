"""Streams and events over an emulated driver that runs nothing before it must; and `numtape.cuda`, the public names."""

import ctypes
import threading

import numpy as np
import pytest
from cuda_host import MIB, card, download, emulated, machine, table, upload

import numtape as nt
from numtape.kernels.cuda import driver
from numtape.kernels.cuda.card import Card, Event, on
from numtape.kernels.cuda.emulated_driver import POISON, Machine

pytestmark = emulated
# ruff: noqa: F401, F811  (fixtures are imported, and named as parameters)


# ------------------------------------------------------------------------------------------------ streams and events
def test_streams_need_to_wait(card):
    """A planted missing wait gives wrong data; with the wait, or on one stream, the data are right."""
    other = card.stream()
    for waits in (False, True):
        source, target = driver.allocate(64), driver.allocate(64)
        driver.memset(source.address, 1, 64)
        if waits:
            event = Event()
            event.record(card.default)
            other.wait(event)
        with on(other):
            driver.copy_on_device(target.address, source.address, 64)
            found = download(target, np.uint8, 64)
        assert (found == (1 if waits else POISON)).all()
    driver.copy_on_device(target.address, source.address, 64)
    assert (download(target, np.uint8, 64) == 1).all()


def test_a_wait_is_for_what_was_recorded(card):
    """Work that is queued after the event was recorded is not waited for, and a recording is not undone by the next."""
    other, event = card.stream(), Event()
    other.wait(event)  # not recorded: nothing to wait for
    a, b = driver.allocate(8), driver.allocate(8)
    driver.memset(a.address, 1, 8)
    event.record(card.default)
    other.wait(event)
    driver.memset(b.address, 1, 8)
    event.record(card.default)
    assert not event.query()
    other.synchronize()
    seen = [ctypes.string_at(s.address, 1)[0] for s in (a, b)]
    assert seen == [1, POISON]
    event.synchronize()
    assert event.query() and ctypes.string_at(b.address, 1)[0] == 1


def test_query_comes_to_an_end(card):
    storage = driver.allocate(8)
    for value in range(5):
        driver.memset(storage.address, value, 8)
    assert not card.default.query()
    while not card.default.query():
        pass
    assert ctypes.string_at(storage.address, 1) == b"\4"


def test_events(card):
    start, end = Event(timed=True), Event(timed=True)
    with pytest.raises(ValueError, match="must be recorded"):
        start.elapsed_time(end)
    start.record(card.default)
    driver.memset(driver.allocate(MIB).address, 0, MIB)
    end.record(card.default)
    with pytest.raises(RuntimeError, match="synchronize first"):
        start.elapsed_time(end)
    end.synchronize()
    assert 0 <= start.elapsed_time(end) < 10_000
    plain = Event()
    plain.record(card.default)
    with pytest.raises(ValueError, match="enable_timing=True"):
        plain.elapsed_time(end)


def test_event_handles_are_used_again(card, machine):
    def events():
        made = [Event() for _ in range(10)]
        for event in made:
            event.record(card.default)

    events()
    before = len(machine.objects)
    events()
    assert len(machine.objects) == before


def test_eager_machine_gives_the_same(rng):
    """Work that runs as soon as it is queued: the other extreme."""
    machine = Machine(eager=True)
    with on(Card(machine, 0).default):
        x = upload(np.arange(50, dtype=np.float32))
        out = driver.launch_new(table().address, x.address, 3.0)
        assert ctypes.cast(out.address, ctypes.POINTER(ctypes.c_float))[7] == 21.0


# ------------------------------------------------------------------------------------------------ numtape.cuda
def test_public_names():
    assert nt.cuda.is_available() and nt.cuda.device_count() == 1
    nt.cuda.init()
    assert nt.cuda.is_initialized() and nt.cuda.current_device() == 0
    assert nt.cuda.get_device_name() == nt.cuda.get_device_properties("cuda").name == "emulated card"
    assert nt.cuda.get_device_capability(0) == (9, 0)
    properties = nt.cuda.get_device_properties(nt.device("cuda:0"))
    assert (properties.warp_size, properties.multi_processor_count, properties.max_threads_per_block) == (32, 2, 1024)
    free, total = nt.cuda.mem_get_info()
    assert 0 < free <= total == properties.total_memory
    assert driver.multiprocessors() == 2
    with nt.cuda.device(None), nt.cuda.device(-1), nt.cuda.stream(None):
        assert nt.cuda.current_device() == 0
    for name in nt.cuda.__all__:
        assert getattr(nt.cuda, name).__doc__


@pytest.mark.parametrize("call", [nt.cuda.set_device, nt.cuda.get_device_name, nt.cuda.synchronize, nt.cuda.Stream, nt.cuda.memory_allocated, nt.cuda.device])
def test_public_names_refuse(call):
    nt.cuda.init()
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        call("cpu")
    with pytest.raises(RuntimeError, match="invalid device ordinal: cuda:7, but there is 1 card"):
        found = call(7)
        found.__enter__()


def test_public_memory():
    nt.cuda.reset_peak_memory_stats()
    before = nt.cuda.memory_allocated()
    storage = driver.allocate(1000)
    assert nt.cuda.memory_allocated() == before + 1000 and nt.cuda.max_memory_allocated() >= before + 1000
    assert nt.cuda.memory_reserved() >= nt.cuda.memory_allocated()
    assert nt.cuda.memory_stats()["allocated_bytes.all.current"] == nt.cuda.memory_allocated()
    del storage
    nt.cuda.empty_cache()
    assert nt.cuda.memory_allocated() == before == nt.cuda.memory_reserved()


def test_public_streams():
    s = nt.cuda.Stream(priority=-1)
    assert s != nt.cuda.default_stream() and s.device == nt.device("cuda:0") and s.priority == -1 and hash(s) != hash(nt.cuda.default_stream())
    assert nt.cuda.current_stream() == nt.cuda.default_stream() and nt.cuda.current_stream().cuda_stream == nt.cuda.default_stream().cuda_stream
    source, target = driver.allocate(8), driver.allocate(8)
    driver.memset(source.address, 3, 8)
    with nt.cuda.stream(s):
        assert nt.cuda.current_stream() == s
        s.wait_stream(nt.cuda.default_stream())
        driver.copy_on_device(target.address, source.address, 8)
        event = nt.cuda.Event(enable_timing=True, blocking=True)
        event.record()
    assert not s.query() and not event.query()
    event.wait()
    assert (download(target, np.uint8, 8) == 3).all() and event.query() and s.query()
    with pytest.raises(RuntimeError, match="interprocess=False"):
        nt.cuda.Event(interprocess=True)
    handle = s.cuda_stream
    del s
    assert nt.cuda.Stream(priority=-1).cuda_stream == handle  # and with it the memory that is cached for it


def test_a_threads_stream_is_its_own():
    seen = []

    def work():
        seen.append(nt.cuda.current_stream() == nt.cuda.default_stream())

    with nt.cuda.stream(nt.cuda.Stream()):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [True]


def test_seeds():
    nt.cuda.manual_seed_all(3)
    a = nt.rand(5, device="cuda").cpu()
    nt.cuda.manual_seed(3)
    b = nt.rand(5, device="cuda").cpu()
    c = nt.rand(5, device="cuda").cpu()
    assert (a == b).all() and (b != c).any()
