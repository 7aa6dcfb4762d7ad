"""The window pattern: kernels that look at an image through a small window, for convolutions, pooling and resampling.

An image has one to three spatial dims; the kernels count three, the missing outer ones of size 1. A *plane* is one channel of
one sample, `D * H * W` contiguous elements. What scatters owns a whole plane, and walks it in a fixed order, so any split of
the planes among threads gives the same bits.

* `unfold` (im2col) writes the elements under each window as columns, `fold` (its adjoint, col2im) adds them back.
* `largest` is max pooling with positions, `average` and `spread` are average pooling and its adjoint. Their windows are a table
  of whole numbers: for each dim start, stop and divisor of each window. Where windows slide by a fixed step (`sliding`), a line of
  results is walked once for each element of a window, which is SIMD code; else each result goes through its own window.
* `resample` and its adjoint `unsample` weigh a few elements for each result, by tables of positions and of weights for each dim.
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.depthwise import depthwise_weights as depthwise_weights
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES

GRAIN = 32768  # elements touched that are worth a thread

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

# The loops over the windows of a plane: `window` points to OD, then OH, then OW starts, each followed by as many stops and divisors.
WINDOWS = """
    D, H, W, OD, OH, OW = p[{first}], p[{first} + 1], p[{first} + 2], p[{first} + 3], p[{first} + 4], p[{first} + 5]
    SD, SH, SW = p[{first} + 6], p[{first} + 7], p[{first} + 8]
    dims = in_i64(p[{first} - 1])
    rows = in_i64(p[{first} - 1] + 24 * OD)
    columns = in_i64(p[{first} - 1] + 24 * (OD + OH))
"""
LOOPS = """
        for od in range(OD):
            for oh in range(OH):
                first, behind, across = rows[oh], rows[OH + oh], dims[2 * OD + od] * rows[2 * OH + oh]
                for ow in range(OW):
"""

# Slots: values, positions, x, windows; sizes of image and result, step within a window. A unit is a plane.
LARGEST = '''"""largest: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args){windows}    for plane in range(start, stop):
        values = out_{code}(p[0] + {size} * plane * OD * OH * OW)
        positions = out_i64(p[1] + 8 * plane * OD * OH * OW)
        x = in_{code}(p[2] + {size} * plane * D * H * W){loops}                    best = {code}({lowest})
                    at = (dims[od] * H + rows[oh]) * W + columns[ow]
                    for d in range(dims[od], dims[OD + od], SD):
                        for h in range(first, behind, SH):
                            line = (d * H + h) * W
                            for w in range(columns[ow], columns[OW + ow], SW):
                                value = x[line + w]
                                if (value > best) | (value != value):
                                    best = value
                                    at = line + w
                    i = (od * OH + oh) * OW + ow
                    values[i] = best
                    positions[i] = at
'''

# Slots: out, x, windows; sizes of image and result, step within a window; a divisor, or 0 for that of each window.
AVERAGE = '''"""average: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    fixed = p[12]{windows}    for plane in range(start, stop):
        out = out_{code}(p[0] + {size} * plane * OD * OH * OW)
        x = in_{code}(p[1] + {size} * plane * D * H * W){loops}                    total = {code}(0)
                    for d in range(dims[od], dims[OD + od], SD):
                        for h in range(first, behind, SH):
                            line = (d * H + h) * W
                            for w in range(columns[ow], columns[OW + ow], SW):
                                total = {code}(total + x[line + w])
                    count = fixed if fixed != 0 else across * columns[2 * OW + ow]
                    out[(od * OH + oh) * OW + ow] = {code}(total / {code}(count))
'''

# Slots as of `average`, out being the image and x of the result's sizes.
SPREAD = '''"""spread: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    fixed = p[12]{windows}    for plane in range(start, stop):
        out = out_{code}(p[0] + {size} * plane * D * H * W)
        x = in_{code}(p[1] + {size} * plane * OD * OH * OW)
        for i in range(D * H * W):
            out[i] = {code}(0){loops}                    count = fixed if fixed != 0 else across * columns[2 * OW + ow]
                    share = {code}(x[(od * OH + oh) * OW + ow] / {code}(count))
                    for d in range(dims[od], dims[OD + od], SD):
                        for h in range(first, behind, SH):
                            line = (d * H + h) * W
                            for w in range(columns[ow], columns[OW + ow], SW):
                                out[line + w] = {code}(out[line + w] + share)
