"""The fastest a core can multiply and add: a loop of fused multiply-adds that never leaves the registers. `numtape.bench` measures rates against it.

A unit is `TRIPS` trips of a loop over `CHAINS` vectors, each multiplied and added to itself: enough of them that none waits for its own
last result (4 cycles, two a cycle, on today's processors), few enough that all stay in registers.
"""

import functools

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table

CHAINS, TRIPS = 12, 16384

TEXT = '''"""multiply_adds: {code}
p[0] out: a number a unit, so that the loop is not left out
"""
from numtape.kernels.intrinsics import *
from numtape.kernels.cpu.peak_calls import multiply_adds


def kernel(args, start, stop):
    p = slots(args)
    for unit in range(start, stop):
        multiply_adds({code}(0), p[0] + 64 * unit, {trips})
'''


@functools.lru_cache(16)
def multiply_adds(code, units):
    """The launch of `units` units, which may be shared among threads; argument: out (64 bytes a unit)."""
    return Table(library.kernel(f"multiply_adds_{code}", TEXT.format(code=code, trips=TRIPS)), units, 1, 1, [])


def flops(code, units):
    """The floating-point operations of that launch."""
    from numtape.kernels.cpu.peak_calls import vector_lanes

    return 2.0 * units * TRIPS * CHAINS * vector_lanes(code)
