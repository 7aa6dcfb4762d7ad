"""Threads: the same bits for any number of them, calls from several Python threads at once, children after a fork, settings."""

from __future__ import annotations

import os
import threading
import warnings

import numpy as np
import pytest

import numtape as nt
from numtape.kernels import library

F = nt.nn.functional


def drawn(*shape, seed=0):
    return nt.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype("f4"))


def places(high, *shape):
    return nt.from_numpy(np.random.default_rng(1).integers(0, high, shape))


def _trained():
    """The parameters of a small network after two steps, and its last loss."""
    nt.manual_seed(0)
    model = nt.nn.Sequential(nt.nn.Linear(300, 256), nt.nn.LayerNorm(256), nt.nn.GELU(), nt.nn.Linear(256, 10))
    step, x, y = nt.optim.Adam(model.parameters(), lr=0.01), drawn(256, 300), places(10, 256)
    for _ in range(2):
        step.zero_grad()
        loss = F.cross_entropy(F.dropout(model(x), 0.1), y)
        loss.backward()
        step.step()
    return [loss, *model.parameters()]


def _gradients(function, *operands):
    """A function's result and its gradients."""
    operands = [x.requires_grad_() for x in operands]
    out = function(*operands)
    return [out, *nt.autograd.grad((out * out.detach()).sum(), operands)]


# Each long enough to be shared among threads.
CASES = {
    "elementwise": lambda: drawn(300, 500).exp() * drawn(500, seed=1) + drawn(300, 1, seed=2),
    "transposed": lambda: drawn(400, 500).t() + drawn(500, 400),
    "copy": lambda: drawn(500, 400).t().contiguous(),
    "sum.all": lambda: drawn(1_000_003).sum(),
    "sum.dim0": lambda: drawn(3000, 100).sum(0),
    "sum.dim1": lambda: drawn(100, 3000).sum(1),
    "sum.dim1-of-3": lambda: drawn(30, 200, 70).sum(1),
    "var": lambda: drawn(300, 1000).var(),
    "norm": lambda: nt.linalg.vector_norm(drawn(1_000_000)),
    "argmax": lambda: drawn(1_000_000).argmax(),
    "softmax.dim1": lambda: drawn(300, 500).softmax(1),
    "softmax.dim0": lambda: drawn(300, 500).softmax(0),
    "layer_norm": lambda: _gradients(lambda x, w, b: F.layer_norm(x, (500,), w, b), drawn(300, 500), drawn(500), drawn(500)),
    "cumsum.dim0": lambda: drawn(700, 300).cumsum(0),
    "cumsum.dim1": lambda: drawn(300, 700).cumsum(1),
    "sort": lambda: drawn(100, 3000).sort(1),
    "matmul": lambda: _gradients(lambda a, b: a @ b, drawn(301, 257), drawn(257, 263)),
    "matmul.skinny": lambda: drawn(3, 5000) @ drawn(5000, 300),
    "matmul.batched": lambda: drawn(20, 60, 70) @ drawn(20, 70, 50),
    "matmul.vector": lambda: drawn(1000, 900) @ drawn(900),
    "matmul.float64": lambda: drawn(200, 210).double() @ drawn(210, 220).double(),
    "conv2d": lambda: _gradients(lambda x, w, b: F.conv2d(x, w, b, padding=1), drawn(8, 16, 20, 20), drawn(24, 16, 3, 3), drawn(24)),
    "conv2d.depthwise": lambda: _gradients(lambda x, w: F.conv2d(x, w, padding=1, groups=32), drawn(8, 32, 20, 20), drawn(32, 1, 3, 3)),
    "max_pool2d": lambda: _gradients(lambda x: F.max_pool2d(x, 2), drawn(8, 16, 40, 40)),
    "attention": lambda: _gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *(drawn(4, 4, 64, 32, seed=s) for s in range(3))),
    "embedding": lambda: _gradients(lambda w: F.embedding(places(50, 5000), w), drawn(50, 64)),
    "gather": lambda: _gradients(lambda x: x.gather(1, places(300, 400, 500)), drawn(400, 300)),
    "scatter_add": lambda: nt.zeros(20, 500).scatter_add(0, places(20, 1000, 500), drawn(1000, 500)),
    "index_add": lambda: nt.zeros(20, 500).index_add(0, places(20, 1000), drawn(1000, 500)),
    "cross_entropy": lambda: _gradients(lambda x: F.cross_entropy(x, places(1000, 300)), drawn(300, 1000)),
    "randn": lambda: nt.randn(300_000, generator=nt.Generator().manual_seed(1)),
    "training": _trained,
}


def bits(result) -> list[bytes]:
    if isinstance(result, nt.Tensor):
        return [result.detach().contiguous().numpy().tobytes()]
    return [b for part in result for b in bits(part)]


@pytest.mark.skipif(not library.JIT, reason="plain Python has one thread")
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits_for_any_number_of_threads(case):
    found = []
    for threads in (1, 2, 4, 8):
        nt.set_num_threads(threads)
        nt.manual_seed(0)
        found.append(bits(CASES[case]()))
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.skipif(not library.JIT, reason="plain Python has one thread")
def test_eight_python_threads_with_parallel_kernels_and_gradients():
    """Each thread has its own graphs; kernels of all are shared among the workers of one pool, or run serially while it is taken."""
    nt.set_num_threads(4)
    names = [name for name in CASES if name != "training"]  # draws from the one default generator
    expected = {name: bits(CASES[name]()) for name in names}
    wrong, problems, barrier = [], [], threading.Barrier(8)

    def work(k):
        try:
            barrier.wait()
            for name in names[k:] + names[:k]:
                for _ in range(3):
                    if bits(CASES[name]()) != expected[name]:
                        wrong.append(name)
        except BaseException as problem:  # shown by the test's own thread
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(4 * k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and not wrong


def test_one_kernel_wanted_by_eight_threads_is_compiled_once():
    text = "from numtape.kernels.intrinsics import *\n\n\ndef kernel(args, start, stop):\n    p = slots(args)\n    out = out_f32(p[0])\n    out[0] = f32(17)\n"
    found, barrier = [], threading.Barrier(8)

    def work():
        barrier.wait()
        found.append(library.kernel("seventeen", text))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1


@pytest.mark.skipif(not hasattr(os, "fork") or not library.JIT, reason="no fork, or one thread")
def test_children_forked_while_others_compute():
    """The pool and its locks may be in use at the moment of the fork; a child has none of the parent's threads and starts its own."""
    nt.set_num_threads(4)
    x = drawn(500, 700)
    expected = bits([x.exp().sum(0), x @ x.t()])
    going = True

    def work():
        while going:
            x.exp().sum(0)
            x @ x.t()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python and JAX warn of a fork beside threads: what this is about
                child = os.fork()
            if not child:
                status = 1
                try:
                    status = 0 if all(bits([x.exp().sum(0), x @ x.t()]) == expected for _ in range(3)) else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        going = False
        for thread in threads:
            thread.join()
    assert bits([x.exp().sum(0), x @ x.t()]) == expected


def test_a_number_of_threads_is_a_positive_int(torch):
    for bad in (0, -1, 1.5, "2", True, None):
        messages = []
        for library_ in (nt, torch):
            with pytest.raises(RuntimeError) as raised:
                library_.set_num_threads(bad)
            messages.append(str(raised.value))
        assert messages[0].startswith(messages[1])
    nt.set_num_threads(3)
    assert nt.get_num_threads() == (3 if library.JIT else 1)
