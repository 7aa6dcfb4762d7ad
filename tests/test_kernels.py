"""The window on kernels: what is compiled, launched and kept on disk."""

import ast
import os
import pathlib
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

import numtape as nt

F = nt.nn.functional


# ------------------------------------------------------------------------------------------------ shapes
def work(*shape):
    x = nt.randn(shape, requires_grad=True)
    y = (x * 2 + x.exp()).softmax(-1)
    (y.sum(0) @ x.transpose(0, -1)).tanh().sum().backward()
    return x.grad, y.amax(1), y.cumsum(0), y.argmax(1), y[:, ::2].contiguous()


def test_new_shapes_do_not_compile():
    work(16, 24)
    work(300, 500)
    before = nt.kernels.compilations(), nt.kernels.loaded()
    for shape in [(5, 7), (16, 8), (33, 129), (640, 480), (9, 1000)]:
        work(*shape)
    assert (nt.kernels.compilations(), nt.kernels.loaded()) == before


# ------------------------------------------------------------------------------------------------ launches
def launched(call):
    with nt.kernels.log() as kernels:
        result = call()
    return result, [k.name for k in kernels]


@pytest.mark.parametrize(
    ("forward", "count"),
    [
        (lambda x: F.gelu(x), 1), (lambda x: F.silu(x), 1), (lambda x: x.softmax(-1), 1), (lambda x: F.log_softmax(x, -1), 1), (lambda x: x * 2 + x, 2), (lambda x: x.exp(), 1),
        (lambda x: x.var(1), 1), (lambda x: x.logsumexp(1), 1), (lambda x: x.clamp(-1, 1), 1), (lambda x: x.t(), 0), (lambda x: x[1:, ::2], 0),
    ],
)  # fmt: skip
def test_launches_of_a_forward(forward, count):
    x = nt.randn(8, 16)
    _, names = launched(lambda: forward(x))
    assert len(names) == count, names


@pytest.mark.parametrize("forward", [lambda x: F.gelu(x), lambda x: F.silu(x), lambda x: x.softmax(-1), lambda x: F.log_softmax(x, -1), lambda x: x.tanh(), lambda x: x.var(1), lambda x: x.logsumexp(1)])
def test_one_launch_of_a_backward(forward):
    x = nt.randn(8, 16, requires_grad=True)
    out, names = launched(lambda: forward(x))
    assert len(names) == 1, names
    seed = nt.ones(out.shape)
    _, names = launched(lambda: out.backward(seed))
    assert len(names) == 1, names


def test_last_kernel():
    nt.ones(3).sin()
    kernel = nt.kernels.last()
    assert kernel.name == "sin" and "sin_f32" in kernel.text
    before = nt.kernels.launches()
    nt.ones(3)
    assert nt.kernels.launches() == before + 1
    assert any(k is kernel for k in nt.kernels.all())
    assert nt.kernels.compile_seconds() >= 0


@pytest.mark.parametrize("call", [lambda: nt.ones(4, 5).exp(), lambda: nt.ones(4, 5).sum(0), lambda: nt.ones(4, 5).softmax(1), lambda: nt.ones(4, 5).cumsum(1), lambda: nt.ones(4, 4) @ nt.ones(4, 4)])
def test_a_kernels_text_is_a_program(call):
    """It says what it is, parses, runs as a module of its own and defines the kernel."""
    call()
    text = nt.kernels.last().text
    assert ast.get_docstring(ast.parse(text))
    names: dict = {}
    exec(compile(text, "kernel", "exec"), names)
    assert callable(names["kernel"])


# ------------------------------------------------------------------------------------------------ the cache on disk
PROGRAM = """
import numtape as nt
x = nt.tensor([1.0, 2.0, 3.0], requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2.0, 4.0, 6.0]
print(nt.kernels.compilations(), nt.kernels.loaded())
"""


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(pathlib.Path(nt.__file__).parents[1]), **more}


def run(folder, program=PROGRAM, **more):
    """(compiled, loaded) of the program in a process of its own with this cache."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], env=environment(NUMTAPE_CACHE=str(folder), **more), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tuple(int(n) for n in done.stdout.split()[-2:])


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that the program has filled, and how many kernels that took."""
    folder = tmp_path_factory.mktemp("cache") / "kernels"
    compiled, loaded = run(folder)
    assert compiled > 0 and loaded == 0
    return folder, compiled


