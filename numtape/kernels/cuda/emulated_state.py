"""What the emulator is running at this moment, and how a fault is told: with the kernel's line, the thread and the block.

Time in a launch is counted in *phases*: a new one begins with every block (the emulator runs blocks one after another) and with every
barrier. A *stamp* is ``phase + thread``, with phases that are multiples of `PHASE`; it says when and by whom an element was touched.
Two threads' accesses are ordered only if a barrier of their block lies between, so the stamp of another thread is in order if it is of
this block and of an earlier phase:

    now.start <= stamp < now.phase

Shuffles order nothing: CUDA lets the lanes of a warp exchange registers, and promises nothing about their memory.
"""

from __future__ import annotations

import linecache
import sys

PHASE = 2048  # more than the threads of a block
SEVERAL = PHASE - 1  # stands for a thread where several threads of one phase did the same
SEVERAL_BLOCKS = 0  # the stamp that stands for threads of several blocks: before every phase


class EmulatorError(RuntimeError):
    """A kernel does what a card forbids, or what it leaves to chance."""


class OutOfRange(EmulatorError, IndexError):
    """An access outside of memory that the kernel was given."""


class Now:
    """The launch that runs, and the thread whose turn it is. There is one, `now`: one launch runs at a time."""

    __slots__ = (
        *("function", "blocks", "threads", "slots", "memory", "touched"),  # of the launch: sizes of grid and block, allocations with stamps
        *("block", "shared", "start"),  # of the block: its number, its shared arrays, its first phase
        *("phase", "several", "moments"),  # of the phase: its number, the stamp of several threads, the block of each phase
        *("thread", "me"),  # of the thread: its number, its stamp
    )

    def begin(self, function, grid, block, slots, memory):
        self.function, self.blocks, self.threads, self.slots, self.memory = function, grid, block, slots, memory
        self.moments = [None]  # no phase has the number 0
        self.touched = set()
        self.phase, self.thread = 0, None

    def enter(self, block):
        """A block begins."""
        self.block, self.shared = block, {}
        self.pass_barrier()
        self.start = self.phase

    def pass_barrier(self):
        self.phase += PHASE
        self.several = self.phase + SEVERAL
        self.moments.append(self.block)


now = Now()


def fail(message, kind=EmulatorError):
    """Raise an error about what the running thread does, naming the line of the kernel that does it."""
    raise kind(f"{place()}: {message}")


def place():
    """Where the running thread is, in words."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != now.function.file:
        frame = frame.f_back
    line = "" if frame is None else f", line {frame.f_lineno} `{source(now.function, frame.f_lineno)}`"
    return f"kernel {now.function.name}{line}, thread {now.thread} of block {now.block}"


def source(function, line):
    return linecache.getline(function.file, line).strip()


def told(stamp):
    """Who left a stamp, in words."""
    if stamp == SEVERAL_BLOCKS:
        return "threads of several blocks"
    phase, number = divmod(stamp, PHASE)
    x, y, _ = now.threads
    who = "several threads" if number == SEVERAL else f"thread {(number % x, number // x % y, number // (x * y))}"
    return f"{who} of block {now.moments[phase]}"


def race(doing, place, stamp, did):
    """Raise an error about two accesses to a place that nothing orders."""
    between = "nothing orders what two blocks do" if stamp < now.start else "no barrier lies between"
    fail(f"race: {doing} {place}, which {told(stamp)} {did}; {between}")
