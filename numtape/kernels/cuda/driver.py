"""Launches as data for cards, and what storage and dispatch ask of a card: the twin of the CPU's driver.

A table's header holds, instead of code, two Python functions; the CPU's built-ins `launch` and `launch_new` call them with the
arguments that they were given. A launch packs its arguments into the front of a block of 96 words whose constants stand ready, and
hands the block, the one parameter of every kernel, to the driver, which copies it. All work goes to the thread's current stream.
"""

from __future__ import annotations

import ctypes
import operator
import struct

import numpy as np

from numtape.kernels.cpu import state as at
from numtape.kernels.cpu.driver import launch, launch_new, load, wrap
from numtape.kernels.cuda import copies
from numtape.kernels.cuda.api import OutOfMemoryError, failure
from numtape.kernels.cuda.card import card as card_of
from numtape.kernels.cuda.card import current, local, on, stream_on
from numtape.kernels.cuda.pool import SMALL

__all__ = [
    "OutOfMemoryError",
    "Table",
    "allocate",
    "at_card",
    "copy_from_host",
    "copy_on_device",
    "copy_to_host",
    "index_check",
    "launch",
    "launch_new",
    "memset",
    "multiprocessors",
    "transfer",
]

load()  # a card's launches go through the host's built-ins

BLOCK = 8 * at.MAX_SLOTS
POINTER, SIZE, END = 1, 2, 0  # keys of a launch's `extra`: where the parameter block is, and how long
MAX_GRID = (2**31 - 1, 65535, 65535)


def three(name: str, what: str, size) -> tuple[int, int, int]:
    """An int or a tuple of at most three as (x, y, z)."""
    sizes = (size,) if isinstance(size, int) else tuple(size)
    if not 1 <= len(sizes) <= 3 or min(sizes) < 0:
        raise RuntimeError(f"{name}: expected a {what} of one to three sizes, got {size!r}")
    return (*sizes, 1, 1)[:3]


def parameters(arguments, constants):
    """A parameter block with a table's constants in it, as (block, address of the `extra` that cuLaunchKernel takes, what lives as long)."""
    block = bytearray(BLOCK)
    struct.pack_into(f"={len(constants)}q", block, 8 * arguments, *constants)
    view, size = (ctypes.c_char * BLOCK).from_buffer(block), ctypes.c_size_t(BLOCK)
    words = (ctypes.c_void_p * 5)(POINTER, ctypes.addressof(view), SIZE, ctypes.addressof(size), END)
    return block, ctypes.addressof(words), (view, size, words)


class Table:
    """A launch as data: the kernel, its grid and block (ints or tuples (x, y, z)), and the kernel's slots.

    `arguments` leading slots (addresses, then numbers) are given at each launch; `constants` (ints) follow them. `nbytes` is the size
    of the output of `launch_new`, which becomes slot 0. The table belongs to the card that is current when it is made; a grid of no
    blocks launches nothing.
    """

    __slots__ = ("address", "card", "functions", "kernel", "words")

    def __init__(self, kernel, grid, block, arguments, constants, *, nbytes=0):
        grid, block, constants = three(kernel.name, "grid", grid), three(kernel.name, "block", block), [int(c) for c in constants]
        count, threads = arguments + len(constants), block[0] * block[1] * block[2]
        if count > at.MAX_SLOTS:
            raise RuntimeError(f"{kernel.name}: a kernel takes at most {at.MAX_SLOTS} slots, this layout needs {count}; use fewer dimensions")
        if not 1 <= threads <= kernel.threads or block[2] > 64:
            raise RuntimeError(f"{kernel.name}: a block of {block} has {threads} threads; the kernel was made for 1 to {kernel.threads}")
        if any(n > most for n, most in zip(grid, MAX_GRID)):
            raise RuntimeError(f"{kernel.name}: a grid of {grid} blocks is too large; the most are {MAX_GRID}")
        self.kernel, self.card = kernel, current().card
        self.functions = _functions(self.card, kernel, grid, block, arguments, constants, nbytes)
        self.words = np.zeros(at.TABLE_SLOTS, np.int64)
        self.words[[at.TABLE_KERNEL, at.TABLE_NSLOTS, at.TABLE_NBYTES]] = kernel.address, count, nbytes
        self.words[[at.TABLE_REMOTE, at.TABLE_REMOTE_NEW]] = [id(f) for f in self.functions]
        self.address = self.words.ctypes.data


