"""CUDA kernels in plain Python: a kernel's text is run thread by thread, to be tested and stepped through without a card.

`function` reads the text, `run` launches it on a grid. Memory is the process's own. Blocks run one after another. The threads of a block
are plain calls, or, where the kernel waits for other threads, generators in lockstep: each runs until it waits, then the next one does.

What a card would leave to chance is an error here, `EmulatorError`, that names the line, the thread and the block:

- a barrier that some threads of the block do not reach, be it that they have returned; a shuffle without all 32 lanes of the warp
- a race: two threads touch an element, one of them writes, and no barrier of their block lies between (shuffles do not order memory)
- a read of shared or stack memory that nobody has written; a read through ``in_`` of what the same thread wrote
- an access out of range or misaligned, a slot that was not given, shared memory beyond a block's

Races are found by who touched what since the last barrier (see `emulated_state`), so they show in any order of threads. `order` sets
another one, for what depends on the order in other ways.

Arithmetic is NumPy's. A variable has the type of what was last assigned to it, where Numba gives it one type that holds all it is ever
assigned. Integers below 64 bits wrap around in each operation, where Numba computes in 64 bits; an integer in the text or in a slot takes
the type of the number beside it, where Numba makes a float64 of a float32 and an integer. Kernels that cast each value see no difference.

>>> import numpy as np
>>> from numtape.kernels.cuda import emulator
>>> double = emulator.function("double", '''
... from numtape.kernels.cuda.intrinsics import *
...
... def kernel(args):
...     p = slots(args)
...     i = block_x() * threads_x() + thread_x()
...     if i < p[1]:
...         out_f32(p[0])[i] *= f32(2)
... ''')
>>> x = np.arange(5, dtype=np.float32)
>>> memory = emulator.Memory()
>>> memory.add(x.ctypes.data, x.nbytes)
>>> emulator.run(double, 2, 4, [x.ctypes.data, 5], memory)
>>> x
array([0., 2., 4., 6., 8.], dtype=float32)
"""

from __future__ import annotations

import itertools
import random
import threading

import numpy as np

from numtape.kernels.cuda.emulated_memory import Memory
from numtape.kernels.cuda.emulated_state import EmulatorError, OutOfRange, now, place
from numtape.kernels.cuda.emulated_text import Function, function
from numtape.kernels.cuda.emulated_words import Slots, forget_pointers

__all__ = ["EmulatorError", "Function", "Memory", "OutOfRange", "function", "order", "run"]

WARP = 32
MOST_BLOCKS, MOST_THREADS, MOST_SLOTS = (2**31 - 1, 65535, 65535), 1024, 96
RETURNED = -1  # in place of what a thread waits for

order: str | int = "forward"  # of blocks and threads: "forward", "backward", or a seed for an order that changes at every barrier

_running = threading.Lock()


def run(function: Function, grid, block, slots, memory: Memory) -> None:
    """Launch a kernel.

    grid, block: numbers of blocks and of threads in a block, ints or (x, y, z). slots: the kernel's slots as ints (floats as their
    bits). memory: what it may touch. Raises `EmulatorError` for what the kernel does wrong, `ValueError` for a launch that no card takes.
    """
    grid, block = _three("grid", grid), _three("block", block)
    if any(size > most for size, most in zip(grid, MOST_BLOCKS)) or block[0] * block[1] * block[2] > MOST_THREADS or len(slots) > MOST_SLOTS:
        raise ValueError(f"run: {function.name}: a grid of {grid} blocks of {block} threads with {len(slots)} slots is beyond a card's limits")
    threads = [(x, y, z) for z, y, x in itertools.product(*map(range, block[::-1]))]
    blocks = [(x, y, z) for z, y, x in itertools.product(*map(range, grid[::-1]))]
    arrange = _arrangement(order)
    run_block = _in_lockstep if function.waits else _one_by_one
    with _running, np.errstate(all="ignore"):
        now.begin(function, grid, block, Slots(enumerate(map(int, slots))), memory)
        try:
            for b in arrange(blocks):
                now.enter(b)
                run_block(function, threads, arrange)
        except EmulatorError:
            raise
        except Exception as error:
            error.add_note(f"in {place()}")
            raise
        finally:
            for allocation in now.touched:
                allocation.stamps = {}
            forget_pointers()


def _three(name, size):
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    if not 1 <= len(sizes) <= 3 or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise ValueError(f"run: {name} is {size}; expected a positive int, or up to three")
    return sizes + (1,) * (3 - len(sizes))


def _arrangement(order):
    """A function that brings a list into the order that was asked for."""
    if order == "forward":
        return lambda items: items
    if order == "backward":
        return lambda items: items[::-1]
    generator = random.Random(order)
    return lambda items: generator.sample(items, len(items))


def _one_by_one(function, threads, arrange):
    """A block of a kernel that waits for nobody."""
    kernel, phase = function.kernel, now.phase
    for t in arrange(range(len(threads))):
        now.thread, now.me = threads[t], phase + t
        kernel(0)


def _in_lockstep(function, threads, arrange):
    """A block of a kernel whose threads wait for each other: all run until they wait or return, then those go on that may."""
    count = len(threads)
    everyone = range(count)
    resume = [function.kernel(0).send for _ in everyone]
    requests, answers = [RETURNED] * count, [None] * count  # what each thread waits for: see `emulated_text`
    ready = arrange(everyone)
    while True:
        phase = now.phase
        for t in ready:
            now.thread, now.me = threads[t], phase + t
            try:
                requests[t] = resume[t](answers[t])
            except StopIteration:
                requests[t] = RETURNED
        first = requests[0]
        if type(first) is int and requests.count(first) == count:
            if first == RETURNED:
                return
            now.pass_barrier()
            ready = arrange(everyone)
        else:
            ready = arrange(_shuffled(function, threads, requests, answers))
            if not ready:
                raise _divergence(function, "barrier()", threads, requests, "all threads of the block")


def _shuffled(function, threads, requests, answers):
    """The threads whose warps have come to a shuffle; their answers are the other lanes' values."""
    ready = []
    for start in range(0, len(requests), WARP):
        lanes = requests[start : start + WARP]
        kinds = set(map(type, lanes))
        if kinds == {int}:
            continue
        if len(lanes) < WARP or kinds != {tuple} or len({number for number, _, _ in lanes}) > 1:
            raise _divergence(function, "a shuffle", threads[start : start + WARP], lanes, f"all {WARP} lanes of a warp")
        for mask in {mask for _, _, mask in lanes}:
            if not 0 <= mask < WARP:
                raise EmulatorError(f"kernel {function.name}, {function.told(lanes[0][0])}: the mask is {mask}; a warp has {WARP} lanes")
        answers[start : start + WARP] = [lanes[lane ^ int(mask)][1] for lane, (_, _, mask) in enumerate(lanes)]
        ready += range(start, start + WARP)
    return ready


def _divergence(function, what, threads, requests, who):
    """The error for threads that wait in different places."""
    places: dict = {}
    for thread, request in zip(threads, requests):
        number = request if type(request) is int else request[0]
        places.setdefault("returned" if number == RETURNED else f"came to {function.told(number)}", []).append(thread)
    told = [f"{_some(found)} {where}" for where, found in places.items()]
    return EmulatorError(f"kernel {function.name}, block {now.block}: divergence: {what} must be reached by {who}, but " + "; ".join(told))


def _some(threads):
    if len(threads) == 1:
        return f"thread {threads[0]}"
    return f"{len(threads)} threads ({', '.join(map(str, threads[:3]))}{', ...' if len(threads) > 3 else ''})"