'''

# The same for windows that slide: a step between windows and a padding in the innermost dim, and so many elements in a window there. The
# results from `low` to before `high`, which stand behind the table, have their element number `tap` inside of the image.
TAPS = """
                for d in range(dims[od], dims[OD + od], SD):
                    for h in range(rows[oh], rows[OH + oh], SH):
                        for tap in range(taps):
                            low, high = columns[3 * OW + tap], columns[3 * OW + taps + tap]
                            line = (d * H + h) * W + tap * SW - padding
"""
# Positions are chosen as int32, which are as wide as most elements, 512 of a line at a time, and widened last.
# They go by masks, in loops of their own: with two choices in one loop LLVM branches at the end of a line, and half of that is mispredicted.
SLIDING_LARGEST = '''"""sliding largest: {code}, {steps}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    stride, padding, taps = p[13], p[14], p[15]{windows}    room = stack_words(512)
    chosen, found, mask, masked = out_i32(room), in_i32(room), out_i32(room + 2048), in_i32(room + 2048)
    for plane in range(start, stop):
        for od in range(OD):
            for oh in range(OH):
                result = plane * OD * OH * OW + (od * OH + oh) * OW
                values, positions = out_{code}(p[0] + {size} * result), out_i64(p[1] + 8 * result)
                first = (dims[od] * H + rows[oh]) * W
                for begin in range(0, OW, 512):
                    end = min(begin + 512, OW)
                    for ow in range(begin, end):
                        values[ow] = {code}({lowest})
                        chosen[ow - begin] = i32(first + columns[ow]){taps}                                low, high = max(low, begin), min(high, end)
                                x = in_{code}(p[2] + {size} * (plane * D * H * W + line))
                                for ow in range(low, high):
                                    value = x[{at}]
                                    mask[ow - begin] = i32(-i32((value > values[ow]) | (value != value)))
                                for ow in range(low, high):
                                    value = x[{at}]
                                    values[ow] = value if (value > values[ow]) | (value != value) else values[ow]
                                for ow in range(low, high):
                                    before = found[ow - begin]
                                    chosen[ow - begin] = i32(before ^ ((i32(line + {at}) ^ before) & masked[ow - begin]))
                    for ow in range(begin, end):
                        positions[ow] = i64(found[ow - begin])
'''
SLIDING_VALUES = '''"""sliding largest without positions: {code}, {steps}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    stride, padding, taps = p[13], p[14], p[15]{windows}    for plane in range(start, stop):
        for od in range(OD):
            for oh in range(OH):
                values = out_{code}(p[0] + {size} * (plane * OD * OH * OW + (od * OH + oh) * OW))
                for ow in range(OW):
                    values[ow] = {code}({lowest}){taps}                            x = in_{code}(p[2] + {size} * (plane * D * H * W + line))
                            for ow in range(low, high):
                                value = x[{at}]
                                values[ow] = value if (value > values[ow]) | (value != value) else values[ow]
