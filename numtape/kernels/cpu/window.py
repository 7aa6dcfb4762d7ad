"""The window pattern: kernels that look at an image through a small window, for convolutions, pooling and resampling.

An image has one to three spatial dims; the kernels count three, the missing outer ones of size 1. A *plane* is one channel of
one sample, `D * H * W` contiguous elements. What scatters owns a whole plane, and walks it in a fixed order, so any split of
the planes among threads gives the same bits.

* `unfold` (im2col) writes the elements under each window as columns, `fold` (its adjoint, col2im) adds them back.
* `largest` is max pooling with positions, `average` and `spread` are average pooling and its adjoint; `sliding` is one of them for windows
  that slide by a fixed step (`pooling`).
* `resample` and its adjoint `unsample` weigh a few elements for each result, by tables of positions and of weights for each dim.
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.depthwise import depthwise_weights as depthwise_weights
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES
from numtape.kernels.cpu.pooling import GRAIN
from numtape.kernels.cpu.pooling import average as average
from numtape.kernels.cpu.pooling import largest as largest
from numtape.kernels.cpu.pooling import sliding as sliding
from numtape.kernels.cpu.pooling import spread as spread

# Slots: out, x; sizes of image, result, kernel; stride, padding, dilation (three each); the range of positions.
# A unit is one tap of the kernel in one plane: one row of the columns (planes * taps, stop - start).
UNFOLD = '''"""unfold: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    D, H, W, OH, OW = p[2], p[3], p[4], p[6], p[7]
    KD, KH, KW, step = p[8], p[9], p[10], p[13]
    first, last = p[20], p[21]
    for unit in range(start, stop):
        plane = quotient(unit, KD * KH * KW)
        tap = unit - plane * KD * KH * KW
        kd = quotient(tap, KH * KW)
        kh = quotient(tap, KW) - kd * KH
        kw = tap - (kd * KH + kh) * KW
        shift = kw * p[19] - p[16]
        low = quotient(max(-shift, 0) + step - 1, step)  # results from low on, before high, see the image
        high = quotient(max(W - shift, 0) + step - 1, step)
        out = p[0] + {size} * unit * (last - first)
        position = first
        while position < last:
            line = quotient(position, OW)
            begin = position - line * OW
            end = min(OW, begin + last - position)
            od = quotient(line, OH)
            d = od * p[11] + kd * p[17] - p[14]
            h = (line - od * OH) * p[12] + kh * p[18] - p[15]
            to = out_{code}(out + {size} * (position - first - begin))
            a = b = begin
            if d >= 0 and d < D and h >= 0 and h < H:
                a = min(max(low, begin), end)
                b = max(min(high, end), a)
                x = in_{code}(p[1] + {size} * (((plane * D + d) * H + h) * W + shift))
                if step == 1:
                    for i in range(a, b):
                        to[i] = x[i]
                else:
                    for i in range(a, b):
                        to[i] = x[i * step]
            for i in range(begin, a):
                to[i] = {code}(0)
            for i in range(b, end):
                to[i] = {code}(0)
            position += end - begin
