"""The words of CUDA kernels in plain Python: the names of `numtape.kernels.cuda.intrinsics`, over the emulator's memory.

Values that a kernel loads or casts are NumPy scalars, which wrap around and round as the card's; slots and thread numbers are Python
integers, which are cheap. A word that waits for other threads (`barrier`, shuffles) is not called: `emulator` turns the call into a
``yield``. Arrays in shared memory get the number of their place in the text as a second parameter.
"""

from __future__ import annotations

import functools
import struct

import numpy as np

from numtape.kernels.cuda.emulated_memory import Shared, Stack, fail, pointer
from numtape.kernels.cuda.emulated_state import now
from numtape.kernels.cuda.plain_twins import CASTS, SCALARS

KINDS = [name for name in SCALARS if name != "u64"]  # what memory may hold
SHUFFLED = ("i32", "i64", "f32", "f64")
KEPT = 4096  # pointers that are kept for the other threads of a launch

nan, inf = np.float64(np.nan), np.float64(np.inf)
words = {"nan": nan, "inf": inf, **CASTS}
_pointers: list[dict] = []  # by address, for each word that makes them


def word(function):
    words[function.__name__] = function
    return function


def forget_pointers():
    """At the end of a launch: what an address holds may change."""
    for kept in _pointers:
        kept.clear()


@word
def inline(function):
    return function


# ------------------------------------------------------------------------------------------------ slots
class Slots(dict):
    """The slots of a launch by number, so that no other number finds one."""

    def __missing__(self, k):
        fail(f"reads slot {k} of {len(self)}")


@word
def slots(args):
    return now.slots


def _slot_float(name):
    cast = CASTS[name]

    @functools.lru_cache(1024)
    def from_bits(bits):
        return cast(struct.unpack("<d", struct.pack("<q", bits))[0])

    return lambda p, k: from_bits(p[k])


words |= {"slot_f32": _slot_float("f32"), "slot_f64": _slot_float("f64")}


# ------------------------------------------------------------------------------------------------ memory
def _pointer(role, name):
    kept: dict = {}
    _pointers.append(kept)

    def make(address):
        found = kept.get(address)
        if found is None:
            if len(kept) > KEPT:
                kept.clear()
            found = kept[address] = pointer(role, name, int(address))
        return found

    return make


def _load4(name):
    def load4(address):
        at = pointer("in", name, int(address))
        return at[0], at[1], at[2], at[3]

    return load4


def _store4(name):
    def store4(address, a, b, c, d):
        at = pointer("out", name, int(address))
        at[0], at[1], at[2], at[3] = a, b, c, d

    return store4


def _shared(name):
    def shared(count, place):
        found = now.shared.get(place)
        if found is None:
            found = now.shared[place] = Shared(name, count)
        return found

    return shared


for _name in KINDS:
    words[f"in_{_name}"], words[f"out_{_name}"] = _pointer("in", _name), _pointer("out", _name)
    words[f"load4_{_name}"], words[f"store4_{_name}"] = _load4(_name), _store4(_name)
    words[f"shared_{_name}"], words[f"stack_{_name}"] = _shared(_name), functools.partial(Stack, _name)

# ------------------------------------------------------------------------------------------------ threads
words |= {
    "thread_x": lambda: now.thread[0], "thread_y": lambda: now.thread[1], "thread_z": lambda: now.thread[2],
    "block_x": lambda: now.block[0], "block_y": lambda: now.block[1], "block_z": lambda: now.block[2],
    "threads_x": lambda: now.threads[0], "threads_y": lambda: now.threads[1], "threads_z": lambda: now.threads[2],
    "blocks_x": lambda: now.blocks[0], "blocks_y": lambda: now.blocks[1], "blocks_z": lambda: now.blocks[2],
}  # fmt: skip
WAITING = {"barrier": None, **{f"shuffle_xor_{name}": name for name in SHUFFLED}}  # words that wait, with the dtype they exchange


# ------------------------------------------------------------------------------------------------ arithmetic
@word
def quotient(x, y):
    if x < 0 or y <= 0:
        fail(f"quotient({x}, {y}) takes x >= 0 and y > 0")
    return x // y


@word
def rolled(i):
    return i


@word
def sum_of(x, y):
    return x + y


@word
def product_of(x, y):
    return x * y


@word
def offset_of(p, dims, step, operand, outer, row):
    offset, at = 0, dims
    for _ in range(outer - 1):
        rest = row // p[at]
        offset += (row - rest * p[at]) * p[at + operand]
        row = rest
        at += step
    return offset + row * p[at + operand] if outer > 0 else offset
