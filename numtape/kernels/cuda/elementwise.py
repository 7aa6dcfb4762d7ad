"""The elementwise pattern on a card: out[i] = f(x[i], y[i], ...) over any strides.

A unit of work is four neighbours of the innermost dim (after dims have been merged): one 128-bit load for each operand that is
contiguous there and aligned, one load for a broadcast one, four for a strided one. Threads take units in a grid-stride loop.

Slots: the addresses (out, then inputs), the scalars; then inner size, number of outer dims, units per row, units in all, the inner
strides (out, inputs), and for each outer dim, innermost first: its size and the strides (out, inputs).
"""

from __future__ import annotations

from math import prod

from numtape.kernels.cuda import library
from numtape.kernels.cuda.driver import Table, multiprocessors

THREADS = 256
BLOCKS_EACH = 32  # blocks at most for each multiprocessor: four times what is resident, so that none idles at the end
SIZES = {"u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "f32": 4, "f64": 8}

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.cuda.intrinsics import *
{imports}

@inline
def element({parameters}):
{lines}

def kernel(args):
    p = slots(args)
{scalars}    inner, outer, per_row, units = p[{base}], p[{base} + 1], p[{base} + 2], p[{base} + 3]
    unit = block_x() * threads_x() + thread_x()
    while unit < units:
        rest = i64(0)
        if outer > 0:
            rest = quotient(unit, per_row)
        column = 4 * (unit - rest * per_row)
{starts}
        dim = i64(0)
        while dim < outer:
            at = {dims} + {width} * dim
            above = quotient(rest, p[at]) if dim < outer - 1 else i64(0)
            here = rest - above * p[at]
{steps}
            rest = above
            dim = rolled(dim + 1)
        if column + 4 <= inner:
{load_four}
{store_four}
        else:
            i = i64(0)
            while i < inner - column:
{store_one}
                i = rolled(i + 1)
        unit += blocks_x() * threads_x()
'''


def memory(code):
    """How a dtype lies in memory: bools as bytes."""
    return "u8" if code == "b8" else code


def scalar_lines(scalars, first):
    """The lines that read the scalars s0, s1, ... from the slots after the addresses."""
    return "".join(f"    s{k} = slot_{code}(p, {first + k})\n" if code in ("f32", "f64") else f"    s{k} = {code}(p[{first + k}])\n" for k, code in enumerate(scalars))


def element_lines(inputs, lines, results):
    """The body of `element`: bools become truth values, then the statements, then the results (dtype code, text) as they are stored."""
    tests = [f"x{k} = x{k} != 0" for k, code in enumerate(inputs) if code == "b8"]
    stored = ", ".join(f"u8({result})" if out == "b8" else result for out, result in results)
    return "\n".join(f"    {line}" for line in [*tests, *lines, f"return {stored}"]) + "\n"


def store_lines(outputs, calls, base):
    """The lines that store the results of four calls of `element`; `outputs` are (dtype code, stride class, slot, offset)."""
    if len(outputs) > 1:
        lines = [f"r{j} = {call}" for j, call in enumerate(calls)]
        values = [[f"r{j}[{n}]" for j in range(len(calls))] for n in range(len(outputs))]
    else:
        lines, values = [], [calls]
    for (code, kind, k, offset), some in zip(outputs, values):
        address = f"p[{k}] + {SIZES[memory(code)]} * {offset}"
        if kind == "c" and len(some) == 4:
            lines.append(f"store4_{memory(code)}({address}, {', '.join(some)})")
        elif len(some) == 4:
            lines += [f"out_{memory(code)}({address})[{j} * p[{base + 4 + k}]] = {value}" for j, value in enumerate(some)]
        else:
            lines.append(f"out_{memory(code)}({address})[{'i' if kind == 'c' else f'i * p[{base + 4 + k}]'}] = {some[0]}")
    return lines


def text(name, signature, imports, out, inputs, scalars, lines, result, more=()):
    """The kernel's text: `out` is (dtype code, stride class), `inputs` a list of the same, `scalars` dtype codes; `lines` are the
    statements that compute the text `result` from x0, x1, ... and s0, s1, ... `more`: further outputs (dtype code, stride class,
    result), whose addresses and strides stand behind those of the inputs."""
    count = 1 + len(inputs) + len(more)
    base = count + len(scalars)
    offsets = ["o", *(f"a{k}" for k in range(len(inputs))), *(f"o{j + 1}" for j in range(len(more)))]
    outputs = [(*out, 0, "o"), *((code, kind, len(inputs) + j, f"o{j}") for j, (code, kind, _) in enumerate(more, 1))]
    tail = [f"s{k}" for k in range(len(scalars))]
    four: list[str] = []
    values: list[list[str]] = [[], [], [], []]
    one = []
    for k, (code, kind) in enumerate(inputs):
        stored = memory(code)
        address = f"p[{k + 1}] + {SIZES[stored]} * a{k}"
        names = [f"x{k}"] * 4 if kind == "b" else [f"x{k}_{j}" for j in range(4)]
        if kind == "c":
            four.append(f"{', '.join(names)} = load4_{stored}({address})")
        else:
            four.append(f"in{k} = in_{stored}({address})")
            step = f"p[{base + 4 + k + 1}]"
            four += [f"x{k} = in{k}[0]"] if kind == "b" else [f"{n} = in{k}[{j} * {step}]" for j, n in enumerate(names)]
        one.append(f"in_{stored}({address})[{'0' if kind == 'b' else 'i' if kind == 'c' else f'i * p[{base + 4 + k + 1}]'}]")
        for j in range(4):
            values[j].append(names[j])
    calls = [f"element({', '.join([*v, *tail])})" for v in values]
    single = f"element({', '.join([*one, *tail])})"
    indent = lambda lines, n: "\n".join(" " * n + line for line in lines)
    return TEXT.format(
        name=name,
        signature=signature,
        imports=imports,
        parameters=", ".join([*(f"x{k}" for k in range(len(inputs))), *tail]),
        lines=element_lines([c for c, _ in inputs], lines, [(out[0], result), *((code, value) for code, _, value in more)]),
        scalars=scalar_lines(scalars, count),
        base=base,
        dims=base + 4 + count,
        width=count + 1,
        starts=indent([f"{n} = column * p[{base + 4 + k}]" for k, n in enumerate(offsets)], 8),
        steps=indent([f"{n} += here * p[at + {k + 1}]" for k, n in enumerate(offsets)], 12),
        load_four=indent(four, 12),
        store_four=indent(store_lines(outputs, calls, base), 12),
        store_one=indent(store_lines(outputs, [single], base), 16),
    )


def constants(sizes, strides):
    """The slots after addresses and scalars, and the number of units: `sizes` and each operand's strides, outermost first."""
    per_row = -(-sizes[-1] // 4)
    units = per_row * prod(sizes[:-1])
    words = [sizes[-1], len(sizes) - 1, per_row, units, *(s[-1] for s in strides)]
    for d in range(len(sizes) - 2, -1, -1):
        words += [sizes[d], *(s[d] for s in strides)]
    return words, units


def table(name, signature, imports, out, inputs, scalars, lines, result, sizes, steps, nbytes, more=()):
    """The launch of an expression: `out` and `inputs` are dtype codes, `more` further outputs as (dtype code, result), `steps` the
    strides of out, inputs and more over the merged `sizes`."""
    operands = 1 + len(inputs) + len(more)
    if operands == 2 and not scalars:
        from numtape.kernels.cuda import copy  # which needs this module

        if copy.fits(sizes, steps):
            return copy.table(name, out, inputs[0], lines, result, imports, sizes, steps, nbytes)
    if not sizes:
        sizes, steps = (1,), [(1,)] * operands
    first, *rest = ({1: "c", 0: "b"}.get(s[-1], "s") for s in steps)
    others = [(code, "c" if kind == "c" else "s", value) for (code, value), kind in zip(more, rest[len(inputs) :])]
    source = text(name, signature, imports, (out, "c" if first == "c" else "s"), list(zip(inputs, rest)), scalars, lines, result, others)
    words, units = constants(sizes, steps)
    return Table(library.kernel(name, source, THREADS), blocks(units), THREADS, operands + len(scalars), words, nbytes=nbytes)


def blocks(units, threads=THREADS):
    """The size of a grid that walks `units` in a grid-stride loop, one a thread."""
    return max(1, min(-(-units // threads), BLOCKS_EACH * multiprocessors()))
