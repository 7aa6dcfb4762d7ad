"""`python -m numtape.bench.threads`: how many times as fast kernels run on several threads, and from which size on that is so.

One thread and several take turns; what is printed are the medians, and the median of the ratios of neighbouring rounds. Nothing of other
libraries is run. A ratio near the number of threads says that the work is bound by arithmetic, one near 1 that it is bound by memory, or that
it is too small to be shared out (a call below a pattern's grain stays on its thread: `docs/performance.md`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

ROUNDS, SPAN = 7, 0.1  # rounds of either number of threads, and the seconds that one takes


def calls(nt: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """By name: what is bound by arithmetic, then calls around the sizes from which a second thread pays."""
    x, d = nt.randn(1 << 20), nt.randn(1 << 20, dtype=nt.float64)
    yield "exp/1048576", x.exp
    yield "tanh/1048576", x.tanh
    yield "sin-float64/1048576", d.sin
    yield "lgamma-float64/1048576", d.lgamma
    for n in (128, 256, 512, 1024):
        a, b = nt.randn(n, n), nt.randn(n, n)
        yield f"matmul/{n}", partial(nt.matmul, a, b)
    a, b = nt.randn(512, 784), nt.randn(784, 256)
    yield "matmul/512x784x256", lambda: a @ b
    s = nt.randn(512, 1024)
    yield "softmax/512x1024", lambda: s.softmax(1)
    image, w = nt.randn(32, 16, 28, 28), nt.randn(32, 16, 3, 3)
    yield "conv2d/32x16x28x28", lambda: nt.nn.functional.conv2d(image, w, padding=1)
    q = nt.randn(8, 8, 256, 32)
    yield "attention/8x8x256x32", lambda: nt.nn.functional.scaled_dot_product_attention(q, q, q)
    for n in (1 << k for k in range(13, 21)):
        y = nt.randn(n)
        yield f"exp/{n}", y.exp
        yield f"add/{n}", partial(nt.add, y, y)


def seconds(call: Callable[[], Any], count: int) -> float:
    """The time of one of `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def measure(nt: Any, call: Callable[[], Any], threads: int) -> tuple[float, float, float]:
    """The seconds of a call on one thread and on several, and how many times as fast that is."""
    call()
    count = max(1, int(SPAN / max(seconds(call, 3), 1e-7)))
    one: list[float] = []
    many: list[float] = []
    for _ in range(ROUNDS):
        for times, number in ((one, 1), (many, threads)):
            nt.set_num_threads(number)
            call()  # workers that slept wake up
            times.append(seconds(call, count))
    return statistics.median(one), statistics.median(many), statistics.median(a / b for a, b in zip(one, many))


def main(argv: Sequence[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="python -m numtape.bench.threads", description=__doc__.partition("\n")[0])
    p.add_argument("--threads", metavar="N", type=int, help="how many threads (default: as many as numtape uses)")
    given = p.parse_args(argv).threads
    if given is not None and given < 1:
        p.error(f"argument --threads: expected a number of at least 1, got {given}")
    import numtape as nt

    threads = given or nt.get_num_threads()
    print(f"{'call':<26} {'1 thread':>12} {f'{threads} threads':>12} {'ratio':>6}")
    nt.set_num_threads(threads)  # before any launch is laid out, which starts the workers
    for name, call in calls(nt):
        one, many, ratio = measure(nt, call, threads)
        print(f"{name:<26} {one * 1e6:>9.1f} us {many * 1e6:>9.1f} us {ratio:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