def _functions(card, kernel, grid, block, arguments, constants, nbytes):
    """What `launch` and `launch_new` of a table do. Every tenth of a microsecond is felt here: names are local, calls few."""
    function, name = kernel.on(card), kernel.name
    (gx, gy, gz), (bx, by, bz), empty = grid, block, 0 in grid
    run, size = card.api.cuLaunchKernel, card.pool.rounded(nbytes)
    small = size <= SMALL
    spare: list = []  # parameter blocks, taken and given back whole, so threads and destructors may launch at any time
    packing = struct.Struct(f"={arguments}q").pack_into, None  # and the types that it is for, None for ints alone

    def launch(*values):
        try:
            stream = local.stream
        except AttributeError:
            stream = current()
        if stream.card is not card or empty:
            return elsewhere(launch, values)
        try:
            words = spare.pop()
        except IndexError:
            words = parameters(arguments, constants)
        pack, kinds = packing
        try:
            if kinds is not None and kinds != tuple(map(type, values)):
                raise struct.error
            pack(words[0], 0, *values)
        except struct.error:
            pack_others(words[0], values)
        code = run(function, gx, gy, gz, bx, by, bz, 0, stream.handle, 0, words[1])[0]
        if code and card.rebind():
            code = run(function, gx, gy, gz, bx, by, bz, 0, stream.handle, 0, words[1])[0]
        spare.append(words)
        if code:
            raise failure(card.api, f"cuLaunchKernel of {name}", code)

    def launch_new(*values):
        try:
            stream = local.stream
        except AttributeError:
            stream = current()
        if stream.card is not card or empty:
            return elsewhere(launch_new, values)
        try:
            memory = (stream.small if small else stream.large).allocate(size)
        except OutOfMemoryError as problem:
            raise OutOfMemoryError(f"{name}: {problem}") from None
        launch(memory.address, *values)
        return wrap(memory.address, nbytes, memory)

    def pack_others(block, values):
        nonlocal packing
        packing = packer(name, arguments, values)
        packing[0](block, 0, *values)

    def elsewhere(function, values):
        """The thread works on another card now, or there is nothing to launch."""
        if not empty:
            with on(stream_on(card)):
                return function(*values)
        return allocate(nbytes, card.index, name) if function is launch_new else None

    return launch, launch_new


def packer(name, arguments, values):
    """(what packs values of the types of these, the types): ints as int64, floats as the bits of a float64, as the CPU's launcher does."""
    if len(values) != arguments:
        raise TypeError(f"{name}: the kernel takes {arguments} arguments, got {len(values)}")
    kinds = tuple(map(type, values))
    for i, (value, kind) in enumerate(zip(values, kinds)):
        if kind is not float:
            if not hasattr(kind, "__index__"):
                raise TypeError(f"{name}: argument {i} is neither an int nor a float: {value!r}")
            if not -(2**63) <= operator.index(value) < 2**63:
                raise OverflowError(f"{name}: argument {i} is too large for int64: {value}")
    return struct.Struct("=" + "".join("d" if kind is float else "q" for kind in kinds)).pack_into, kinds if float in kinds else None


def multiprocessors() -> int:
    """How many multiprocessors the current card has."""
    return current().card.multiprocessors


def at_card(index: int | None):
    """A `with` block that works on the thread's stream of that card: tables are made for it, memory is taken there."""
    return on(stream_on(card_of(index)))


def allocate(nbytes: int, index: int | None = None, op: str = "allocate"):
    """A storage of `nbytes` (uninitialised) on a card, by default the current one; `OutOfMemoryError` where it is too much."""
    stream = current() if index is None else stream_on(card_of(index))
    try:
        block = stream.allocate(nbytes)
    except OutOfMemoryError as problem:
        raise OutOfMemoryError(f"{op}: {problem}") from None
    return wrap(block.address, nbytes, block)


def copy_from_host(address: int, host_address: int, nbytes: int) -> None:
    """Copy to the card; the host's memory may change or go away as soon as this returns."""
    copies.from_host(current(), address, host_address, nbytes)


def copy_to_host(host_address: int, address: int, nbytes: int) -> None:
    """Copy to the host and wait; a bad index that a kernel met until then is raised here."""
    copies.to_host(current(), host_address, address, nbytes)


def copy_on_device(address: int, source: int, nbytes: int) -> None:
    """Copy within the card (ranges that do not overlap)."""
    copies.on_card(current(), address, source, nbytes)


def transfer(address: int, where, source: int, source_where, nbytes: int) -> None:
    """Copy between two devices (anything with `type` and `index`), one of which at least is a card.

    To the host it waits; to a card it does not, but what it reads may change or go away when it returns.
    """
    if where.type == "cpu":
        copies.to_host(stream_on(card_of(source_where.index)), address, source, nbytes)
        return
    stream = stream_on(card_of(where.index))
    if source_where.type == "cpu":
        copies.from_host(stream, address, source, nbytes)
    elif source_where.index == where.index:
        copies.on_card(stream, address, source, nbytes)
    else:
        copies.between(stream, address, stream_on(card_of(source_where.index)), source, nbytes)


def memset(address: int, value: int, nbytes: int) -> None:
    """Set bytes to `value` (0 to 255)."""
    copies.fill(current(), address, value, nbytes)


def index_check(name: str, n: int, dim: int):
    """A cell for a kernel that checks indices, about to be launched on the current stream: pass its `.address`, then call `.check()`.

    `.check()` does not wait: the IndexError is raised by the next synchronisation after the kernel has run.
    """
    stream = current()
    return stream.card.checks.new(stream, name, n, dim)
