"""The gradient of a weight where every channel is alone, a part of the window pattern: a product would have nothing to share.

A plane of results belongs to one plane of the image: result channel o to image channel o / multiplier. Each element of the gradient is a sum
over lines, SIMD code along the line, added up in float64.

Slots: the weight's gradient, the result's gradient, the image; sizes of image, result and kernel; stride, padding, dilation (three each);
samples, channels of the image, multiplier.
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import GRAIN, SIZES

HEAD = '''"""depthwise weights: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    D, H, W, OD, OH, OW = p[3], p[4], p[5], p[6], p[7], p[8]
    KD, KH, KW, step = p[9], p[10], p[11], p[14]
    samples, channels, multiplier = p[21], p[22], p[23]
    taps = KD * KH * KW
'''

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


def depthwise_weights(code, samples, channels, multiplier, image, result, geometry):
    """The launch; arguments: the weight's gradient, g, image. `geometry`: kernel, stride, padding, dilation."""
    steps = geometry[1][2]
    step = "" if steps == 1 else f" * {steps}" if steps == 2 else " * step"
    text = (HEAD + WEIGHTS).format(code=code, size=SIZES[code], step=step)
    units = channels * multiplier * prod(geometry[0])
    constants = [*image, *result, *(n for part in geometry for n in part), samples, channels, multiplier]
    return Table(library.kernel("depthwise_weights", text), units, 1 + GRAIN // max(prod(result) * samples, 1), 3, constants)
