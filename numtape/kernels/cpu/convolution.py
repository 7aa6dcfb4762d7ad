"""Convolutions by the micro-kernels of matrix products: no columns are written, windows are packed into the panels that a product reads.

    for ic in range(0, m, MC):          # a block of the weight, MC x KC, packed, stays in the L2 cache
      for pc in range(0, k, KC):
        for jr in range(0, L, NR):      # a panel of windows, KC x NR, packed into the L1 cache
          for ir in range(0, MC, MR):   # micro-kernel: an MR x NR tile of the result

A panel of windows is read by all rows of the block and then gone, so it is made only once for up to MC channels of the result. How k is
cut depends on sizes alone: every element is the same sum in the same order however the units are split.

`convolution_plan.py` describes the slots and how an image is laid out. With ``NUMBA_DISABLE_JIT=1`` the kernels are plain loops.
"""

import ctypes

import numpy as np

from .convolution_plan import FEW, FEW_K, SLACK
from .matmul import I0, I1, JIT, KC
from .matmul_plan import A_BYTES, TILE_BYTES

if JIT:
    from .matmul import helper, pack
    from .microkernel_calls import (
        ask,
        at,
        compact,
        copy,
        itemsize,
        lanes,
        least,
        load,
        micro_kernel,
        quotient,
        store,
        tile_cols,
        tile_rows,
        words,
    )
    from .microkernel_windows import direct, line_kernel, windows
else:
    helper = lambda function: function

BLOCK_BYTES = 288 << 10  # of a packed block of the weight
LINES_BYTES = 12 << 10  # of a row of lines that `direct` makes, four of which fit the panel of windows
OFFSETS, PIECES = 4096, 7168  # parts of the tile's scratch: offsets of up to KC + 8 rows of windows, pieces of a panel


@helper
def tap_offset(row, KD, KH, KW, dd, dh, dw, QD, QH, QW, SD, SH, SW):
    """Where in a laid out group of channels row (channel, kd, kh, kw) of the windows starts."""
    compact()
    line = quotient(row, KW)
    plane = quotient(line, KH)
    channel = quotient(plane, KD)
    w, h, d = (row - line * KW) * dw, (line - plane * KH) * dh, (plane - channel * KD) * dd
    qw, qh, qd = quotient(w, SW), quotient(h, SH), quotient(d, SD)
    phase = ((channel * SD + d - qd * SD) * SH + h - qh * SH) * SW + w - qw * SW
    return ((phase * QD + qd) * QH + qh) * QW + qw


@helper
def pieces_of(position, count, W, OH, OW, QH, QW, pieces):
    """The pieces of `count` windows from a position on, see `emit_windows`: pairs (lane, place in the image less lane); returns how many."""
    compact()
    found = lane = I0
    while lane < count:
        line = quotient(position + lane, OW)
        column = position + lane - line * OW
        d = quotient(line, OH)
        shift, end = (d * QH + line - d * OH) * QW + column - lane, least(lane + OW - column, count)
        while lane < end:
            store(I0, pieces, 2 * found, lane)
            store(I0, pieces, 2 * found + 1, shift)
            lane = least(quotient(lane + W, W) * W, end)
            found += 1
    return found


@helper
def few_rows(zero, m, k, OD, OH, OW, QH, QW, packed, offsets, image, tile, out):
    """The result of one sample and group by `direct`, some lines at a time: as the image lies they have gaps, which are left out of `out`."""
    compact()
    most = quotient(LINES_BYTES, itemsize(zero))
    pitch = most + quotient(np.int64(SLACK), itemsize(zero))
    piece = OW if most >= QW else least(OW, most)
    lines = least(OH, quotient(most, QW)) if piece == OW and most >= QW else I1
    for d in range(OD):
        for h in range(0, OH, lines):
            count = least(lines, OH - h)
            for w in range(0, OW, piece):
                cols = least(piece, OW - w)
                direct(zero, m, (count - 1) * QW + cols, k, packed, offsets, at(zero, image, (d * QH + h) * QW + w, 1, 0, 0), tile, pitch)
                for i in range(m):
                    cells = at(zero, out, (i * OD + d) * OH + h, OW, w, 1)
                    copy(zero, count, cols, cells, OW, at(zero, tile, i, pitch, 0, 0), QW)


