"""The elementwise pattern: out[i] = f(x[i], y[i], ...) over any strides.

A kernel is generic in shape. It walks rows of the innermost dim (after dims have been merged), and those from one outer position to the
next without looking the offsets up anew; the inner loop is specialised on each operand's stride class there: contiguous ("c", SIMD),
backwards ("r", SIMD too), broadcast ("b", read once a row) or strided ("s").

Operands that are one row each (after merging), contiguous or broadcast, have a text of their own, a loop and nothing else, which compiles
in a quarter of the time (0.07 s of 0.30). Its slots: the addresses (out, then inputs), the scalars.

Slots of the others: the addresses (out, then inputs), the scalars; then inner size, number of outer dims, the inner strides (out, inputs),
and for each outer dim, innermost first: its size and the strides (out, inputs).
"""

from __future__ import annotations

import re
from math import prod

from numtape.kernels import library
from numtape.kernels.cpu import copy
from numtape.kernels.cpu.driver import Table

BLOCK = 256  # elements that are looked through for rare arguments together
SHORT, LONG = 8, 16  # elements of the innermost dim, below which another one of so many is walked there
GRAIN = 32768  # elements below which a second thread does not pay (docs/performance.md)

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
{scalars}    inner, outer = p[{base}], p[{base} + 1]
    height = p[{dims}] if outer > 0 else 1
    row = quotient(start, inner)
    column = start - row * inner
    while start < stop:
{offsets}        for _ in range(row - quotient(row, height) * height, height):
            count = min(inner - column, stop - start)
{pointers}{loops}
{steps}            start += count
            row += 1
            column = 0
            if start == stop:
                break
'''

FLAT = '''"""{name}: {signature}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
{scalars}{pointers}{loops}
'''


# bytes per element of each dtype code
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8}
SIZES |= {"f16": 2, "bf16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16}


def load_lines(operands, names, steps):
    """The lines that set up typed pointers, and those that load element i as x0, x1, ...

    `operands` are (dtype code, stride class), out first; `names` their offsets, none where they are 0; inner strides stand in slots from `steps`.
    """
    pointers, loads = [], []
    for k, (code, kind) in enumerate(operands):
        memory = "u8" if code == "b8" else code
        address = f"p[{k}] + {SIZES[memory]} * {names[k]}" if names else f"p[{k}]"
        if k == 0:
            pointers.append(f"out = out_{memory}({address})")
            if kind == "s":
                pointers.append(f"out_step = p[{steps}]")
            continue
        test = " != 0" if code == "b8" else ""
        pointers.append(f"in{k - 1} = in_{memory}({address})")
        if kind == "b":
            pointers.append(f"x{k - 1} = in{k - 1}[0]{test}")
        elif kind == "s":
            pointers.append(f"step{k - 1} = p[{steps + k}]")
            loads.append(f"x{k - 1} = in{k - 1}[i * step{k - 1}]{test}")
        else:
            loads.append(f"x{k - 1} = in{k - 1}[{'-i' if kind == 'r' else 'i'}]{test}")
    return pointers, loads


def offset_lines(names, dims):
    """The lines that find the offsets of unit number `unit`; outer dims stand in slots from `dims`. One of them, as is usual, needs no call."""
    found = "unit * p[{slot}] if outer == 1 else offset_of(p, {dims}, {step}, {operand}, outer, unit)"
    numbers = ({"slot": dims + k + 1, "dims": dims, "step": len(names) + 1, "operand": k + 1} for k in range(len(names)))
    return "".join(f"        {n} = {found.format(**slots)}\n" for n, slots in zip(names, numbers))


def scalar_lines(scalars, first):
    """The lines that read the scalars s0, s1, ... from the slots after the addresses."""
    return "".join(
        f"    s{k} = slot_{code}(p, {first + k})\n" if code in ("f32", "f64") else f"    s{k} = {code}(p[{first + k}])\n"
        for k, code in enumerate(scalars)
    )


def store_line(out, result):
    """The line that stores the text `result` as element i of out."""
    stored = f"u8({result})" if out[0] == "b8" else result
    return f"out[{'i * out_step' if out[1] == 's' else 'i'}] = {stored}"


# Functions with a short way and a long one (see `vecmath`), and the test which argument needs the long one.
LONG_WAYS = {
    **dict.fromkeys((f"{name}_{kind}" for name in ("fmod", "remainder", "floor_divide") for kind in ("f32", "f64")), "far_quotient"),
    "erfinv_f64": "far_erfinv",
    **dict.fromkeys(("lgamma_f32", "lgamma_f64"), "far_lgamma"),
}
LONG_WAY = re.compile(rf"\b({'|'.join(LONG_WAYS)})\b")


def test_of(function):
    return f"{LONG_WAYS[function]}_{function[-3:]}"


def loops(lines, stores, start, stop):
    """The loop over the elements i from `start` to `stop`; `lines` compute an element, `stores` write it.

    Where a function has a short way that is SIMD code and a long one for rare arguments, blocks are looked through first, and only those that
    hold such an argument take the long way (fmod 8 ns an element without, 0.6 so). What is found does not depend on the way.
    """
    tests = [f"{test_of(function)}({arguments})" for line in lines for function, arguments in long_calls(line)]
    if not tests:
        return [f"for i in range({stop}):" if start == "0" else f"for i in range({start}, {stop}):", *(f"    {line}" for line in [*lines, *stores])]
    near = [LONG_WAY.sub(r"near_\1", line) for line in lines]
    return [
        f"first = {start}",
        f"while first < {stop}:",
        f"    last, far = min(first + {BLOCK}, {stop}), False",
        "    for i in range(first, last):",
        *(f"        {line}" for line in near),
        f"        far |= {' | '.join(tests)}",
        "    if far:",
        "        for i in range(first, last):",
        *(f"            {line}" for line in [*lines, *stores]),
        "    else:",
        "        for i in range(first, last):",
        *(f"            {line}" for line in [*near, *stores]),
        "    first = last",
    ]


def long_calls(line):
    """The functions with a long way that a line calls, and the texts of their arguments."""
    for found in LONG_WAY.finditer(line):
        depth, stop = 1, found.end() + 1
        while depth:
            depth += {"(": 1, ")": -1}.get(line[stop], 0)
            stop += 1
        yield found[1], line[found.end() + 1 : stop - 1]


def with_near(imports):
    """The import lines, with what the short ways need."""
    return LONG_WAY.sub(lambda found: f"{found[1]}, near_{found[1]}, {test_of(found[1])}", imports)


def text(name, signature, imports, out, inputs, scalars, lines, result, more=(), flat=False):
    """The kernel's text.

    `out` is (dtype code, stride class); `inputs` a list of the same; `scalars` a list of dtype codes. `lines` are the
    statements that compute the text `result` from x0, x1, ... and s0, s1, ... `more` are further outputs as (dtype code,
    stride class, result); their addresses and strides stand behind those of the inputs. `flat`: every operand is one row, none strided.
    """
    operands = [out, *inputs, *((code, kind) for code, kind, _ in more)]
    count = len(operands)
    base = count + len(scalars)
    steps, dims = base + 2, base + 2 + count
    names = [] if flat else ["o", *(f"a{k}" for k in range(len(inputs))), *(f"o{j + 1}" for j in range(len(more)))]
    pointers, loads = load_lines(operands[: 1 + len(inputs)], names, steps)
    stores = [store_line(out, result)]
    for j, (code, kind, value) in enumerate(more, 1):
        memory, k = "u8" if code == "b8" else code, len(inputs) + j
        pointers.append(f"out{j} = out_{memory}(p[{k}]{'' if flat else f' + {SIZES[memory]} * o{j}'})")
        place = f"i * p[{steps + k}]" if kind == "s" else "i"
        stores.append(f"out{j}[{place}] = {f'u8({value})' if code == 'b8' else value}")
    words = {"name": name, "signature": signature, "imports": with_near(imports), "scalars": scalar_lines(scalars, count)}
    loop = loops([*loads, *lines], stores, *(("start", "stop") if flat else ("0", "count")))
    if flat:
        return FLAT.format(**words, pointers=indented(pointers, 4), loops=indented(loop, 4).rstrip("\n"))
    return TEXT.format(
        **words,
        base=base,
        dims=dims,
        offsets=indented((f"{n} = column * p[{steps + k}] + offset_of(p, {dims}, {count + 1}, {k + 1}, outer, row)" for k, n in enumerate(names)), 8),
        pointers=indented(pointers, 12),
        loops=indented(loop, 12).rstrip("\n"),
        steps=indented((f"{n} += p[{dims + k + 1}] - column * p[{steps + k}]" for k, n in enumerate(names)), 12),
    )


def indented(lines, depth):
    return "".join(f"{' ' * depth}{line}\n" for line in lines)


def constants(sizes, strides):
    """The slots after addresses and scalars: `sizes` and each operand's strides, outermost first, at least one dim."""
    words = [sizes[-1], len(sizes) - 1, *(s[-1] for s in strides)]
    for d in range(len(sizes) - 2, -1, -1):
        words += [sizes[d], *(s[d] for s in strides)]
    return words


