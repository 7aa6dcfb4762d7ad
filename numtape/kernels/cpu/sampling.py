"""The sampling pattern: draws whose number of random words is not known beforehand.

Attempt j of element i takes counter block i + 2**40 * j of the draw, so the bits are the same for any number of threads.
Slots: out, rates, seed, offset. A unit is an element.
"""

from __future__ import annotations

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.random import PHILOX

# Below a rate of 10 the distribution is summed up until it passes a uniform number; above, Hörmann's PTRS ("The transformed rejection
# method for generating Poisson random variables", 1993).
POISSON = PHILOX + '''
@inline
def log_factorial(k):
    """log(k!) by Stirling's series, from 9! on."""
    x, product = k + 1.0, 1.0
    while x < 10.0:
        product *= x
        x += 1.0
    series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * x * x)) / (x * x)) / x
    return (x - 0.5) * log_f64(x) - x + 0.9189385332046727 + series - log_f64(product)


@inline
def uniforms(unit, attempt, offset, seed):
    """Two numbers of 53 bits in (0, 1]."""
    w0, w1, w2, w3 = philox(unit + (attempt << 40), offset, seed)
    return f64((w0 >> 5) * 67108864 + (w1 >> 6) + 1) * 1.1102230246251565e-16, f64((w2 >> 5) * 67108864 + (w3 >> 6) + 1) * 1.1102230246251565e-16


def kernel(args, start, stop):
    """poisson: {code}"""
    p = slots(args)
    out, rates = out_{code}(p[0]), in_{code}(p[1])
    seed, offset = p[2], p[3]
    for unit in range(start, stop):
        rate = f64(rates[unit])
        k = 0.0
        if rate < 10.0:
            u, _ = uniforms(unit, i64(0), offset, seed)
            term = exp_f64(-rate)
            total = term
            while u > total and k < 200.0:
                k += 1.0
                term *= rate / k
                total += term
        else:
            root = sqrt_f64(rate)
            b = 0.931 + 2.53 * root
            a = -0.059 + 0.02483 * b
            scale = 1.1239 + 1.1328 / (b - 3.4)
            log_rate = log_f64(rate)
            attempt, done = i64(0), False
            while not done:
                u, v = uniforms(unit, attempt, offset, seed)
                u -= 0.5
                side = max(0.5 - abs(u), 1e-300)
                k = floor_f64((2.0 * a / side + b) * u + rate + 0.43)
                if side >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2.0):
                    done = True
                elif k >= 0.0 and not (side < 0.013 and v > side):
                    done = log_f64(v * scale / (a / (side * side) + b)) <= k * log_rate - rate - log_factorial(k)
                attempt += 1
        out[unit] = {code}(k)
'''


def text(code):
    """The kernel's text for rates of a dtype."""
    return POISSON.format(code=code, imports="from numtape.kernels.vecmath import exp_f64, floor_f64, log_f64, sqrt_f64\n")


def poisson(code, count):
    """The launch of poisson for `count` rates; arguments: out, rates, seed, offset."""
    return Table(library.kernel("poisson", text(code)), count, 1024, 4, [])
