"""Matrix multiplication on a card: C[b, m, n] = A[b, m, k] @ B[b, k, n], any strides on A and B, unit column stride on C.

A block of threads makes one square tile of C, in rounds of `depth` k's, much as in Volkov and Demmel ("Benchmarking GPUs to tune dense
linear algebra", 2008):

    fetch the first tiles of A and B          global memory -> registers
    for each round:
        put them, barrier                     registers -> shared memory, into one of two halves
        fetch the next round's                on their way while this round multiplies
        for each k of the round: multiply     a thread reads `high` elements of A and `wide` of B, and adds their products to its sums

All high x wide sums of a thread are registers. Elements of A and B lie in shared memory as [k][row] and [k][column]. The lanes of a
warp stand 4 x 8, bits 0 and 4 of the lane's number choosing the row, bits 1 to 3 the column; each reads groups of 16 bytes, and the
lanes that read one group differ in bit 0 or 1, where the hardware serves them together.

Both operands are moved by one rule (`place`). Neighbouring threads take neighbours in memory: along the tile's edge (rows of A, columns
of B) or, where k is the contiguous direction, along k. Where addresses, strides and sizes are multiples of four elements they move
four at once. What lies outside of the operand is a zero in the tile, so no product has a second path for its edges. The first round is
the one that may be short.

Tiles with several `teams` of threads split each round's k's among them: for few tiles and a long k. At the end the sums go through
shared memory, where teams are added up in order, and leave it row by row, through the epilogue.

Every element of C is a sum in an order that depends on the tile alone, whatever the grid: k's in order, or each team's in order.

Slots: the addresses (C, A, B, operands of the epilogue); then those of `SLOTS`; for each operand of the epilogue its row and column
stride; then for each batch dim, innermost first: its size and the strides (C, A, B, operands of the epilogue). With a `piece` > 0 the
outermost batch dim counts pieces of k of that length (the last one shorter), whose products are to be added up.
"""

from __future__ import annotations

from typing import NamedTuple

