"""Kernels whose units of work are small and independent: the CPU's text, one unit a thread.

A CPU kernel `kernel(args, start, stop)` becomes a helper of that name's body, and each thread of a grid-stride loop calls it for one
unit. So sequences and random numbers have one algorithm and two schedules.
"""

from __future__ import annotations

from numtape.kernels.cuda import library
from numtape.kernels.cuda.driver import Table
from numtape.kernels.cuda.elementwise import THREADS, blocks

LOOP = '''

def kernel(args):
    unit = block_x() * threads_x() + thread_x()
    while unit < slots(args)[{units}]:
        units(args, unit, unit + 1)
        unit += blocks_x() * threads_x()
'''


def table(name, text, units, arguments, constants):
    """The launch of a CPU kernel's text over `units`, of which the number is added as the last slot."""
    text = text.replace("from numtape.kernels.intrinsics import", "from numtape.kernels.cuda.intrinsics import")
    text = text.replace("\ndef kernel(args, start, stop):", "\n@inline\ndef units(args, start, stop):")
    text = text.rstrip("\n") + "\n" + LOOP.format(units=arguments + len(constants))
    return Table(library.kernel(name, text, THREADS), blocks(units), THREADS, arguments, [*constants, units])