'''
SLIDING_AVERAGE = '''"""sliding average: {code}, {steps}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    fixed, stride, padding, taps = p[12], p[13], p[14], p[15]{windows}    for plane in range(start, stop):
        for od in range(OD):
            for oh in range(OH):
                out = out_{code}(p[0] + {size} * (plane * OD * OH * OW + (od * OH + oh) * OW))
                for ow in range(OW):
                    out[ow] = {code}(0){taps}                            x = in_{code}(p[1] + {size} * (plane * D * H * W + line))
                            for ow in range(low, high):
                                out[ow] = {code}(out[ow] + x[{at}])
                across = dims[2 * OD + od] * rows[2 * OH + oh]
                for ow in range(OW):
                    out[ow] = {code}(out[ow] / {code}(fixed if fixed != 0 else across * columns[2 * OW + ow]))
'''
SLIDING_SPREAD = '''"""sliding spread: {code}, {steps}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    fixed, stride, padding, taps = p[12], p[13], p[14], p[15]{windows}    for plane in range(start, stop):
        zeroed = out_{code}(p[0] + {size} * plane * D * H * W)
        for i in range(D * H * W):
            zeroed[i] = {code}(0)
        for od in range(OD):
            for oh in range(OH):
                x = in_{code}(p[1] + {size} * (plane * OD * OH * OW + (od * OH + oh) * OW))
                across = dims[2 * OD + od] * rows[2 * OH + oh]{taps}                            out = out_{code}(p[0] + {size} * (plane * D * H * W + line))
                            for ow in range(low, high):
                                share = x[ow] / {code}(fixed if fixed != 0 else across * columns[2 * OW + ow])
                                out[{at}] = {code}(out[{at}] + share)
'''
SLIDING = {"largest": SLIDING_LARGEST, "values": SLIDING_VALUES, "average": SLIDING_AVERAGE, "spread": SLIDING_SPREAD}

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

LOWEST = {"u16": "0", "u32": "0", "u64": "0", "f16": "-inf", "bf16": "-inf", "f32": "-inf", "f64": "-inf", "u8": "0", "i8": "-(2**7)", "i16": "-(2**15)", "i32": "-(2**31)", "i64": "-(2**63)"}


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


def _windows(name, template, code, first, planes, image, result, step, touched, arguments, constants=()):
    windows = WINDOWS.format(first=first)
    text = template.format(code=code, size=SIZES[code], windows=windows, loops=LOOPS, lowest=LOWEST.get(code))
    return Table(library.kernel(name, text), planes, 1 + GRAIN // max(touched, 1), arguments, [*image, *result, *step, *constants])


def largest(code, planes, image, result, step):
    """The launch of max pooling; arguments: values, positions, image, windows."""
    return _windows("largest", LARGEST, code, 4, planes, image, result, step, 2 * prod(image), 4)


def average(code, planes, image, result, step, divisor):
    """The launch of average pooling; arguments: out, image, windows. `divisor`: that of all windows, or 0."""
    return _windows("average", AVERAGE, code, 3, planes, image, result, step, 2 * prod(image), 3, [divisor])


def spread(code, planes, image, result, step, divisor):
    """The launch of the adjoint of `average`; arguments: image, x, windows."""
    return _windows("spread", SPREAD, code, 3, planes, image, result, step, 2 * prod(image), 3, [divisor])


def sliding(kind, code, planes, image, result, step, geometry, divisor=0):
    """The launch of a pooling kernel for windows that slide: `kind` is largest, values (largest without positions), average or spread.

    `geometry`: of the innermost dim, the step from window to window, the padding, the number of elements in a window.
    """
    first = 4 if kind in ("largest", "values") else 3
    at = "ow" if geometry[0] == 1 else f"ow * {geometry[0]}" if geometry[0] <= 3 else "ow * stride"
    taps = TAPS.replace("\n", "\n    ").rstrip(" ") if kind == "largest" else TAPS
    text = SLIDING[kind].format(
        code=code, size=SIZES[code], windows=WINDOWS.format(first=first), taps=taps, lowest=LOWEST.get(code), at=at, steps=at
    )
    constants = [*image, *result, *step, *([] if first == 4 else [divisor]), *geometry]
    return Table(library.kernel(f"sliding_{kind}", text), planes, 1 + GRAIN // max(2 * prod(image), 1), first, constants)


def resample(code, planes, image, result, taps, adjoint=False):
    """The launch of a weighted choice of elements, `taps` of them in each dim; arguments: out, x, three times positions and weights."""
    body = (UNSAMPLE if adjoint else RESAMPLE).format(code=code, size=SIZES[code], taps=taps)
    name = "unsample" if adjoint else "resample"
    text = SAMPLES.format(name=name, code=code, taps=" x ".join(map(str, taps)), body=body.strip("\n"))
    return Table(library.kernel(name, text), planes, 1 + GRAIN // max(prod(result) * prod(taps), 1), 8, [*image, *result])


