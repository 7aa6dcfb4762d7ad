"""What is kept is bounded: kernels on disk, free blocks in memory; and `python -m numtape.warmup` fills the disk cache."""

from __future__ import annotations

import os
import shutil
import time
import warnings

import pytest

import numtape as nt
from numtape import warmup
from numtape.kernels import cache, library

jit = pytest.mark.skipif(not library.JIT, reason="kernels are plain Python")


# ------------------------------------------------------------------------------------------------ kernels on disk
@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder, and a way to put an entry of a size and age (in days) into it."""
    monkeypatch.setenv("NUMTAPE_CACHE", str(tmp_path))
    cache.folder.cache_clear()

    def put(name, kilobytes, days=0.0):
        cache._write_whole(tmp_path / f"{name}.py", b"x" * 500)
        cache._write_whole(tmp_path / f"{name}.o", b"x" * (1000 * kilobytes - 500))
        used = time.time() - days * cache.DAY
        os.utime(tmp_path / f"{name}.o", (used, used))

    put.path = tmp_path
    yield put
    cache.folder.cache_clear()


@pytest.fixture
def known():
    """The files of the session's own cache."""
    where = cache.folder()
    return [p for p in where.iterdir() if p.suffix in (".o", ".py")] if where else []


def names(folder):
    return sorted(p.name for p in folder.path.iterdir())


def test_the_longest_unused_go_when_there_is_too_much(folder, monkeypatch):
    for k in range(10):
        folder(f"k{k}", 100, days=k)
    monkeypatch.setenv("NUMTAPE_CACHE_MB", "2")
    assert cache.prune() == 0
    monkeypatch.setenv("NUMTAPE_CACHE_MB", "0.8")  # three quarters of it are 600 kB
    assert cache.prune() == 4
    assert names(folder) == sorted(f"k{k}.{end}" for k in range(6) for end in ("o", "py"))
    monkeypatch.setenv("NUMTAPE_CACHE_MB", "0")  # no bound
    assert cache.prune() == 0


def test_what_nobody_used_for_months_goes(folder, monkeypatch):
    folder("new", 1, days=89)
    folder("old", 1, days=91)
    (folder.path / ".new-torn").write_bytes(b"half")
    os.utime(folder.path / ".new-torn", (0, 0))
    (folder.path / ".new-being-written").write_bytes(b"half")
    assert cache.prune() == 1
    assert names(folder) == [".new-being-written", "new.o", "new.py"]
    monkeypatch.setenv("NUMTAPE_CACHE_DAYS", "30")
    assert cache.prune() == 1
    monkeypatch.setenv("NUMTAPE_CACHE_DAYS", "not a number")
    assert cache.setting("NUMTAPE_CACHE_DAYS", 90) == 90


def test_reading_is_using(folder):
    cache.write("a" * 32, "text", b"code")
    path = folder.path / f"{'a' * 32}.o"
    os.utime(path, (0, 0))
    assert cache.read("a" * 32) == b"code"
    assert time.time() - path.stat().st_mtime < 60
    assert [(size, p.name) for _, size, p in cache.entries()] == [(4 + len(cache.MAGIC) + 32 + 4, path.name)]


