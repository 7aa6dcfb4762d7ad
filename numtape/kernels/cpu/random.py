"""The random pattern: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

Element i of a draw is a function of (seed, offset, i) alone: block i // 4 of the counter gives four 32-bit words (two
float64 take a block). So the bits are the same for any number of threads, and on every device.

Slots: out address, seed, offset; then the draw's own parameters. A unit is one block of four words.
"""

import functools

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES

GRAIN = 4096  # blocks of four numbers below which a second thread does not pay

PHILOX = '''from numtape.kernels.intrinsics import *
{imports}

@inline
def philox(block, offset, seed):
    """Four 32-bit words (as int64) of a counter block."""
    mask = i64(0xFFFFFFFF)
    c0, c1 = block & mask, (block >> 32) & mask
    c2, c3 = offset & mask, (offset >> 32) & mask
    k0, k1 = seed & mask, (seed >> 32) & mask
    for _ in range(10):
        p0, p1 = i64(0xD2511F53) * c0, i64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = ((p1 >> 32) & mask) ^ c1 ^ k0, p1 & mask, ((p0 >> 32) & mask) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + i64(0x9E3779B9)) & mask, (k1 + i64(0xBB67AE85)) & mask
    return c0, c1, c2, c3

'''

BELOW = '''
@inline
def below(high, low, span):
    """The upper 64 bits of (high << 32 | low) * span: uniform in [0, span). 32-bit products only, so that it is SIMD code."""
    mask = u64(0xFFFFFFFF)
    upper, lower = span >> u64(32), span & mask
    middle = high * lower + (low * lower >> u64(32))
    return high * upper + (middle >> u64(32)) + (low * upper + (middle & mask) >> u64(32))

'''

# Four words w0..w3 become `values`, stored at 4 * block + 0, 1, 2, 3 while below `count`.
FOUR = (
    PHILOX
    + '''
def kernel(args, start, stop):
    """{name}"""
    p = slots(args)
    out = out_{code}(p[0])
    seed, offset, count = p[1], p[2], p[{parameters}]
{setup}    whole = min(stop, count // 4)
    for block in range(start, whole):
        w0, w1, w2, w3 = philox(block, offset, seed)
{values}        out[4 * block] = {v0}
        out[4 * block + 1] = {v1}
        out[4 * block + 2] = {v2}
        out[4 * block + 3] = {v3}
    for block in range(max(start, whole), stop):
        w0, w1, w2, w3 = philox(block, offset, seed)
{values}        left = count - 4 * block
        out[4 * block] = {v0}
        if left > 1:
            out[4 * block + 1] = {v1}
        if left > 2:
            out[4 * block + 2] = {v2}
        if left > 3:
            out[4 * block + 3] = {v3}
'''
)

# The same on the CPU, 64 blocks at a time: the words first, then the values, so that either loop is SIMD code.
BATCH = (
    PHILOX
    + '''
def kernel(args, start, stop):
    """{name}"""
    p = slots(args)
    seed, offset, count = p[1], p[2], p[{parameters}]
{setup}    a, b, c, d = stack_i32(64), stack_i32(64), stack_i32(64), stack_i32(64)
    e, f, g, h = stack_{code}(64), stack_{code}(64), stack_{code}(64), stack_{code}(64)
    for first in range(start, stop, 64):
        blocks = min(64, stop - first)
        for j in range(blocks):
            w0, w1, w2, w3 = philox(first + j, offset, seed)
            a[j], b[j], c[j], d[j] = i32(w0 >> 8), i32(w1 >> 8), i32(w2 >> 8), i32(w3 >> 8)
        for j in range(blocks):
            w0, w1, w2, w3 = a[j], b[j], c[j], d[j]
{values}            e[j], f[j], g[j], h[j] = {v0}, {v1}, {v2}, {v3}
        out = out_{code}(p[0] + {size} * 4 * first)
        whole = min(blocks, count // 4 - first)
        for j in range(whole):
            out[4 * j], out[4 * j + 1], out[4 * j + 2], out[4 * j + 3] = e[j], f[j], g[j], h[j]
        if whole < blocks:
            left = count - 4 * (first + whole)
            out[4 * whole] = e[whole]
            if left > 1:
                out[4 * whole + 1] = f[whole]
            if left > 2:
                out[4 * whole + 2] = g[whole]
'''
)

# Two float64 of 53 bits from a block's four words: units are blocks of two elements.
TWO = (
    PHILOX
    + '''
def kernel(args, start, stop):
    """{name}"""
    p = slots(args)
    out = out_{code}(p[0])
    seed, offset, count = p[1], p[2], p[{parameters}]
{setup}    for block in range(start, stop):
        w0, w1, w2, w3 = philox(block, offset, seed)
{values}        out[2 * block] = {v0}
        if 2 * block + 1 < count:
            out[2 * block + 1] = {v1}
'''
)

# The same on the CPU, 64 blocks at a time.
BATCH_OF_TWO = (
    PHILOX
    + '''
def kernel(args, start, stop):
    """{name}"""
    p = slots(args)
    seed, offset, count = p[1], p[2], p[{parameters}]
{setup}    a, b, c, d = stack_i64(64), stack_i64(64), stack_i64(64), stack_i64(64)
    e, f = stack_{code}(64), stack_{code}(64)
    for first in range(start, stop, 64):
        blocks = min(64, stop - first)
        for j in range(blocks):
            a[j], b[j], c[j], d[j] = philox(first + j, offset, seed)
        for j in range(blocks):
            w0, w1, w2, w3 = a[j], b[j], c[j], d[j]
{values}            e[j], f[j] = {v0}, {v1}
        out = out_{code}(p[0] + {size} * 2 * first)
        whole = min(blocks, count // 2 - first)
        for j in range(whole):
            out[2 * j], out[2 * j + 1] = e[j], f[j]
        if whole < blocks:
            out[2 * whole] = e[whole]
'''
)

