"""Convolutions of one channel at a time, a part of the window pattern: columns would be as large as the work is.

A plane of results belongs to one plane of the image: result channel o to image channel o / multiplier. Each line of results is the sum of
shifted lines of the image times an element of the kernel, which is SIMD code along the line. Sums run over the kernel's elements in order.

Slots: out and the two operands (result, image, weight for `forward`; image, gradient, weight for `backward`; weight, gradient, image
for `weights`); sizes of image, result and kernel; stride, padding, dilation (three each); samples, channels of the image, multiplier.
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import GRAIN, SIZES

AT_ONCE = 7  # elements of a line of the kernel that are added in one loop

HEAD = '''"""depthwise {kind}: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    D, H, W, OD, OH, OW = p[3], p[4], p[5], p[6], p[7], p[8]
    KD, KH, KW, step = p[9], p[10], p[11], p[14]
    samples, channels, multiplier = p[21], p[22], p[23]
    taps = KD * KH * KW
'''

FORWARD = """
    a = min(quotient(p[17] + step - 1, step), OW)  # results from a on, before b, see the image with every element of the kernel's line
    b = W - 1 - (KW - 1) * p[20] + p[17]
    b = max(min(quotient(b, step) + 1, OW), a) if b >= 0 else a
    for plane in range(start, stop):
        sample = quotient(plane, channels * multiplier)
        o = plane - sample * channels * multiplier
        image = sample * channels + quotient(o, multiplier)
        for line in range(OD * OH):
            od = quotient(line, OH)
            out = out_{code}(p[0] + {size} * (plane * OD * OH + line) * OW)
            for i in range(OW):
                out[i] = {code}(0)
            for row in range(KD * KH):
                kd = quotient(row, KH)
                d = od * p[12] + kd * p[18] - p[15]
                h = (line - od * OH) * p[13] + (row - kd * KH) * p[19] - p[16]
                if d >= 0 and d < D and h >= 0 and h < H:
                    weight = in_{code}(p[2] + {size} * (o * taps + row * KW))
                    x = in_{code}(p[1] + {size} * (((image * D + d) * H + h) * W - p[17]))
                    for side in range(2):
                        for i in range(b if side else 0, OW if side else a):
                            for k in range(KW):
                                w = i * step + k * p[20] - p[17]
                                if w >= 0 and w < W:
                                    out[i] = {code}(out[i] + weight[k] * x[w + p[17]])
{interior}
"""
BACKWARD = """
    for plane in range(start, stop):
        sample = quotient(plane, channels)
        c = plane - sample * channels
        zeroed = out_{code}(p[0] + {size} * plane * D * H * W)
        for i in range(D * H * W):
            zeroed[i] = {code}(0)
        for o in range(c * multiplier, c * multiplier + multiplier):
            result = (sample * channels * multiplier + o) * OD * OH
            for tap in range(taps):
                kd = quotient(tap, KH * KW)
                kh = quotient(tap, KW) - kd * KH
                shift = (tap - (kd * KH + kh) * KW) * p[20] - p[17]
                low = quotient(max(-shift, 0) + step - 1, step)
                high = min(quotient(max(W - shift, 0) + step - 1, step), OW)
                factor = in_{code}(p[2])[o * taps + tap]
                for line in range(OD * OH):
                    od = quotient(line, OH)
                    d = od * p[12] + kd * p[18] - p[15]
                    h = (line - od * OH) * p[13] + kh * p[19] - p[16]
                    if d >= 0 and d < D and h >= 0 and h < H:
                        out = out_{code}(p[0] + {size} * (((plane * D + d) * H + h) * W + shift))
                        g = in_{code}(p[1] + {size} * (result + line) * OW)
                        for i in range(low, high):
                            out[i{step}] = {code}(out[i{step}] + factor * g[i])
"""

WEIGHTS = """
    for unit in range(start, stop):
        o = quotient(unit, taps)
        tap = unit - o * taps
        kd = quotient(tap, KH * KW)
        kh = quotient(tap, KW) - kd * KH
        shift = (tap - (kd * KH + kh) * KW) * p[20] - p[17]
        low = quotient(max(-shift, 0) + step - 1, step)
        high = min(quotient(max(W - shift, 0) + step - 1, step), OW)
        total = f64(0)
        for sample in range(samples):
            image = sample * channels + quotient(o, multiplier)
            result = (sample * channels * multiplier + o) * OD * OH
            for line in range(OD * OH):
                od = quotient(line, OH)
                d = od * p[12] + kd * p[18] - p[15]
                h = (line - od * OH) * p[13] + kh * p[19] - p[16]
                if d >= 0 and d < D and h >= 0 and h < H:
                    x = in_{code}(p[2] + {size} * (((image * D + d) * H + h) * W + shift))
                    g = in_{code}(p[1] + {size} * (result + line) * OW)
                    part = {code}(0)
                    for i in range(low, high):
                        part = sum_of(part, {code}(g[i] * x[i{step}]))
                    total += f64(part)
        out_{code}(p[0])[unit] = {code}(total)
"""


def interior_lines(code, width, step):
    """The lines that add a line of the kernel, of `width` elements, to results that see the image with each of them; all at once if few."""
    pointer = f"in_{code}(p[1] + {SIZES[code]} * (((image * D + d) * H + h) * W - p[17] + {{k}} * p[20]))"
    if width > AT_ONCE:
        lines = ["for k in range(KW):", "    factor, shifted = weight[k], " + pointer.format(k="k"), "    for i in range(a, b):"]
        return [*lines, f"        out[i] = {code}(out[i] + factor * shifted[i{step}])"]
    lines = [f"w{k}, x{k} = weight[{k}], {pointer.format(k=k)}" for k in range(width)]
    lines += ["for i in range(a, b):", "    total = out[i]"]
    lines += [f"    total = {code}(total + w{k} * x{k}[i{step}])" for k in range(width)]
    return [*lines, "    out[i] = total"]


def depthwise(kind, code, samples, channels, multiplier, image, result, geometry):
    """The launch; `kind` is forward, backward or weights, `geometry`: kernel, stride, padding, dilation."""
    steps = geometry[1][2]
    step = "" if steps == 1 else f" * {steps}" if steps == 2 else " * step"
    body = {"forward": FORWARD, "backward": BACKWARD, "weights": WEIGHTS}[kind]
    interior = "\n".join(" " * 20 + line for line in interior_lines(code, geometry[0][2], step)) if kind == "forward" else ""
    text = HEAD.format(kind=kind, code=code) + body.format(code=code, size=SIZES[code], step=step, interior=interior)
    taps = prod(geometry[0])
    units = {"forward": samples * channels * multiplier, "backward": samples * channels, "weights": channels * multiplier * taps}[kind]
    touched = {"forward": prod(result) * taps, "backward": prod(result) * taps * multiplier, "weights": prod(result) * samples}[kind]
    constants = [*image, *result, *(n for part in geometry for n in part), samples, channels, multiplier]
    return Table(library.kernel(f"depthwise_{kind}", text), units, 1 + GRAIN // max(touched, 1), 3, constants)
