"""The row pattern on CUDA: each unit of work is one row, walked by the threads of a warp, of a part of one, or of a block.

Thread `lane` of the `width` threads of a row takes elements lane, lane + width, ... in groups of four, so that four loads are in flight.
The last group is masked and not walked one by one: a short row is nothing but a last group. Float sums are added up 64 elements a
thread in their own dtype and those totals in float64, across threads too. The lower lane always stands left, so every thread of a row
ends with the same bits, and these depend on the sizes alone, not on the grid.

There are two ways to lay threads out, by the step between the elements of a row:

- rows that lie in a run of memory: the block is (threads of a row, rows side by side). Threads meet in shuffles, those of a row that is
  wider than a warp, which has the block to itself, in shared memory too.
- rows with a step ("turned"; a reduction over columns is one): the block is (rows side by side, threads of a row), because it is
  neighbouring rows that are neighbours in memory. Threads meet in shared memory.

In a block that is not full, threads without a row find `length` 0 and take part in all shuffles and barriers. A row's elements stay with
the same threads in every pass: what a stage spills into the output is read back by its writer.

Few long rows use few multiprocessors: softmax of (4, 1000000) is four blocks of 1024 threads. A reduction to one number is cut by
dispatch into pieces of `PIECE` elements instead, one to few columns into `columns.pieces`.

Slots: the addresses (out, then inputs), the scalars; then row length, limit, number of elements reduced, number of outer dims, units,
pieces, rows beside each other in a piece, inner strides (out, inputs), and for each outer dim, innermost first: its size and the strides
(out, inputs). A `limit` > 0 says that the rows are pieces of runs of that many elements, the last one shorter.
"""

from __future__ import annotations

import re

from numtape.kernels.cpu.elementwise import load_lines
from numtape.kernels.cpu.rows import Reduction as Reduction
from numtape.kernels.cuda import driver, library
from numtape.kernels.cuda.elementwise import memory, scalar_lines

THREADS = 1024  # the largest block
GROUPS = 16  # groups of four elements that a thread adds up before they go into the total
# A block of 512 threads takes eight groups of four to walk a piece, enough to hide its start; 10**9 elements leave 61,036 results,
# which one block of 1024 threads adds up in 15 groups each. Twice PIECE in one launch takes no longer than a second launch would.
PIECE = 16384
FILLED = 1 << 17  # threads that fill a large card: fewer rows than that get more threads each

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.cuda.intrinsics import *
{imports}

def kernel(args):
    p = slots(args)
{scalars}    whole, limit, n, outer = p[{base}], p[{base} + 1], f64(p[{base} + 2]), p[{base} + 3]
    units, pieces, beside = p[{base} + 4], p[{base} + 5], p[{base} + 6]
{threads}
{arrays}    first = block_x() * sides
    while first < units:
        here = first + side < units
        unit = first + side if here else units - 1
        length = whole
        if limit > 0:
            piece = quotient(unit, beside)
            length = min(whole, limit - (piece - quotient(piece, pieces) * pieces) * whole)
        length = length if here else i64(0)
{offsets}{pointers}{body}
        first += blocks_x() * sides
