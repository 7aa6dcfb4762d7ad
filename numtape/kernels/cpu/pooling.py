"""Pooling: kernels that take the largest element or the average of each window of an image, part of the pattern `window`.

The windows are a table of whole numbers: for each dim start, stop and divisor of each window. `largest` and `average` go through each
window of its own. Where windows slide by a fixed step (`sliding`), 32 results beside each other are found together, whatever the length of
a line (lines of 14 and 28 results are usual): a row of the image is first dealt out into as many *phases* as the step has elements, so that
what a tap sees of neighbouring windows lies side by side; what hangs over the image's edge is a number that changes nothing. Loops go
beyond the end of a line to the next multiple of 32, in memory and in results that are written again later.
"""

from __future__ import annotations

from math import prod
from textwrap import indent

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES

GRAIN = 32768  # elements touched that are worth a thread
ABREAST = 32  # results: four registers of float32, which LLVM fills by one step of a loop
PIECE, ROOM = 512, 4096  # results of a line found together at most, and the elements of all phases

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

# Windows that slide. Slots: those of the table's kernels, then the step between windows, the padding, the elements of a window in the
# innermost dim (taps), the results of a piece, the number of planes.
SLIDING = '''"""sliding {name}: {code}, step {step}"""
from numtape.kernels.intrinsics import *
from numtape.kernels._vec_llvm import maximum, where


def kernel(args, start, stop):
    p = slots(args)
    step, padding, taps, piece, planes = p[{last}], p[{last} + 1], p[{last} + 2], p[{last} + 3], p[{last} + 4]{windows}{setup}
    reach = quotient((taps - 1) * SW, {step})
    for plane in range(start, stop):
        for od in range(OD):
            for oh in range(OH):
                for begin in range(0, OW, piece):
                    count = min(piece, OW - begin)
                    whole = (count + {abreast} - 1) & -{abreast}
                    pitch = whole + reach + {abreast}
                    shift = begin * {step} - padding
{begin}
                    for d in range(dims[od], dims[OD + od], SD):
                        for h in range(rows[oh], rows[OH + oh], SH):
                            line = ((plane * D + d) * H + h) * W + shift
                            x = in_{code}(p[{x}] + {size} * line)
{row}
{end}
                    at = (od * OH + oh) * OW + begin
                    ends = whole if plane * OD * OH * OW + at + whole <= stop * OD * OH * OW else count
{finish}
'''
PHASES = """phases = stack_{code}({room})
for i in range({room}):
    phases[i] = {code}({identity})
"""
# The largest elements and sums of columns are found first, then those of their taps. Beyond the image's edges stands what changes nothing.
COLUMNS_BEGIN = """
width = {step} * (count + reach)
low = min(max(-shift, 0), width)
high = max(min(W - shift, width), low)
for c in range((width + {abreast} - 1) & -{abreast}):
    found[c] = {wide}({identity})
"""
COLUMNS_ROW = """
filled = (high - low + {abreast} - 1) & -{abreast}
if line + low + filled > planes * D * H * W:
    filled = high - low
for c in range(low, low + filled):
    found[c] = {columns}
"""
COLUMNS_END = """
for c in range(high, width):
    found[c] = {wide}({identity})
for i in range((count + reach + {abreast} - 1) & -{abreast}):
{deal}
for j in range(whole):
    best[j] = {wide}({identity})
for tap in range(taps):
    place = quotient(tap * SW, {step})
    place += (tap * SW - place * {step}) * pitch
    for j in range(whole):
        best[j] = {combine}
"""
# Windows side by side, as many elements wide as the step, inside of the image: their elements are taken as they are read.
APART_BEGIN = """
for j in range(whole):
    best[j] = {wide}({identity})
"""
APART_ROW = """
filled = whole if line + {step} * whole <= planes * D * H * W else count
for j in range(filled):
    found = best[j]
{take}
    best[j] = found
"""
# With positions rows go one after another, since the first of equal elements is the one that is asked for. What was found goes from one half
# of `best` and `chosen` to the other: a choice between a new number and the one that stands there would become a masked store, which is slow.
LARGEST_BEGIN = """
low = min(quotient(max(-shift, 0) + {step} - 1, {step}), count + reach)
high = max(min(quotient(max(W - shift, 0), {step}), count + reach), low)
for j in range(whole):
    best[old + j] = {wide}({identity})
first = (dims[od] * H + rows[oh]) * W
for j in range(count):
    chosen[old + j] = i32(first + columns[begin + j])
"""
LARGEST_ROW = """
filled = (high - low + {abreast} - 1) & -{abreast}
if line + {step} * (low + filled) > planes * D * H * W:
    filled = high - low
for i in range(low, low + filled):
{deal}
for edge in range(low + count + reach - high):
    i = edge if edge < low else high + edge - low
    for phase in range({step}):
        column = {step} * i + phase + shift
        phases[phase * pitch + i] = x[column - shift] if (column >= 0) & (column < W) else {code}({identity})
for tap in range(taps):
    place = quotient(tap * SW, {step})
    place += (tap * SW - place * {step}) * pitch
    position = line - plane * D * H * W + tap * SW
    for j in range(whole):
        value, before = phases[place + j], best[old + j]
        larger = (value > before) | (value != value)
        best[new + j] = where(larger, value, before)
        chosen[new + j] = where(larger, i32(position + {step} * j), chosen[old + j])
    old, new = new, old
"""
LARGEST_FINISH = """
values, positions = out_{code}(p[0] + {size} * (plane * OD * OH * OW + at)), out_i64(p[1] + 8 * (plane * OD * OH * OW + at))
for j in range(ends):
    values[j] = best[old + j]
for j in range(ends):
    positions[j] = i64(chosen[old + j])
"""
VALUES_FINISH = """
values = out_{code}(p[0] + {size} * (plane * OD * OH * OW + at))
for j in range(ends):
    values[j] = best[j]
"""
AVERAGE_FINISH = """
out = out_{code}(p[0] + {size} * (plane * OD * OH * OW + at))
across = dims[2 * OD + od] * rows[2 * OH + oh]
if p[12] != 0:
    divisor = {code}(p[12])
    for j in range(ends):
        out[j] = {code}(best[j] / divisor)
else:
    for j in range(count):
        out[j] = {code}(best[j] / {code}(across * columns[2 * OW + begin + j]))
"""