def test_a_writer_prunes_now_and_then(folder, monkeypatch):
    monkeypatch.setattr(cache, "_written", 0)
    looked = []
    monkeypatch.setattr(cache, "prune", lambda: looked.append(cache._written))
    for k in range(cache.LOOK_EVERY + 1):
        cache.write(f"{k:032}", "text", b"code")
    assert looked == [0, cache.LOOK_EVERY]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_pruning_in_several_processes_at_once(folder, monkeypatch):
    for k in range(60):
        folder(f"k{k:02}", 10, days=k / 100)
    monkeypatch.setenv("NUMTAPE_CACHE_MB", "0.2")
    children = []
    for _ in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads of other tests
            child = os.fork()
        if not child:
            status = 1
            try:
                cache.prune()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    left = names(folder)
    assert 0 < len(left) <= 2 * 15 and left == sorted(f"k{k:02}.{end}" for k in range(len(left) // 2) for end in ("o", "py"))


def test_clear(folder):
    folder("one", 1)
    folder("two", 1)
    assert cache.clear() == 2
    assert names(folder) == []


# ------------------------------------------------------------------------------------------------ blocks of memory
@jit
def test_free_blocks_are_bounded_and_can_be_given_back():
    before = nt.cpu.cache_limit()
    try:
        nt.cpu.empty_cache()
        nt.cpu.set_cache_limit(1 << 20)
        x = nt.empty(1 << 17)
        y = nt.empty(1 << 20)
        nt.cpu.reset_peak_memory_stats()
        live = nt.cpu.memory_allocated()
        assert nt.cpu.max_memory_allocated() == live
        del x, y
        stats = nt.cpu.memory_stats()
        assert stats["cached"] == 1 << 19 and stats["live"] == live - (1 << 19) - (1 << 22)
        assert nt.cpu.memory_reserved() == stats["live"] + stats["cached"]
        nt.cpu.set_cache_limit(0)
        assert nt.cpu.memory_stats()["cached"] == 0
        nt.empty(1000)
        assert nt.cpu.memory_stats()["cached"] == 0 and nt.cpu.max_memory_allocated() == live
    finally:
        nt.cpu.set_cache_limit(before)


@pytest.mark.parametrize(("limit", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_limit_is_a_number_of_bytes(limit, error):
    with pytest.raises(error, match="set_cache_limit: expected"):
        nt.cpu.set_cache_limit(limit)


# ------------------------------------------------------------------------------------------------ warm-up
@jit
def test_warmup_compiles_once(known, folder, monkeypatch, capsys):
    for path in known:  # what is compiled already, the run-time at least, need not be compiled again for this test
        shutil.copy(path, folder.path)
    monkeypatch.setitem(warmup.JOBS, "gone", (None, ""))
    assert warmup.main(["--jobs", "products.int64", "--processes", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("products.int64 ") and "0 failed" in out and " compiled, " in out
    assert warmup.main(["--jobs", "products.int64", "--processes", "1"]) == 0
    assert "0 failed; 0 kernels compiled" in capsys.readouterr().out
    assert warmup.main(["--jobs", "gone", "--processes", "1"]) == 1  # the worker knows no such job
    assert "FAILED gone: the process ended with exit code 1" in capsys.readouterr().out
    assert warmup.main(["--clear"]) == 0
    assert " kernels removed from " in capsys.readouterr().out and names(folder) == []


@jit
def test_warmup_lists_and_refuses(folder, monkeypatch, capsys):
    assert warmup.main(["--list", "--jobs", "network,digits"]) == 0
    assert capsys.readouterr().out.split("\n")[:6] == ["network.gpt", "network.cnn", "network.pinn", "network.lstm", "digits", f"# 0 kernels (0.0 MB) in {folder.path}"]
    assert warmup.main(["--jobs", "nothing"]) == 2
    assert "there is no nothing; choose from reductions.float32" in capsys.readouterr().err
    assert warmup.main(["--processes", "0"]) == 2 and warmup.main(["--frobnicate"]) == 2
    monkeypatch.setenv("NUMTAPE_CACHE", "off")
    cache.folder.cache_clear()
    assert warmup.main([]) == 2
    assert "NUMTAPE_CACHE is off" in capsys.readouterr().err


def test_a_job_that_fails_is_named(monkeypatch, capsys):
    monkeypatch.setitem(warmup.JOBS, "broken", (lambda name: 1 / 0, ""))
    monkeypatch.setitem(warmup.JOBS, "talking", (print, "hello"))
    assert warmup.work(iter(["broken", "talking"])) == 0
    assert capsys.readouterr().out == "broken 0 0 ZeroDivisionError: division by zero\ntalking 0 0 \n"