def _forward(name, zero):
    def kernel(args, start, stop):
        compact()
        out, image, weight, m, inner, groups, samples, OD, OH, OW, KD, KH, KW, dd, dh, dw = words(args, 16)
        QD, QH, QW, SD, SH, SW, block, blocks = words(args + 128, 8)
        scratch = load(I0, args, -1)
        panel, packed = scratch + TILE_BYTES, scratch + TILE_BYTES + A_BYTES
        size, MR, NR, W = itemsize(zero), tile_rows(zero), tile_cols(zero), lanes(zero)
        L, k, of_group = OD * OH * OW, inner * KD * KH * KW, inner * SD * SH * SW * QD * QH * QW
        parts = quotient(k + KC - 1, KC) * 8
        k_step = quotient(k + parts - 1, parts) * 8
        blocks_of_m = quotient(m * k_step * size + BLOCK_BYTES - 1, BLOCK_BYTES)
        m_step = quotient(m + blocks_of_m * MR - 1, blocks_of_m * MR) * MR
        few = m <= FEW and k <= FEW_K
        if few:  # windows are read where they lie: packed, each would be written once and read once
            for r in range(k):
                store(I0, packed, r, tap_offset(r, KD, KH, KW, dd, dh, dw, QD, QH, QW, SD, SH, SW))
        unit = start
        while unit < stop:
            group = quotient(unit, samples * blocks)
            end = least(stop, (group + 1) * samples * blocks)
            if few:
                factors = packed + 8 * k
                pack(zero, k, m, factors, m, at(zero, weight, group * m, k, 0, 0), I1, k)
                for u in range(unit, end):
                    place = (u - group * samples) * groups + group
                    x, c = at(zero, image, place, of_group, 0, 0), at(zero, out, place * m, L, 0, 0)
                    few_rows(zero, m, k, OD, OH, OW, QH, QW, factors, packed, x, panel, c)
                unit = end
                continue
            for ic in range(0, m, m_step):
                rows = least(m_step, m - ic)
                panels = quotient(rows + MR - 1, MR)
                base = quotient(rows, panels)
                longer = rows - base * panels
                for pc in range(0, k, k_step):
                    kc = least(k_step, k - pc)
                    i = 0
                    for p in range(panels):
                        mr = base + 1 if p < longer else base
                        pack(zero, kc, mr, at(zero, packed, i, kc, 0, 0), mr, at(zero, weight, group * m + ic + i, k, pc, 1), I1, k)
                        i += mr
                    for r in range(kc):
                        store(I0, scratch + OFFSETS, r, tap_offset(pc + r, KD, KH, KW, dd, dh, dw, QD, QH, QW, SD, SH, SW))
                    for u in range(unit, end):
                        sample = quotient(u, blocks) - group * samples
                        first = (u - (group * samples + sample) * blocks) * block
                        x = at(zero, image, sample * groups + group, of_group, 0, 0)
                        c = at(zero, out, (sample * groups + group) * m + ic, L, 0, 0)
                        last = least(L, first + block)
                        for j in range(first, last, NR):
                            cols = least(NR, last - j)
                            windows(zero, kc, scratch + OFFSETS, pieces_of(j, cols, W, OH, OW, QH, QW, scratch + PIECES), scratch + PIECES, x, panel)
                            i = 0
                            for p in range(panels):
                                mr = base + 1 if p < longer else base
                                cells = at(zero, c, i, L, j, 1)
                                ask(zero, mr, cells, L)
                                if cols == NR:
                                    micro_kernel(zero, mr, kc, at(zero, packed, i, kc, 0, 0), I1, mr, panel, NR, cells, L, pc)
                                else:  # a tile over the edge is made in scratch
                                    if pc > 0:
                                        copy(zero, mr, cols, scratch, NR, cells, L)
                                    micro_kernel(zero, mr, kc, at(zero, packed, i, kc, 0, 0), I1, mr, panel, NR, scratch, NR, pc)
                                    copy(zero, mr, cols, cells, L, scratch, NR)
                                i += mr
            unit = end

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