SLOTS = ("m", "n", "k", "row_blocks", "column_blocks", "units", "a_row", "a_col", "b_row", "b_col", "c_row", "piece", "ndim")
ITEM = {"u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "f32": 4, "f64": 8}


class Tile(NamedTuple):
    """How a product is cut. All are powers of two.

    size: rows and columns of a tile of C. depth: k's of a round. high, wide: sums of a thread. teams: groups of threads that share the
    k's of a round. run: k's that are written out in a row, the loop around them being rolled. bound: threads that a multiprocessor shall
    hold at the least, which bounds a thread's registers to 65536 / bound.
    """

    size: int
    depth: int
    high: int
    wide: int
    teams: int
    run: int
    bound: int

    @property
    def team(self):
        """Threads of a team."""
        return self.size // self.high * (self.size // self.wide)

    @property
    def threads(self):
        """Threads of a block."""
        return self.team * self.teams


class Epilogue(NamedTuple):
    """What becomes of each element `x` of A @ B (already cast to the dtype of C) before it is stored.

    imports: text. lines: statements; result: the expression that is stored; both may use x and the operands y0, y1, ... codes: the
    operands' dtypes. For `matmul_plan.table` also their strides, (row, column) for each, and steps, the batch strides for each.
    """

    imports: str
    lines: tuple
    result: str
    codes: tuple = ()
    strides: tuple = ()
    steps: tuple = ()


TEXT = '''"""matmul: {code}, tiles of {size} x {size}; the loops are explained in numtape/kernels/cuda/matmul.py.

Slots: {slots}
"""
from numtape.kernels.cuda.intrinsics import *
{imports}

@inline
def place(t, base, along, deep, end, length):
    """How this thread moves its share of an operand's tiles; `along` is the stride along the edge of the tile, `deep` the one along k.

    Gives the way (bit 0: neighbours along k, bit 1: four at once), the place in the tile, the address, and how many of the share's loads
    lie inside of the operand, in the first round and in the later ones.
    """
    way = i64(0)
    if along == 1:
        if (base | {item} * deep) & {ragged} == 0 and end & 3 == 0:
            way = i64(2)
    elif deep == 1:
        way = i64(1)
        if (base | {item} * along) & {ragged} == 0 and length & 3 == 0:
            way = i64(3)
    bits = ({depth_bits} if way & 1 else {size_bits}) - (way & 2)
    other = t >> bits
    lead = (t - (other << bits)) << (way & 2)
    last, bits = ({threads} >> bits) - 1 - other, {thread_bits} - bits
    first = length - quotient(length + {depth} - 1, {depth}) * {depth} + {depth} if length > 0 else i64(0)
    if way & 1:
        inside_later = (min(end, {size}) + last) >> bits
        inside_first = inside_later if lead < first else i64(0)
        return i32(way), lead * {row} + other, base + {item} * (lead * deep + other * along), i32(inside_first), i32(inside_later)
    inside_first = (first + last) >> bits if lead < end else i64(0)
    inside_later = ({depth} + last) >> bits if lead < end else i64(0)
    return i32(way), other * {row} + lead, base + {item} * (lead * along + other * deep), i32(inside_first), i32(inside_later)


@inline
def fetch(share, way, address, along, deep, inside):
    """This thread's share of a tile into registers; zeros beyond the edges."""
    bits = ({depth_bits} if way & 1 else {size_bits}) - (way & 2)
    hop = (along if way & 1 else deep) << ({share_bits} - bits)
    if way > 1:
        for i in range({fours}):
            if i32(i) < inside:  # the address is a multiple of 16 bytes, and the mask lets the compiler know
                share[4 * i], share[4 * i + 1], share[4 * i + 2], share[4 * i + 3] = load4_{code}(address & -{aligned})
            else:
                for q in range(4):
                    share[4 * i + q] = {sum}(0)
            address += hop
    else:
        for i in range({ones}):
            share[i] = in_{code}(address)[0] if i32(i) < inside else {code}(0)
            address += hop


@inline
def put(tiles, at, share, way):
    """The share into shared memory: element (k, w) of a tile stands at k * {row} + w."""
    if way == 2:
        for i in range({fours}):
            for q in range(4):
                tiles[(at & -{group}) + i * {four_rows} + q] = share[4 * i + q]
    elif way == 3:
        for i in range({fours}):
            for q in range(4):
                tiles[at + i * {four_columns} + q * {row}] = share[4 * i + q]
    elif way == 1:
        for i in range({ones}):
            tiles[at + i * {one_columns}] = share[i]
    else:
        for i in range({ones}):
            tiles[at + i * {one_rows}] = share[i]


@inline
def multiply(sums, u, v, tiles, a, b):
    """At one k: the thread's elements of A times its elements of B."""
    for i in range({high}):
        u[i] = tiles[a + i % {group} + i // {group} * {u_apart}]
    for j in range({wide}):
        v[j] = tiles[b + j % {group} + j // {group} * {v_apart}]
    for i in range({high}):
        for j in range({wide}):
            sums[i * {wide} + j] = {product}


@inline
def pile(tiles, sums, at, part):
    """One part of the rows of a thread's sums into shared memory, which holds them row by row."""
    for g in range({parts}):  # `part` is no constant, `g` is: registers have no index
        if g == part:
            for i in range({group}):
                for j in range({wide}):
                    tiles[at + i * {size} + j % {group} + j // {group} * {v_apart}] = sums[(g * {group} + i) * {wide} + j]


@inline
def total(tiles, e):
    """A sum of products, over the teams in order."""
    x = tiles[e]
    for team in range(1, {teams}):
        x = {sum}(x + tiles[e + team * {piled}])
    return {code}(x)
{element}

@inline
def store(p, tiles, corner, t, part):
    """One part of the tile's rows from shared memory into C, four elements at a time."""
    e = 4 * t
    while e < {piled}:
        row, column = e >> {size_bits}, e & {last}
        band = row >> {band_bits}
        row += band * {band_gap} + part * {u_apart}
        room = corner[2] - column
        if row < corner[1] and room > 0:
            c = corner[0] + {item} * (row * p[{c_row}] + column)
            x0, x1, x2, x3 = total(tiles, e), total(tiles, e + 1), total(tiles, e + 2), total(tiles, e + 3)
{finish}            if room > 3:
                store4_{code}(c, x0, x1, x2, x3)
            else:
                out = out_{code}(c)
                out[0] = x0
                if room > 1:
                    out[1] = x1
                if room > 2:
                    out[2] = x2
        e += {threads} * 4


def kernel(args):
    p = slots(args)
    tiles, corner = shared_{sum}({shared}), shared_i64({corners})
    sums, u, v = stack_{sum}({high_wide}), stack_{sum}({high}), stack_{sum}({wide})
    next_a, next_b = stack_{sum}({ones}), stack_{sum}({ones})
    t = thread_x()
    team, warp, lane = t >> {team_bits}, (t >> 5) & {last_warp}, t & 31
    warp_row = warp >> {warp_bits}
    row = {group} * ((lane & 1) + 2 * (lane >> 4)) + warp_row * {warp_high}
    column = {group} * ((lane >> 1) & 7) + (warp & {last_warp_column}) * {warp_wide}
    unit = block_x()
    while unit < p[{units}]:
        above = quotient(unit, p[{column_blocks}])
        rest = quotient(above, p[{row_blocks}])
        i, j = (above - rest * p[{row_blocks}]) * {size}, (unit - above * p[{column_blocks}]) * {size}
        a, b, c = i * p[{a_row}], j * p[{b_col}], i * p[{c_row}] + j
{starts}        here, dim = i64(0), i64(0)
        while dim < p[{ndim}]:
            at = {dims} + {width} * dim
            above = quotient(rest, p[at])
            here = rest - above * p[at]
            c += here * p[at + 1]
            a += here * p[at + 2]
            b += here * p[at + 3]
{steps}            rest = above
            dim = rolled(dim + 1)
        length = min(p[{piece}], p[{k}] - here * p[{piece}]) if p[{piece}] > 0 else p[{k}]
        if t == 0:  # kept in shared memory until the tile is stored: registers are scarce
            corner[0], corner[1], corner[2] = p[0] + {item} * c, p[{m}] - i, p[{n}] - j
{keep}        a_way, a_at, a, a_inside, a_later = place(t, p[1] + {item} * a, p[{a_row}], p[{a_col}], p[{m}] - i, length)
        b_way, b_at, b, b_inside, b_later = place(t, p[2] + {item} * b, p[{b_col}], p[{b_row}], p[{n}] - j, length)
        fetch(next_a, a_way, a, p[{a_row}], p[{a_col}], a_inside)
        fetch(next_b, b_way, b, p[{b_col}], p[{b_row}], b_inside)
        rounds = i32(quotient(length + {depth} - 1, {depth}))
        first = length - i64(rounds - 1) * {depth}
        a += {item} * first * p[{a_col}]
        b += {item} * first * p[{b_row}]
        for s in range({high_wide}):
            sums[s] = {sum}(0)
        half = i64(0)
        while rounds > 0:
            put(tiles, half + a_at, next_a, a_way)
            put(tiles, half + {tile} + b_at, next_b, b_way)
            barrier()
            rounds = i32(rounds - 1)
            if rounds > 0:
                fetch(next_a, a_way, a, p[{a_row}], p[{a_col}], a_later)
                fetch(next_b, b_way, b, p[{b_col}], p[{b_row}], b_later)
                a += {item_depth} * p[{a_col}]
                b += {item_depth} * p[{b_row}]
            for q in range(0, {team_depth}, {run}):
                at = half + (team * {team_depth} + q) * {row}
                u_at, v_at = (at + row) & -{group}, (at + {tile} + column) & -{group}
{multiplies}
            half = {both} - half
        for part in range({parts}):
            barrier()
            pile(tiles, sums, team * {piled} + (row - warp_row * {band_gap}) * {size} + column, part)
            barrier()
            store(p, tiles, corner, t, part)
        barrier()
        unit += blocks_x()
'''

ELEMENT = '''

@inline
def element({parameters}):
    """What is stored for an element of A @ B."""
{lines}    return {result}
'''


def text(code: str, tile: Tile, epilogue: Epilogue | None = None) -> str:
    """The kernel's text for a dtype code, a tile and an optional epilogue."""
    item, operands = ITEM[code], () if epilogue is None else epilogue.codes
    accumulator = code if item == 8 or code == "f32" else "i32"  # the low bits of a sum of products do not know the higher ones
    group = 16 // ITEM[accumulator]  # elements of a shared load
    size, depth, threads = tile.size, tile.depth, tile.threads
    row = size + group  # of a tile in shared memory; longer than `size`, for fewer conflicts of banks where threads lie along k
    parts = tile.high // group
    piled = size * size // parts  # elements of one part of a team's sums
    dims = 3 + len(operands) + len(SLOTS) + 2 * len(operands)
    shares, apart = size * depth // threads, {"u_apart": 4 * group, "v_apart": 8 * group}
    imports = f"from numtape.kernels.vecmath import fma_{code}\n" if code[0] == "f" else ""
    product = "fma_{0}(u[i], v[j], sums[i * {1} + j])" if code[0] == "f" else "{0}(sum_of(sums[i * {1} + j], product_of(u[i], v[j])))"
    fields = {name: 3 + len(operands) + i for i, name in enumerate(SLOTS)}
    fields |= dict(item=item, aligned=min(16, 4 * item), ragged=min(16, 4 * item) - 1, code=code, sum=accumulator, group=group, **apart)
    fields |= dict(size=size, depth=depth, high=tile.high, wide=tile.wide, teams=tile.teams, run=tile.run, threads=threads, row=row)
    fields |= dict(last=size - 1, size_bits=_log(size), depth_bits=_log(depth), thread_bits=_log(threads), team_bits=_log(tile.team))
    fields |= dict(ones=shares, fours=shares // 4, high_wide=tile.high * tile.wide, parts=parts, piled=piled, item_depth=item * depth)
    fields |= dict(tile=depth * row, both=2 * depth * row, shared=max(4 * depth * row, tile.teams * piled), team_depth=depth // tile.teams)
    fields |= dict(warp_high=4 * tile.high, warp_wide=8 * tile.wide, band_bits=_log(4 * group), band_gap=4 * (tile.high - group))
    fields |= dict(warp_bits=_log(size // (8 * tile.wide)), last_warp=tile.team // 32 - 1, last_warp_column=size // (8 * tile.wide) - 1)
    fields |= dict(share_bits=_log(threads * item), one_columns=threads // depth, four_columns=4 * threads // depth)
    fields |= dict(one_rows=threads // size * row, four_rows=4 * threads // size * row)
    fields |= dict(dims=dims, width=4 + len(operands), corners=3 + len(operands), **_epilogue_fields(epilogue, dims))
    return TEXT.format(
        slots=", ".join(f"{i} {name}" for i, name in enumerate(["C", "A", "B", *(f"y{i}" for i in range(len(operands))), *SLOTS])),
        imports=imports + ("" if epilogue is None else epilogue.imports),
        product=product.format(accumulator, tile.wide),
        multiplies="\n".join(f"{' ' * 16}multiply(sums, u, v, tiles, u_at + {s * row}, v_at + {s * row})" for s in range(tile.run)),
        **fields,
    )


def _log(power: int) -> int:
    return power.bit_length() - 1


def _epilogue_fields(epilogue, dims):
    """The parts of the text that an epilogue fills."""
    if epilogue is None:
        return dict(element="", starts="", steps="", keep="", finish="")
    starts, steps, keep, finish, values = [], [], [], [], []
    for i, code in enumerate(epilogue.codes):
        slot = dims - 2 * len(epilogue.codes) + 2 * i
        item, load = (1, "in_u8({})[0] != 0") if code == "b8" else (ITEM[code], f"in_{code}({{}})[0]")
        starts.append(f"        y{i} = i * p[{slot}] + j * p[{slot + 1}]\n")
        steps.append(f"            y{i} += here * p[at + {4 + i}]\n")
        keep.append(f"            corner[{3 + i}] = p[{3 + i}] + {item} * y{i}\n")
        finish.append(f"            y{i} = corner[{3 + i}] + {item} * (row * p[{slot}] + column * p[{slot + 1}])\n")
        values.append([load.format(f"y{i} + min({q}, room - 1) * {item} * p[{slot + 1}]" if q else f"y{i}") for q in range(4)])
    for q in range(4):
        finish.append(f"            x{q} = element({', '.join([f'x{q}', *(v[q] for v in values)])})\n")
    element = ELEMENT.format(
        parameters=", ".join(["x", *(f"y{i}" for i in range(len(values)))]),
        lines="".join(f"    {line}\n" for line in epilogue.lines),
        result=epilogue.result,
    )
    return dict(
        element=element, **{name: "".join(lines) for name, lines in dict(starts=starts, steps=steps, keep=keep, finish=finish).items()}
    )
