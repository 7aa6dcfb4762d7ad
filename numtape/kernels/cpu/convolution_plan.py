"""How a convolution is described to its kernels, and how an image is laid out for them. Does not import Numba.

*Laid out* a channel of an image is `steps` x (D, H, W): with a step (stride) of s along a dim, phase p holds the elements p, p + s, p + 2 s, ...,
of the image behind `front` zeros. There every tap of a kernel is a shift: neighbouring positions meet neighbouring elements, whatever the
stride, the padding and the dilation are, and what looks over the edge meets a zero.

`forward` packs its panels of windows from such an image; so does the gradient of an image, which is a convolution too. `weights` is the gradient
of a weight: the products of a line of the image and a line of the result's gradient, added up.
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES
from numtape.kernels.cpu.matmul_plan import SAME_BITS, UNIT_FLOPS

KERNEL = '''"""convolution, {kind}: {code}; the kernel is numtape/kernels/cpu/convolution.py"""
from numtape.kernels.cpu.convolution import {kind}_{code} as kernel
'''
SLACK = 512  # bytes behind a laid out image, which is read to the end of vectors: at most 8 of 64 bytes
FEW, FEW_K = 4, 16384  # with so few channels of the result in a group windows are not packed
GRAIN = 32768
STEP = 192  # positions of a unit are a multiple of the width of every micro-tile
ROWS = 168  # rows of a weight's gradient that a unit has, a multiple of the height of every micro-tile

# Slots: out, x; sizes of the image and of a laid out phase, steps, zeros in front (three each). A unit is a channel of a sample.
LAY = '''"""lay out: {code}{step}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    D, H, W, QD, QH, QW, SD, SH, step = p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10]
    front = p[13]
    for plane in range(start, stop):
        size = SD * SH * step * QD * QH * QW
        zeroed = out_{code}(p[0] + {size} * plane * size)
        for i in range(size):
            zeroed[i] = {code}(0)
        for phase in range(step):
            low = quotient(max(front - phase, 0) + step - 1, step)  # elements from low on, before high, are in the image
            high = max(min(quotient(max(W + front - phase, 0) + step - 1, step), QW), low)
            for pd in range(SD):
                for ph in range(SH):
                    lines = out_{code}(p[0] + {size} * (plane * size + ((pd * SH + ph) * step + phase) * QD * QH * QW))
                    for qd in range(QD):
                        d = qd * SD + pd - p[11]
                        for qh in range(QH):
                            h = qh * SH + ph - p[12]
                            if d >= 0 and d < D and h >= 0 and h < H:
                                line = (qd * QH + qh) * QW
                                x = in_{code}(p[1] + {size} * (((plane * D + d) * H + h) * W + phase - front))
                                for i in range(low, high):
                                    lines[line + i] = x[i{step}]
'''


def lay(code, planes, image, sizes, steps, front):
    """The launch that lays images out; arguments: out, images. `sizes`: of a phase."""
    step = "" if steps[2] == 1 else " * 2" if steps[2] == 2 else " * step"
    kernel = library.kernel("lay", LAY.format(code=code, size=SIZES[code], step=step))
    touched = prod(sizes) * prod(steps)
    return Table(kernel, planes, 1 + GRAIN // max(touched, 1), 2, [*image, *sizes, *steps, *front])


def _table(kind, code, units, work, constants):
    code = SAME_BITS.get(code, code)
    grain = 1 + UNIT_FLOPS // max(work, 1) if units > 1 else 0
    return Table(library.kernel("convolution", KERNEL.format(kind=kind, code=code)), units, grain, 3, constants, scratch=True)


def forward(code, samples, groups, inner, outer, result, kernel, dilation, sizes, steps):
    """The launch of a convolution; arguments: out, laid out image, weight (groups * outer, inner, kernel).

    `inner`, `outer`: channels of a group, of the image and of the result."""
    L, rows = prod(result), inner * prod(kernel)
    few = outer <= FEW and rows <= FEW_K
    want = 1 if few else max(1, min(32, samples * groups * 2 * outer * rows * L // UNIT_FLOPS))
    block = L if samples * groups >= want else max(STEP, -(-L * samples * groups // (want * STEP)) * STEP)
    blocks = -(-L // block)
    constants = [outer, inner, groups, samples, *result, *kernel, *dilation, *sizes, *steps, block, blocks]
    return _table("forward", code, samples * groups * blocks, 2 * outer * rows * min(block, L), constants)


def weights(code, samples, parts, groups, inner, outer, result, kernel, dilation, sizes, steps, accumulate):
    """The launch of a weight's gradient; arguments: the sums (parts, groups, inner * taps, outer), g, laid out image.

    Sum `part` is that of the samples part, part + parts, ..."""
    L, rows = prod(result), inner * prod(kernel)
    blocks = -(-rows // ROWS)
    constants = [outer, inner, groups, samples, *result, *kernel, *dilation, *sizes, *steps, ROWS, blocks, parts, int(accumulate)]
    return _table("weights", code, parts * groups * blocks, 2 * outer * min(rows, ROWS) * L * -(-samples // parts), constants)