@pytest.fixture
def cache(filled, tmp_path):
    """A copy of the filled cache, to be spoilt."""
    folder, count = filled
    copy = tmp_path / "kernels"
    copy.mkdir(mode=0o700)
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy, count


def test_a_second_process_compiles_nothing(filled):
    folder, count = filled
    assert run(folder) == (0, count)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    objects, sources = list(folder.glob("*.o")), list(folder.glob("*.py"))
    assert len(objects) == len(sources) == count == len(list(folder.iterdir())) // 2


@pytest.mark.parametrize("spoil", [lambda d: b"", lambda d: d[: len(d) // 2], lambda d: b"\0" * len(d), lambda d: d[:-1] + bytes([d[-1] ^ 1]), lambda d: d + b"x", lambda d: b"#!/bin/sh"])
def test_broken_entries_are_rebuilt(cache, spoil):
    folder, count = cache
    victims = sorted(folder.glob("*.o"), key=lambda p: p.stat().st_size)[:2]  # which compile fast
    whole = [p.read_bytes() for p in victims]
    for path in victims:
        path.write_bytes(spoil(path.read_bytes()))
    assert run(folder) == (2, count - 2)
    assert [len(p.read_bytes()) for p in victims] == [len(w) for w in whole]
    assert run(folder) == (0, count)


def test_cache_off(tmp_path, filled):
    """Without a cache everything is compiled in memory."""
    assert run("off", XDG_CACHE_HOME=str(tmp_path)) == (filled[1], 0)
    assert not list(tmp_path.iterdir())


def test_folders_that_cannot_be_used(tmp_path, monkeypatch):
    """Where a folder cannot be made or written, nothing is kept and nothing is raised: the same path as with the cache off."""
    from numtape.kernels import cache

    blocked = tmp_path / "file"
    blocked.write_text("")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for folder in (blocked / "kernels", blocked, locked):
        monkeypatch.setenv("NUMTAPE_CACHE", str(folder))
        cache.folder.cache_clear()
        try:
            cache.write("key", "text", b"code")
            assert cache.read("key") in (None, b"code")  # root may write everywhere
        finally:
            cache.folder.cache_clear()
    assert blocked.read_text() == ""


def test_folder_open_to_others_is_closed(cache):
    folder, count = cache
    folder.chmod(0o777)
    assert run(folder) == (0, count)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def start(folder):
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment(NUMTAPE_CACHE=str(folder)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_with_one_empty_cache(tmp_path, filled):
    folder = tmp_path / "kernels"
    processes = [start(folder) for _ in range(2)]
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert sum(int(n) for n in out.split()) == filled[1]
    assert run(folder) == (0, filled[1])
    assert not list(folder.glob(".new-*"))


def test_killed_while_compiling(tmp_path, filled):
    """Whenever a process dies, what is in the folder is whole."""
    folder = tmp_path / "kernels"
    process = start(folder)
    while process.poll() is None and len(list(folder.glob("*.o"))) < 3:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    compiled, loaded = run(folder)
    assert compiled + loaded == filled[1] and loaded >= 3
    assert run(folder) == (0, filled[1])


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    from numtape.kernels import cache

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache._write_whole(tmp_path / "entry.o", b"data")
    assert not list(tmp_path.iterdir())


def test_a_forked_child_works():
    """A child process has no threads of its parent's, and starts its own."""
    program = """
import os, numtape as nt
nt.set_num_threads(2)
x = nt.ones(3_000_000)
assert x.sum().item() == 3_000_000
child = os.fork()
if child == 0:
    os._exit(0 if (x + 1).sum().item() == 6_000_000 else 1)
assert os.waitpid(child, 0)[1] == 0
print(nt.kernels.compilations(), nt.kernels.loaded())
"""
    if hasattr(os, "fork"):
        run(os.environ.get("NUMTAPE_CACHE", ""), program)


def test_threads_may_call_at_once():
    import threading

    x = np.random.default_rng(0).standard_normal((200, 300)).astype("f4")
    expected = (nt.from_numpy(x) * 2).sin().sum(0).tolist()
    found, problems = [], []

    def call():
        try:
            for _ in range(50):
                found.append((nt.from_numpy(x) * 2).sin().sum(0).tolist() == expected)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not problems and all(found) and len(found) == 200