'''

# Slots as of `unfold`, without a range; out is the image, x the columns. A unit is a plane.
FOLD = '''"""fold: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    D, H, W, OD, OH, OW = p[2], p[3], p[4], p[5], p[6], p[7]
    KD, KH, KW, step = p[8], p[9], p[10], p[13]
    for plane in range(start, stop):
        zeroed = out_{code}(p[0] + {size} * plane * D * H * W)
        for i in range(D * H * W):
            zeroed[i] = {code}(0)
        for tap in range(KD * KH * KW):
            kd = quotient(tap, KH * KW)
            kh = quotient(tap, KW) - kd * KH
            kw = tap - (kd * KH + kh) * KW
            shift = kw * p[19] - p[16]
            low = quotient(max(-shift, 0) + step - 1, step)
            high = min(quotient(max(W - shift, 0) + step - 1, step), OW)
            for line in range(OD * OH):
                od = quotient(line, OH)
                d = od * p[11] + kd * p[17] - p[14]
                h = (line - od * OH) * p[12] + kh * p[18] - p[15]
                if d >= 0 and d < D and h >= 0 and h < H:
                    out = out_{code}(p[0] + {size} * (((plane * D + d) * H + h) * W + shift))
                    x = in_{code}(p[1] + {size} * ((plane * KD * KH * KW + tap) * OD * OH + line) * OW)
                    if step == 1:
                        for i in range(low, high):
                            out[i] = {code}(out[i] + x[i])
                    else:
                        for i in range(low, high):
                            out[i * step] = {code}(out[i * step] + x[i])
'''

# Slots: out, x, then positions and weights of each dim (three pairs); sizes of image and result. A unit is a plane.
SAMPLES = '''"""{name}: {code}, {taps} taps"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    D, H, W, OD, OH, OW = p[8], p[9], p[10], p[11], p[12], p[13]
    dims, rows, columns = in_i64(p[2]), in_i64(p[4]), in_i64(p[6])
    of_dim, of_row, of_column = in_{code}(p[3]), in_{code}(p[5]), in_{code}(p[7])
    for plane in range(start, stop):
{body}
'''
RESAMPLE = """
        out = out_{code}(p[0] + {size} * plane * OD * OH * OW)
        x = in_{code}(p[1] + {size} * plane * D * H * W)
        for od in range(OD):
            for oh in range(OH):
                line = (od * OH + oh) * OW
                for ow in range(OW):
                    out[line + ow] = {code}(0)
                for a in range({taps[0]}):
                    for b in range({taps[1]}):
                        weight = of_dim[od * {taps[0]} + a] * of_row[oh * {taps[1]} + b]
                        base = (dims[od * {taps[0]} + a] * H + rows[oh * {taps[1]} + b]) * W
                        for ow in range(OW):
                            total = {code}(0)
                            for c in range({taps[2]}):
                                total = {code}(total + of_column[ow * {taps[2]} + c] * x[base + columns[ow * {taps[2]} + c]])
                            out[line + ow] = {code}(out[line + ow] + weight * total)
"""
UNSAMPLE = """
        out = out_{code}(p[0] + {size} * plane * D * H * W)
        x = in_{code}(p[1] + {size} * plane * OD * OH * OW)
        for i in range(D * H * W):
            out[i] = {code}(0)
        for od in range(OD):
            for oh in range(OH):
                line = (od * OH + oh) * OW
                for a in range({taps[0]}):
                    for b in range({taps[1]}):
                        weight = of_dim[od * {taps[0]} + a] * of_row[oh * {taps[1]} + b]
                        base = (dims[od * {taps[0]} + a] * H + rows[oh * {taps[1]} + b]) * W
                        for ow in range(OW):
                            share = {code}(weight * x[line + ow])
                            for c in range({taps[2]}):
                                i = base + columns[ow * {taps[2]} + c]
                                out[i] = {code}(out[i] + of_column[ow * {taps[2]} + c] * share)
"""

# The body of a line kernel: each element goes where its position says; the last of equal positions stays.
PLACE = """
for i in range(length):
    k = in1[i * step2]
    if k < 0 or k >= size:
        bad[0] = 1
        bad[1] = in1[i * step2]
    else:
        out0[k * step0] = in0[i * step1]
"""


def unfold(code, planes, image, result, geometry, first, last):
    """The launch that writes the columns of positions first to last; arguments: columns, image. `geometry`: kernel, stride, padding, dilation."""
    kernel = library.kernel("unfold", UNFOLD.format(code=code, size=SIZES[code]))
    constants = [*image, *result, *(n for part in geometry for n in part), first, last]
    return Table(kernel, planes * prod(geometry[0]), 1 + GRAIN // max(last - first, 1), 2, constants)


def fold(code, planes, image, result, geometry):
    """The launch that adds columns up into images; arguments: image, columns."""
    kernel = library.kernel("fold", FOLD.format(code=code, size=SIZES[code]))
    constants = [*image, *result, *(n for part in geometry for n in part)]
    return Table(kernel, planes, 1 + GRAIN // max(prod(geometry[0]) * prod(result), 1), 2, constants)


def resample(code, planes, image, result, taps, adjoint=False):
    """The launch of a weighted choice of elements, `taps` of them in each dim; arguments: out, x, three times positions and weights."""
    body = (UNSAMPLE if adjoint else RESAMPLE).format(code=code, size=SIZES[code], taps=taps)
    name = "unsample" if adjoint else "resample"
    text = SAMPLES.format(name=name, code=code, taps=" x ".join(map(str, taps)), body=body.strip("\n"))
    return Table(library.kernel(name, text), planes, 1 + GRAIN // max(prod(result) * prod(taps), 1), 8, [*image, *result])