def _weights(name, zero):
    def kernel(args, start, stop):
        compact()
        out, g, image, m, inner, groups, samples, OD, OH, OW, KD, KH, KW, dd, dh, dw = words(args, 16)
        QD, QH, QW, SD, SH, SW, block, blocks, parts, accumulate = words(args + 128, 10)
        scratch = load(I0, args, -1)
        packed = scratch + TILE_BYTES + A_BYTES
        size, MR, NR = itemsize(zero), tile_rows(zero), tile_cols(zero)
        L, rows, of_group = OD * OH * OW, inner * KD * KH * KW, inner * SD * SH * SW * QD * QH * QW
        m_step = quotient(quotient(BLOCK_BYTES, KC * size), NR) * NR
        # A step of the sum is several lines, or part of one.
        piece = least(OW, KC)
        lines = least(OH, quotient(KC, piece)) if piece == OW else I1
        for unit in range(start, stop):
            part = quotient(unit, groups * blocks)
            group = quotient(unit, blocks) - part * groups
            first = (unit - (part * groups + group) * blocks) * block
            last = least(rows, first + block)
            panels = quotient(last - first + MR - 1, MR)
            base = quotient(last - first, panels)
            longer = last - first - base * panels
            c = at(zero, out, (part * groups + group) * rows + first, m, 0, 0)
            for r in range(last - first):
                store(I0, scratch + OFFSETS, r, tap_offset(first + r, KD, KH, KW, dd, dh, dw, QD, QH, QW, SD, SH, SW))
            for jc in range(0, m, m_step):
                cols = least(m_step, m - jc)
                add = accumulate
                for sample in range(part, samples, parts):
                    x = at(zero, image, sample * groups + group, of_group, 0, 0)
                    gp = at(zero, g, (sample * groups + group) * m + jc, L, 0, 0)
                    for od in range(OD):
                        for oh in range(0, OH, lines):
                            count = least(lines, OH - oh)
                            for ow in range(0, OW, piece):
                                length = least(piece, OW - ow)
                                kc = count * length
                                of_g = at(zero, gp, (od * OH + oh) * OW + ow, 1, 0, 0)
                                for q in range(0, cols, NR):
                                    pack(zero, kc, least(NR, cols - q), at(zero, packed, q, kc, 0, 0), NR, at(zero, of_g, q, L, 0, 0), I1, L)
                                i = 0
                                for p in range(panels):
                                    mr = base + 1 if p < longer else base
                                    from_x = at(zero, x, (od * QH + oh) * QW + ow, 1, 0, 0)
                                    for q in range(0, cols, NR):
                                        cells, to, step = at(zero, c, i, m, jc + q, 1), scratch, NR
                                        ask(zero, mr, cells, m)
                                        if cols - q >= NR:
                                            to, step = cells, m
                                        elif add > 0:
                                            copy(zero, mr, cols - q, to, step, cells, m)
                                        line_kernel(zero, mr, count, length, from_x, scratch + OFFSETS + 8 * i, QW, at(zero, packed, q, kc, 0, 0), to, step, add)
                                        if cols - q < NR:
                                            copy(zero, mr, cols - q, cells, m, to, step)
                                    i += mr
                                add = I1

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


def _plain(args, zero, kind):
    """The slots, and the operands as arrays, for plain Python."""
    word = np.ctypeslib.as_array((ctypes.c_int64 * 26).from_address(args))
    m, inner, groups, samples, *sizes = (int(n) for n in word[3:24])
    array = lambda i, *shape: np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(zero.dtype) * int(np.prod(shape))).from_address(int(word[i]))).reshape(shape)
    result, kernel, dilation, phase, steps = (sizes[i : i + 3] for i in range(0, 15, 3))
    image = array(1 if kind == "forward" else 2, samples, groups, inner, *steps, *phase)
    taps = [
        (tap, (slice(None), slice(None), slice(None), *((t * d) % s for t, d, s in zip(tap, dilation, steps)),
               *(slice(t * d // s, t * d // s + n) for t, d, s, n in zip(tap, dilation, steps, result))))
        for tap in np.ndindex(*kernel)
    ]  # fmt: skip
    return word, (m, inner, groups, samples, result, kernel), image, array, taps


def _plain_forward(name, zero):
    """The whole convolution tap by tap; in plain Python the units are all there."""

    def kernel(args, start, stop):
        _, (m, inner, groups, samples, result, kernel), image, array, taps = _plain(args, zero, "forward")
        out, weight = array(0, samples, groups, m, *result), array(2, groups, m, inner, *kernel)
        out[...] = 0
        for tap, place in taps:
            out += np.einsum("goi,sgidhw->sgodhw", weight[(..., *tap)], image[place])

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


def _plain_weights(name, zero):
    def kernel(args, start, stop):
        word, (m, inner, groups, samples, result, kernel), image, array, taps = _plain(args, zero, "weights")
        parts, accumulate = int(word[24]), int(word[25])
        out, g = array(0, parts, groups, inner, *kernel, m), array(1, samples, groups, m, *result)
        for part in range(parts):
            if not accumulate:
                out[part] = 0
            for tap, place in taps:
                out[(part, slice(None), slice(None), *tap)] += np.einsum("sgodhw,sgidhw->gio", g[part::parts], image[place][part::parts])

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


if not JIT:
    _forward, _weights = _plain_forward, _plain_weights

forward_f32, weights_f32 = _forward("forward_f32", np.float32(0)), _weights("weights_f32", np.float32(0))
forward_f64, weights_f64 = _forward("forward_f64", np.float64(0)), _weights("weights_f64", np.float64(0))
forward_i64, weights_i64 = _forward("forward_i64", np.int64(0)), _weights("weights_i64", np.int64(0))
forward_i32, weights_i32 = _forward("forward_i32", np.int32(0)), _weights("weights_i32", np.int32(0))
forward_i16, weights_i16 = _forward("forward_i16", np.int16(0)), _weights("weights_i16", np.int16(0))
forward_i8, weights_i8 = _forward("forward_i8", np.int8(0)), _weights("weights_i8", np.int8(0))
forward_u8, weights_u8 = forward_i8, weights_i8