# The adjoint of averages over windows that slide. The results from `low` to before `high`, which stand behind the table, have their element
# number `tap` inside of the image.
TAPS = """
                for d in range(dims[od], dims[OD + od], SD):
                    for h in range(rows[oh], rows[OH + oh], SH):
                        for tap in range(taps):
                            low, high = columns[3 * OW + tap], columns[3 * OW + taps + tap]
                            line = (d * H + h) * W + tap * SW - padding
"""
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

LOWEST = {"u16": "0", "u32": "0", "u64": "0", "f16": "-inf", "bf16": "-inf", "f32": "-inf", "f64": "-inf", "u8": "0", "i8": "-(2**7)", "i16": "-(2**15)", "i32": "-(2**31)", "i64": "-(2**63)"}


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
    first, (by, _, taps), size = 4 if kind in ("largest", "values") else 3, geometry, SIZES[code]
    constants = [*image, *result, *step, *([] if first == 4 else [divisor]), *geometry]
    words = {"code": code, "size": size, "windows": WINDOWS.format(first=first)}
    if kind == "spread":
        at = "ow" if by == 1 else f"ow * {by}" if by <= 3 else "ow * stride"
        text = SLIDING_SPREAD.format(**words, taps=TAPS, at=at, steps=at)
    else:
        reach = (taps - 1) * step[2] // by
        room = max(ROOM, 1 << (by * (reach + 2 * ABREAST) - 1).bit_length())
        apart = kind != "largest" and geometry == (by, 0, by) and step[2] == 1 and (by <= 2 or by <= 4 and result[2] > ABREAST // 2) and result[2] * by <= image[2]
        piece = min(PIECE, (room // by - reach - ABREAST) // ABREAST * ABREAST)  # `found` has room for step * (piece + reach), and some
        constants += [piece, planes]
        text = _sliding_text(kind, words, str(by) if by <= 4 else "step", room, first, apart)
    return Table(library.kernel(f"sliding_{kind}", text), planes, 1 + GRAIN // max(2 * prod(image), 1), first, constants)


def _sliding_text(kind, words, by, room, first, apart):
    """The kernel's text; `by` is the step, a number or the name of it; `apart`: windows are side by side and as wide as the step."""
    code = words["code"]
    maximum = "maximum" if code in ("f16", "bf16", "f32", "f64") else "max"
    both = f"{code}({{}} + {{}})" if kind == "average" else f"{maximum}({{}}, {{}})"
    words = words | {
        "name": kind,
        "step": by,
        "last": first + 9 + (first == 3),
        "x": first - 2,
        "room": room,
        "piece": PIECE,
        "abreast": ABREAST,
        "identity": "0" if kind == "average" else LOWEST[code],
        "wide": "f32" if code in ("f16", "bf16") else code,
        "columns": both.format("x[c]", "found[c]"),
        "combine": both.format("phases[place + j]", "best[j]"),
    }
    source = "x" if kind == "largest" else "found"
    if by == "step":
        deal = f"for phase in range(step):\n    phases[phase * pitch + i] = {source}[step * i + phase]"
    else:
        deal = "\n".join(f"phases[{k} * pitch + i] = {source}[{by} * i + {k}]" for k in range(int(by)))
    words["deal"] = indent(deal, 4 * " ")
    if apart:
        words["take"] = indent("\n".join(f"found = {both.format('found', f'x[{by} * j + {k}]')}" for k in range(int(by))), 4 * " ")
        words["name"] += ", windows side by side"
    if kind == "largest":
        setup = PHASES + "best, chosen, old, new = stack_{code}(2 * {piece}), stack_i32(2 * {piece}), 0, {piece}"
        begin, row, end, finish = LARGEST_BEGIN, LARGEST_ROW, "", LARGEST_FINISH
    else:
        setup = "best = stack_{code}({piece})" + ("" if apart else "\nfound = stack_{code}({room})\n" + PHASES)
        begin, row, end = (APART_BEGIN, APART_ROW, "") if apart else (COLUMNS_BEGIN, COLUMNS_ROW, COLUMNS_END)
        finish = AVERAGE_FINISH if kind == "average" else VALUES_FINISH
    parts = zip(("setup", "begin", "row", "end", "finish"), (setup, begin, row, end, finish), (4, 20, 28, 20, 20))
    return SLIDING.format(**words, **{name: indent(part.format(**words).strip("\n"), depth * " ") for name, part, depth in parts})
