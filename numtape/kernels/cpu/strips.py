"""The strip pattern: row programs over a dim that is not innermost. A unit of work is a strip of up to 64 rows that lie side by side.

The row pattern would walk each such row alone, a whole cache line fetched for every element. Here a pass goes along the rows of all of
the strip at once: what the row pattern has as a number a row is an array on the stack, one element per row of the strip, and the loops
over the strip become SIMD code. It takes the same stages as `rows`; names of numbers a row are loaded from and stored to their arrays
where a loop uses them. Float sums are added up in blocks of 64 elements whose totals are added in float64.

Slots: the addresses (out, then inputs), the scalars; then length of a row, rows side by side, number of elements reduced, number of
outer dims, steps along a row (out, inputs), steps from row to row (out, inputs), and for each outer dim, innermost first: its size and
the strides (out, inputs).
"""

from __future__ import annotations

import re
from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import GRAIN, SIZES, scalar_lines

WIDTH, BLOCK = 64, 64  # rows of a strip; elements of a row that are added up before they go into the total
LEAST = 8  # rows side by side, below which strips are not worth it
SHORT = 24  # rows of up to so many elements are walked together wherever they lie (softmax of 10: 6.9 ns an element one by one, 3.8 together)
POSITION = "i64(row)"  # the text of an element's position in its row

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
{scalars}    length, columns, n, outer = p[{base}], p[{base} + 1], f64(p[{base} + 2]), p[{base} + 3]
    strips = quotient(columns + {width} - 1, {width})
{arrays}    for unit in range(start, stop):
        position = quotient(unit, strips)
        first = {width} * (unit - position * strips)
        count = min({width}, columns - first)
{offsets}{body}
'''


class Pass:
    """What is done for every element: reductions that it leaves, or lines that store a result."""

    def __init__(self, lines, reductions=()):
        self.lines, self.reductions = lines, reductions


def stage(loads, reductions, spill=()):
    """One pass that leaves each reduction's variable. `spill` lines run for every element too."""
    lines = list(dict.fromkeys([*loads, *(line for r in reductions for line in r.lines), *spill]))
    return [Pass(lines, reductions)]


def each(lines):
    """A pass: `lines` for each element."""
    return [Pass(lines)]


def once(line):
    """What is done once a row."""
    return [line.replace("out[0]", "out[i * out_step]")]


def _names(lines):
    return {name for line in lines for name in re.findall(r"[A-Za-z_]\w*", line)}


def _assigned(line):
    return line.partition(" = ")[0]


class Writer:
    """The body's lines: loops over the strip, with what they use of the arrays loaded and what is used later stored."""

    def __init__(self, operands, base, kinds, body):
        self.operands, self.base, self.kinds = operands, base, dict(kinds)
        self.arrays: dict[str, str] = {}  # name: dtype code
        self.lines: list[str] = []
        self.blocks: list = []
        for part in body:  # lines that follow each other are one loop
            if isinstance(part, str) and self.blocks and isinstance(self.blocks[-1], list):
                self.blocks[-1].append(part)
            else:
                self.blocks.append([part] if isinstance(part, str) else part)
        for k, block in enumerate(self.blocks):
            later = set()
            for other in self.blocks[k + 1 :]:
                later |= _names(other if isinstance(other, list) else [*other.lines, *(r.value for r in other.reductions)])
            if isinstance(block, list):
                self.over_strip(block, later)
            else:
                self.over_elements(block)

    def loads(self, lines):
        """The lines that load what `lines` use: numbers a row, from arrays or operands."""
        used = _names(lines)
        found = []
        for name, code in self.arrays.items():
            if name in used:
                found.append(f"{name} = a_{name}[i]{' != 0' if code == 'b8' else ''}")
        for k, (code, _, per_row, _) in enumerate(self.operands[1:]):
            if per_row and f"x{k}" in used:
                found.append(f"x{k} = row{k}[i * p[{self.base + 4 + len(self.operands) + k + 1}]]{' != 0' if code == 'b8' else ''}")
        return found

    def store(self, name, code):
        self.arrays[name] = code
        return f"a_{name}[i] = {f'u8({name})' if code == 'b8' else name}"

    def over_strip(self, lines, later):
        """Numbers a row, from numbers a row."""
        loads = self.loads(lines)
        stores = [self.store(name, self.kinds[name]) for name in dict.fromkeys(map(_assigned, lines)) if name in later]
        out = []
        if any("out[" in line for line in lines):
            out = self.pointer(0, "o") + [f"out_step = p[{self.base + 4 + len(self.operands)}]"]
        self.lines += [*out, "for i in range(count):", *(f"    {line}" for line in [*loads, *lines, *stores])]

    def pointer(self, k, offset):
        code = self.operands[k][0]
        memory = "u8" if code == "b8" else code
        name, kind = ("out", "out") if k == 0 else (f"in{k - 1}", "in")
        return [f"{name} = {kind}_{memory}(p[{k}] + {SIZES[memory]} * ({offset}))"]

    def pointers(self):
        """The lines that set the pointers of operands with a value per element to those of one row of elements."""
        found = []
        for k, (_, _, per_row, _) in enumerate(self.operands):
            if not per_row:
                found += self.pointer(k, f"{'o' if k == 0 else f'a{k - 1}'} + row * p[{self.base + 4 + k}]")
                if self.operands[k][1] == "s":
                    found.append(f"{'out_step' if k == 0 else f'step{k - 1}'} = p[{self.base + 4 + len(self.operands) + k}]")
                elif self.operands[k][1] == "b" and k:
                    found.append(f"x{k - 1} = in{k - 1}[0]{' != 0' if self.operands[k][0] == 'b8' else ''}")
        return found

    def gathered(self, lines):
        """The loop's lines with strided elements read from and written to arrays on the stack, and the lines before and after the loop that
        fill and empty those: LLVM makes no SIMD code of a loop with strided loads and a long formula."""
        before, after, found = [], [], []
        for line in lines:
            load, store = re.fullmatch(r"(x\d+) = (in\d+\[i \* step\d+\])(.*)", line), re.fullmatch(r"out\[i \* out_step\] = (.*)", line)
            if load:
                operand = self.operands[1 + int(load[1][1:])][0]
                self.arrays[f"g_{load[1]}"] = operand
                before += ["for i in range(count):", f"    a_g_{load[1]}[i] = {load[2]}"]
                line = f"{load[1]} = a_g_{load[1]}[i]{load[3]}"
            elif store:
                self.arrays["g_out"] = self.operands[0][0]
                after = ["for i in range(count):", "    out[i * out_step] = a_g_out[i]"]
                line = f"a_g_out[i] = {store[1]}"
            found.append(line)
        return before, found, after

    def over_elements(self, block):
        """A pass along the rows: the loop over the strip is the inner one."""
        blocked = [r for r in block.reductions if r.total]
        plain = [r for r in block.reductions if not r.total]
        for r in block.reductions:
            code = r.total or r.part
            self.kinds[r.variable] = code
            self.lines += ["for i in range(count):", f"    {r.variable} = {code}({r.identity})", f"    {self.store(r.variable, code)}"]
        inner, indent = list(block.lines), ""
        for r in blocked:
            part = f"part_{r.variable}"
            inner += [f"{part} = {r.combine(part, r.value)}", self.store(part, r.part)]
        for r in plain:
            inner += [f"{r.variable} = {r.combine(r.variable, r.value)}", self.store(r.variable, r.part)]
        inner = self.loads(inner) + inner
        walk = "for row in range(length):"
        if blocked:
            walk, indent = "for row in range(begin, end):", "    "
            self.lines += ["begin = 0", "while begin < length:", f"    end = min(begin + {BLOCK}, length)"]
            for r in blocked:
                name = f"part_{r.variable}"
                self.lines += ["    for i in range(count):", f"        {name} = {r.part}({r.identity})", f"        {self.store(name, r.part)}"]
        before, inner, after = self.gathered(inner)
        self.lines += [indent + walk, *(f"{indent}    {line}" for line in [*self.pointers(), *before])]
        self.lines += [f"{indent}    for i in range(count):", *(f"{indent}        {line}" for line in inner)]
        self.lines += [f"{indent}    {line}" for line in after]
        if blocked:
            self.lines.append("    for i in range(count):")
            for r in blocked:
                name = f"part_{r.variable}"
                combined = r.combine(f"a_{r.variable}[i]", f"{r.total}(a_{name}[i])")
                self.lines.append(f"        a_{r.variable}[i] = {combined}")
            self.lines.append("    begin = end")


def text(name, signature, imports, out, inputs, scalars, body, kinds, per_row):
    """The kernel's text; `out` is (dtype code, stride class from row to row, or None for one number a row), `inputs` a list of the same,
    `body` the parts of all stages, `kinds` the dtype codes of the names of numbers a row, `per_row` which inputs are such."""
    operands = [(out[0], out[1], out[1] is None, 0), *((code, kind, flag, 0) for (code, kind), flag in zip(inputs, per_row))]
    base = len(operands) + len(scalars)
    writer = Writer(operands, base, kinds, body)
    dims, step = base + 4 + 2 * len(operands), len(operands) + 1
    offsets = []
    for k, operand in enumerate(operands):
        variable = "o" if k == 0 else f"a{k - 1}"
        offsets.append(f"{variable} = first * p[{base + 4 + len(operands) + k}] + offset_of(p, {dims}, {step}, {k + 1}, outer, position)")
        if k and operand[2]:
            memory = "u8" if operand[0] == "b8" else operand[0]
            offsets.append(f"row{k - 1} = in_{memory}(p[{k}] + {SIZES[memory]} * a{k - 1})")
    return TEXT.format(
        name=name,
        signature=signature,
        imports=imports,
        scalars=scalar_lines(scalars, len(operands)),
        base=base,
        width=WIDTH,
        arrays="".join(f"    a_{n} = stack_{'u8' if code == 'b8' else code}({WIDTH})\n" for n, code in writer.arrays.items()),
        offsets="".join(f"        {line}\n" for line in offsets),
        body="\n".join(f"        {line}" for line in writer.lines),
    )


def table(name, text, length, count, sizes, inner, strides, arguments, nbytes):
    """The launch; `sizes` and `strides` of the outer dims, the last of which is that of the rows side by side, `inner` strides, each for
    out and the inputs."""
    columns = sizes[-1]
    units = prod(sizes[:-1]) * -(-columns // WIDTH)
    words = [length, columns, count, len(sizes) - 1, *inner, *(s[-1] for s in strides)]
    for d in range(len(sizes) - 2, -1, -1):
        words += [sizes[d], *(s[d] for s in strides)]
    return Table(library.kernel(name, text), units, max(1, GRAIN // (length * min(columns, WIDTH))), arguments, words, nbytes=nbytes)