PERMUTATION = (
    PHILOX
    + BELOW
    + '''
def kernel(args, start, stop):
    """randperm: Fisher and Yates' shuffle, one draw of 64 bits a step."""
    p = slots(args)
    out = out_i64(p[0])
    seed, offset, count = p[1], p[2], p[3]
    partners = stack_i64(256)
    for i in range(count):
        out[i] = i
    for last in range(count - 1, 0, -256):
        steps = min(256, last)
        for k in range(steps):  # the draws first, as SIMD code
            w0, w1, w2, w3 = philox(last - k, offset, seed)
            partners[k] = i64(below(u64(w0), u64(w1), u64(last - k + 1)))
        for k in range(steps):
            i, j = last - k, partners[k]
            kept = out[i]
            out[i] = out[j]
            out[j] = kept
'''
)


def _format(template, name, code, parameters, setup, values, outputs, imports=""):
    indent = " " * (12 if template in (BATCH, BATCH_OF_TWO) else 8)
    return template.format(
        name=name,
        code=code,
        parameters=parameters,
        setup="".join(f"    {line}\n" for line in setup),
        values="".join(f"{indent}{line}\n" for line in values),
        size=SIZES[code],
        imports=imports,
        **{f"v{k}": v for k, v in enumerate(outputs)},
    )


def _tops(batch):
    """The text of the 24 highest bits of a word."""
    return (lambda word: word) if batch else (lambda word: f"{word} >> 8")


def uniform(code, batch=False):
    """`low + u * (high - low)`, u in [0, 1) of 24 (float32) or 53 (float64) bits; parameters: low, high, count."""
    setup, top = [f"low, span = slot_{code}(p, 3), slot_{code}(p, 4) - slot_{code}(p, 3)"], _tops(batch)
    if code == "f32":
        outputs = [f"low + f32({top(f'w{k}')}) * f32(5.9604644775390625e-08) * span" for k in range(4)]
        return _format(BATCH if batch else FOUR, "uniform", code, 5, setup, [], outputs)
    outputs = [f"low + f64(({a} >> 5) * 67108864 + ({b} >> 6)) * 1.1102230246251565e-16 * span" for a, b in (("w0", "w1"), ("w2", "w3"))]
    return _format(BATCH_OF_TWO if batch else TWO, "uniform", code, 5, setup, [], outputs)


def normal(code, batch=False):
    """`mean + std * z` by Box and Muller (1958); parameters: mean, std, count."""
    turn = "_turn" if code == "f32" else ""
    imports = f"from numtape.kernels.vecmath import log_{code}, sqrt_{code}, sin{turn}_{code}, cos{turn}_{code}"
    setup, top = [f"mean, std = slot_{code}(p, 3), slot_{code}(p, 4)"], _tops(batch)
    if code == "f32":
        values = []
        for k in (0, 2):
            values += [
                f"r{k} = sqrt_f32(f32(-2) * log_f32(f32(({top(f'w{k}')}) + 1) * f32(5.9604644775390625e-08)))",
                f"t{k} = f32({top(f'w{k + 1}')})",
            ]
        outputs = [f"mean + std * (r{k} * {f}_turn_f32(t{k}))" for k in (0, 2) for f in ("cos", "sin")]
        return _format(BATCH if batch else FOUR, "normal", code, 5, setup, values, outputs, imports)
    values = [
        "r = sqrt_f64(-2.0 * log_f64(f64((w0 >> 5) * 67108864 + (w1 >> 6) + 1) * 1.1102230246251565e-16))",
        "t = f64((w2 >> 5) * 67108864 + (w3 >> 6)) * 1.1102230246251565e-16 * 6.283185307179586",
    ]
    return _format(BATCH_OF_TWO if batch else TWO, "normal", code, 5, setup, values, ["mean + std * (r * cos_f64(t))", "mean + std * (r * sin_f64(t))"], imports)


def integers(code, batch=False):
    """Integers in [low, high); parameters: low, high, count. 64 bits scaled to the range: the bias is below range / 2**64."""
    setup = ["low, span = p[3], u64(p[4]) - u64(p[3])"]
    outputs = [f"{code}(low + i64(below(u64({a}), u64({b}), span)))" for a, b in (("w0", "w1"), ("w2", "w3"))]
    return _format(BATCH_OF_TWO if batch else TWO, "randint", code, 5, setup, [], outputs, BELOW)


DRAWS = {"uniform": uniform, "normal": normal, "integers": integers}


def words(draw, code):
    """The number of elements that a counter block gives."""
    return 4 if code == "f32" and draw != "integers" else 2


@functools.lru_cache(1024)
def table(name, draw, code, count):
    """The launch of a draw; arguments: out, seed, offset and the draw's two parameters."""
    kernel = library.kernel(name, DRAWS[draw](code, batch=True))
    return Table(kernel, -(-count // words(draw, code)), GRAIN, 5, [count])


def permutation(count):
    """The launch of randperm; arguments: out, seed, offset."""
    return Table(library.kernel("randperm", PERMUTATION.format(imports="")), 1, 0, 3, [count])