'''
STRAIGHT = """    lane, width, side, sides = thread_x(), threads_x(), thread_y(), threads_y()"""
TURNED = """    lane, width, side, sides = thread_y(), threads_y(), thread_x(), threads_x()
    place = lane * sides + side"""


# ------------------------------------------------------------------------------------------------ passes over the row
def stage(loads, reductions, spill=()):
    """The text of one pass over the row that leaves each reduction's variable in every thread of the row.

    `loads` read the element's operands; `spill` lines store into the output and run for every element too.
    """
    lines = list(dict.fromkeys(line for r in reductions for line in r.lines))
    text = [f"{r.variable} = {_accumulator(r)}({r.identity})" for r in reductions]
    text += [f"w_{r.variable} = stack_{memory(r.part)}(4)" for r in reductions]
    ends = []
    for r in reductions:
        target = f"part_{r.variable}" if r.total else r.variable
        pairs = [f"{r.part}({r.combine(f'w_{r.variable}[{k}]', f'w_{r.variable}[{k + 1}]')})" for k in (0, 2)]
        ends.append(f"{target} = {r.part}({r.combine(target, f'{r.part}({r.combine(*pairs)})')})")
    values = [(f"w_{r.variable}[k]", r.value, f"{r.part}({r.identity})") for r in reductions]
    parts = [r for r in reductions if r.total]
    text.append("at = lane")
    if parts:
        text += ["while at < length:", f"    last = min(at + {4 * GROUPS} * width, length)"]
        text += [f"    part_{r.variable} = {r.part}({r.identity})" for r in parts]
        text += [f"    {line}" for line in _groups(loads, lines, values, list(spill), ends, "last")]
        text += [f"    {r.variable} = {r.total}({r.combine(r.variable, f'{r.total}(part_{r.variable})')})" for r in parts]
    else:
        text += _groups(loads, lines, values, list(spill), ends, "length")
    places: dict = {}
    for r in reductions:
        code = carrier(_accumulator(r))
        places[r] = f"staged_{code}_{sum(1 for other in places if carrier(_accumulator(other)) == code)}"
    return text + (_through_shared if any("* step" in load for load in loads) else _through_shuffles)(places)


def each(lines):
    """The text of a pass over the row: `lines` for element number i; loads first, the store into `out` last."""
    *body, store = lines
    if any("out[i]" in line for line in body) or "out[i]" in store.partition(" = ")[2]:  # spilled by an earlier stage: a load like others
        place, _, value = store.partition(" = ")
        body, store = [line.replace("out[i]", "kept") for line in body], f"{place} = {value.replace('out[i]', 'kept')}"
        body.insert(0, "kept = out[i]")
    loads = [line for line in dict.fromkeys(body) if _LOAD.fullmatch(line)]
    return ["at = lane", *_groups(loads, [line for line in body if line not in loads], [], [store], [], "length")]


def once(line):
    """The text of what the first thread of a row does once."""
    return ["if here & (lane == 0):", f"    {line}"]


_LOAD = re.compile(r"(\w+) = ((?:in\d+|out)\[i(?: \* step\d+)?\])( != 0)?")
_CALL = re.compile(r"_(f32|f64|int)\(")  # of a library function


def _groups(loads, lines, values, stores, ends, last):
    """The loops over this thread's elements from `at` to `last`, four at a time, the loads of a group before all else.

    `values` are (place, text, identity). Whole groups have a loop of their own, which need not mask elements off, except where the
    elements cost so much that masks do not matter and a second copy of the text is not worth compiling. The loops over k are unrolled
    by the compiler, and the arrays of four are registers.
    """
    used = "\n".join([*lines, *stores, *(value for _, value, _ in values)])
    loads = [parts for parts in (_LOAD.fullmatch(load).groups(default="") for load in loads) if re.search(rf"\b{parts[0]}\b", used)]
    cheap = len(lines) < 4 and not any(map(_CALL.search, lines))
    text = []
    for masked in (False, True) if cheap else (True,):
        place, more = "at + k * width", f" if at + k * width < {last} else at" if masked else ""
        group = ["for k in range(4):", f"    i = {place}{more}", *(f"    {name}_[k] = {load}" for name, load, _ in loads)] if loads else []
        group += ["for k in range(4):", f"    i = {place}", *(f"    {name} = {name}_[k]{test}" for name, _, test in loads)]
        group += [f"    {line}" for line in lines]
        group += [f"    {target} = {value}" + (f" if i < {last} else {identity}" if masked else "") for target, value, identity in values]
        if stores:
            group += [f"    if i < {last}:", *(f"        {line}" for line in stores)] if masked else [f"    {line}" for line in stores]
        text += [f"while at < {last}:" if masked else f"while at < {last} - 3 * width:"]
        text += [f"    {line}" for line in [*group, *ends, "at += 4 * width"]]
    return text


# ------------------------------------------------------------------------------------------------ across threads
def _accumulator(reduction):
    """The dtype code of a thread's accumulator."""
    return reduction.total or reduction.part


def carrier(code):
    """The dtype code in which values of `code` pass between threads."""
    return code if code in ("f32", "f64", "i32", "i64") else "i32"


def _through_shuffles(places):
    """The lines that combine accumulators in a warp, then those of warps; `places` are shared arrays for each reduction."""
    text = ["mask = min(width, 32) >> 1", *_butterfly(places), "if width > 32:", "    if lane & 31 == 0:"]
    text += [f"        {place}[lane >> 5] = {carrier(_accumulator(r))}({r.variable})" for r, place in places.items()]
    text += ["    barrier()", "    mask = width >> 6"]
    text += [f"    {r.variable} = {_accumulator(r)}({place}[lane & ((width >> 5) - 1)])" for r, place in places.items()]
    return [*text, "    barrier()", *(f"    {line}" for line in _butterfly(places))]


def _butterfly(reductions):
    text = ["while mask > 0:", "    lower = lane & mask == 0"]
    for r in reductions:
        code, v = _accumulator(r), r.variable
        text.append(f"    other_{v} = {code}(shuffle_xor_{carrier(code)}({carrier(code)}({v}), mask))")
        text.append(f"    left_{v}, right_{v} = {v} if lower else other_{v}, other_{v} if lower else {v}")
        text.append(f"    {v} = {code}({r.combine(f'left_{v}', f'right_{v}')})")
    return [*text, "    mask = rolled(mask >> 1)"]


def _through_shared(places):
    """The lines that combine accumulators of threads in a tree; `places` are shared arrays for each reduction."""
    text = ["if width > 1:"]
    text += [f"    {place}[place] = {carrier(_accumulator(r))}({r.variable})" for r, place in places.items()]
    text += ["    barrier()", "    half = width >> 1", "    while half > 0:", "        if lane < half:"]
    for r, place in places.items():
        code, v = _accumulator(r), r.variable
        text.append(f"            other_{v} = {code}({place}[place + half * sides])")
        text.append(f"            {v} = {code}({r.combine(v, f'other_{v}')})")
        text.append(f"            {place}[place] = {carrier(code)}({v})")
    text += ["        barrier()", "        half = rolled(half >> 1)"]
    text += [f"    {r.variable} = {_accumulator(r)}({place}[side])" for r, place in places.items()]
    return [*text, "    barrier()"]


# ------------------------------------------------------------------------------------------------ text and launch
def offset_lines(names, dims, unit="unit"):
    """The lines that find the offsets of unit number `unit`, all in one walk over the outer dims, which stand in slots from `dims`."""
    return [
        f"{' = '.join(names)} = i64(0)",
        f"rest, dim = {unit}, i64(0)",
        "while dim < outer:",
        f"    at = {dims} + {len(names) + 1} * dim",
        "    above = quotient(rest, p[at]) if dim < outer - 1 else i64(0)",
        "    rest -= above * p[at]",
        *(f"    {n} += rest * p[at + {k + 1}]" for k, n in enumerate(names)),
        "    rest = above",
        "    dim = rolled(dim + 1)",
    ]


def text(name, signature, imports, out, inputs, scalars, body):
    """The kernel's text; `out` is (dtype code, stride class or None for one number a row), `body` the lines of all stages."""
    operands = [out, *inputs]
    base = len(operands) + len(scalars)
    names = ["o", *(f"a{k}" for k in range(len(inputs)))]
    pointers, _ = load_lines(operands, names, base + 7)
    turned = any(kind == "s" for _, kind in inputs)
    whole = "\n".join(body)
    staged = sorted(set(re.findall(r"\bstaged_(\w+)_(\d+)\[", whole)))
    arrays = [f"staged_{code}_{k} = shared_{code}({THREADS if turned else 32})" for code, k in staged]
    arrays += [f"x{k}_ = stack_{memory(code)}(4)" for k, (code, _) in enumerate(inputs) if f"x{k}_[" in whole]
    arrays += [f"kept_ = stack_{memory(out[0])}(4)"] if "kept_[" in whole else []
    return TEXT.format(
        name=name,
        signature=signature,
        imports=imports,
        scalars=scalar_lines(scalars, len(operands)),
        base=base,
        threads=TURNED if turned else STRAIGHT,
        arrays="".join(f"    {line}\n" for line in arrays),
        offsets="".join(f"        {line}\n" for line in offset_lines(names, base + 7 + len(operands))),
        pointers="".join(f"        {line}\n" for line in pointers),
        body="\n".join(f"        {line}" for line in body),
    )


def shape(length, units):
    """The block for `units` rows of `length` elements in a run: (threads of a row, rows). Depends on sizes alone.

    >>> shape(10, 10**6), shape(1000, 10**5), shape(4096, 10**4), shape(4096, 8), shape(10**6, 4)
    ((4, 64), (32, 8), (128, 1), (1024, 1), (1024, 1))
    """
    width = 1
    while width < 32 and 4 * width < length or width < 512 and 32 * width < length:
        width *= 2
    while width < THREADS and 4 * width < length and units * width < FILLED:
        width *= 2
    rows = max(256 // width, 1) if width <= 32 else 1
    while rows * width > 32 and rows > 1 and units < 256 * rows:
        rows //= 2
    return width, rows


def turned_shape(length, units, beside):
    """The block for `units` rows of `length` elements with a step, of which `beside` are neighbours: (rows, threads of a row).

    >>> turned_shape(8192, 8192, 8192), turned_shape(4, 10**6, 10**6), turned_shape(976, 3, 3), turned_shape(10**6, 1, 1)
    ((32, 16), (256, 1), (4, 256), (1, 1024))
    """
    rows = width = 1
    while rows < 32 and rows < beside:
        rows *= 2
    while rows * width < 256 and 4 * width < length:
        width *= 2
    while rows * width < THREADS and 4 * width < length and units * width < FILLED:
        width *= 2
    while rows * width < 256 and rows < units:
        rows *= 2
    return rows, width


def blocks(wanted, threads):
    """How many blocks of so many threads to launch for `wanted` ones: no more than keep the card busy for a while, the rest in rounds."""
    return max(1, min(wanted, driver.multiprocessors() * 16384 // threads))


def table(name, text, units, length, limit, count, sizes, inner, strides, arguments, nbytes):
    """The launch over `units` rows; `sizes` and `strides` of the outer dims, `inner` strides, each for out and the inputs."""
    stepped = [(abs(step), abs(s[-1])) for step, s in zip(inner[1:], strides[1:]) if step not in (0, 1) and s]
    neighbours = max((sizes[-1] for step, outer in stepped if outer < step), default=1)
    turned = neighbours if any(step not in (0, 1) for step in inner[1:]) else 0
    return launch(name, text, units, length, limit, count, sizes, inner, strides, arguments, nbytes, turned)


def launch(name, text, units, length, limit, count, sizes, inner, strides, arguments, nbytes, turned, beside=1):
    """The same for a text whose threads are `turned` (0 if not, else how many rows are neighbours); with a `limit`, `beside` rows at a
    time are the same piece of their runs."""
    block = turned_shape(length, units, turned) if turned else shape(length, units)
    rows = block[0] if turned else block[1]
    pieces = -(-limit // length) if limit else 1
    words = [length, limit, count, len(sizes), units, pieces, beside, *inner]
    for d in range(len(sizes) - 1, -1, -1):
        words += [sizes[d], *(s[d] for s in strides)]
    kernel = library.kernel(name, text, THREADS)
    return driver.Table(kernel, blocks(-(-units // rows), block[0] * block[1]), block, arguments, words, nbytes=nbytes)