def walked(sizes, steps):
    """The dims in the order in which they are walked: a short innermost one changes places with the nearest one that is long.

    >>> walked((100, 50, 2), [(100, 2, 1)])
    ((100, 2, 50), [(100, 1, 2)])
    """
    d = next((d for d in range(len(sizes) - 2, -1, -1) if sizes[d] >= LONG), None) if sizes[-1] < SHORT else None
    if d is None:
        return sizes, steps
    order = [*(k for k in range(len(sizes)) if k != d), d]
    return tuple(sizes[k] for k in order), [tuple(s[k] for k in order) for s in steps]


def table(name, signature, imports, out, inputs, scalars, lines, result, sizes, steps, nbytes, more=()):
    """The launch of an expression: `out` and `inputs` are dtype codes, `more` further outputs as (dtype code, result), `steps` the
    strides of out, inputs and more over the merged `sizes`."""
    operands = 1 + len(inputs) + len(more)
    if not more and copy.turned(sizes, steps)[1] and not any(LONG_WAY.search(line) for line in lines):
        return copy.table(name, signature, imports, out, inputs, scalars, lines, result, sizes, steps, nbytes)
    if not sizes:
        sizes, steps = (1,), [(1,)] * operands
    sizes, steps = walked(sizes, steps)
    kinds = first, *rest = [stride_class(s[-1]) for s in steps]
    rest = ["r" if s[-1] == -1 else kind for kind, s in zip(rest[: len(inputs)], steps[1:])] + rest[len(inputs) :]
    flat = len(sizes) == 1 and "s" not in kinds
    others = [(code, kind, value) for (code, value), kind in zip(more, rest[len(inputs) :])]
    body = text(name, signature, imports, (out, first), list(zip(inputs, rest)), scalars, lines, result, others, flat)
    words = [] if flat else constants(sizes, steps)
    return Table(library.kernel(name, body), prod(sizes), GRAIN, operands + len(scalars), words, nbytes=nbytes)


def stride_class(stride):
    return {1: "c", 0: "b"}.get(stride, "s")
