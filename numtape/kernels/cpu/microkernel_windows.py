"""The LLVM IR that convolutions need besides that of `microkernel.py`: panels of windows, and sums over lines of an image.

An image is *laid out* so that the elements that one tap of the kernel meets at neighbouring positions are neighbours in memory, with zeros
where windows look over the edge (see `convolution_plan.py`). So each row of a panel is a few runs of memory, at an offset of its own.
"""

import itertools

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .microkernel import I64, PTR, Emitter, c64, geometry, store_tile
from .microkernel_calls import _call, _get, _switch

DIRECT = {1: 8, 2: 6, 3: 4, 4: 3}  # rows of C and the vectors of each: 8 to 12 sums hide the latency of the fma


def emit_windows(module, g):
    """panel[k*NR + lane] = image[offset[k] + shift + lane] for k < count, `shift` being that of the lane's piece.

    `pieces` are pairs of words: a lane and a shift; there is one for each lane where a run of memory or a vector begins. A piece is stored a vector
    wide: what it spills is rewritten by the next piece, or by the next row, and in the last row falls into the slack of the panel."""
    e = Emitter(module, g, "windows", [I64, PTR, I64, PTR, PTR, PTR], noalias=(5,))
    count, offsets, piece_count, pieces, image, panel = e.function.args
    b, word = e.b, lambda pointer, i: e.b.load(e.b.gep(pointer, [c64(i)], source_etype=I64), typ=I64)

    def rows_of(known):
        """The loop over rows with as many pieces, which then stay in registers."""
        places = [(word(pieces, 2 * i), word(pieces, 2 * i + 1)) for i in range(known)]

        def row(at, to):
            here = e.at(image, word(at, 0))
            for x, lane in [(e.load(e.at(here, b.add(lane, shift))), lane) for lane, shift in places]:
                e.store(x, e.at(to, lane))
            return b.gep(at, [c64(1)], source_etype=I64), e.at(to, g.NR)

        e.loop("rows", count, [offsets, panel], row)
        b.ret_void()

    for known in range(g.NV, g.NV + 2):
        yes, no = e.function.append_basic_block(), e.function.append_basic_block()
        b.cbranch(b.icmp_signed("==", piece_count, c64(known)), yes, no)
        b.position_at_end(yes)
        rows_of(known)
        b.position_at_end(no)

    def row(at, to):
        here = e.at(image, word(at, 0))

        def piece(pair):
            lane, shift = word(pair, 0), word(pair, 1)
            e.store(e.load(e.at(here, b.add(lane, shift))), e.at(to, lane))
            return (b.gep(pair, [c64(2)], source_etype=I64),)

        e.loop("pieces", piece_count, [pieces], piece)
        return b.gep(at, [c64(1)], source_etype=I64), e.at(to, g.NR)

    e.loop("rows", count, [offsets, panel], row)
    return e.finish()


def emit_direct(module, g, mr):
    """C[mr, count] = the sum over k of A[k, mr] * image[offset[k] + ...]: windows read where they lie, for results of few channels.

    The image is read and C written to the end of a tile, so both have slack behind them."""
    e = Emitter(module, g, f"direct_{mr}", [I64, I64, PTR, PTR, PTR, PTR, I64], noalias=(5,))
    count, k, A, offsets, image, C, c_row = e.function.args
    b, W, nv = e.b, g.W, DIRECT[mr]
    cells = list(itertools.product(range(mr), range(nv)))

    def tile(x, c):
        def step(a, at, *sums):
            here, sums = e.at(x, b.load(at, typ=I64)), list(sums)
            vectors = [e.load(e.at(here, v * W)) for v in range(nv)]
            for i in range(mr):
                factor = e.splat(e.load(e.at(a, i), g.T))
                for v in range(nv):
                    sums[i * nv + v] = e.madd(factor, vectors[v], sums[i * nv + v])
            return e.at(a, mr), b.gep(at, [c64(1)], source_etype=I64), *sums

        _, _, *sums = e.loop("step", k, [A, offsets, *[ir.Constant(g.V, [0] * W)] * len(cells)], step)
        for total, (i, v) in zip(sums, cells):
            e.store(total, e.at(e.at(c, b.mul(c_row, c64(i))), v * W))
        return e.at(x, nv * W), e.at(c, nv * W)

    e.loop("tile", b.sdiv(b.add(count, c64(nv * W - 1)), c64(nv * W)), [image, C], tile)
    return e.finish()


def emit_line_kernel(module, g, mr, nv):
    """C[mr, nv*W] = (accumulate ? C : 0) + the sum over lines and elements of lines of A[r, line, i] * B[line, i, :].

    Row r of A starts at image[offset[r]]; its lines are `a_line` elements apart. B is a packed panel without gaps."""
    e = Emitter(module, g, f"lines_{mr}x{nv}", [I64, I64, PTR, PTR, I64, PTR, PTR, I64, I64], noalias=(5, 6))
    lines, length, image, offsets, a_line, B, C, c_row, accumulate = e.function.args
    b, W = e.b, g.W
    rows = [b.load(b.gep(offsets, [c64(i)], source_etype=I64), typ=I64) for i in range(mr)]
    cells = list(itertools.product(range(mr), range(nv)))

    def line(start, panel, *tile):
        def step(a, bp, *tile):
            tile = list(tile)
            vectors = [e.load(e.at(bp, v * W)) for v in range(nv)]
            for i in range(mr):
                x = e.splat(e.load(e.at(a, rows[i]), g.T))
                for v in range(nv):
                    tile[i * nv + v] = e.madd(x, vectors[v], tile[i * nv + v])
            return e.at(a, 1), e.at(bp, g.NR), *tile

        _, panel, *tile = e.loop("step", length, [start, panel, *tile], step)
        return e.at(start, a_line), panel, *tile

    _, _, *tile = e.loop("line", lines, [image, B, *[ir.Constant(g.V, [0] * W)] * len(cells)], line)
    store_tile(e, tile, cells, C, c_row, accumulate)
    return e.finish()


@intrinsic
def windows(typingctx, zero, count, offsets, piece_count, pieces, image, panel):
    """A panel of `count` rows of windows. See emit_windows."""
    def codegen(context, b, signature, args):
        _call(b, _get(b.module, "windows", geometry(signature.args[0]), emit_windows), args[1:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 6), codegen


@intrinsic
def line_kernel(typingctx, zero, mr, lines, length, image, offsets, a_line, B, C, c_row, accumulate):
    """A tile of sums over lines of an image for 1 <= mr <= MR. See emit_line_kernel."""
    def codegen(context, b, signature, args):
        g = geometry(signature.args[0])
        kernels = {mr: _get(b.module, f"lines_{mr}x{g.NV}", g, emit_line_kernel, mr, g.NV) for mr in range(1, g.MR + 1)}
        _switch(b, args[1], kernels, args[2:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 10), codegen


@intrinsic
def direct(typingctx, zero, mr, count, k, A, offsets, image, C, c_row):
    """`mr` rows of sums of windows that are read where they lie. See emit_direct."""
    def codegen(context, b, signature, args):
        g = geometry(signature.args[0])
        _switch(b, args[1], {mr: _get(b.module, f"direct_{mr}", g, emit_direct, mr) for mr in DIRECT}, args[2:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 8), codegen
