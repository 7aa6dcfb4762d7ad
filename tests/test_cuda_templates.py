"""The CUDA patterns of reductions, scans, gathers and transposes, run in the emulator and compared with NumPy."""

import doctest
import types

import numpy as np
import pytest

from numtape import dtypes, graph, layout, op
from numtape.dispatch import program
from numtape.kernels.cuda import columns, copy, driver, emulator, gather, library, lines, rows

CODES = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8", "uint8": "u8", "bool": "b8"}
CUDA = types.SimpleNamespace(type="cuda", index=0)


class Table:
    """A launch as the templates lay it out, to be run on arrays, on `most` blocks at most: the rest is done in further rounds."""

    most = 3

    def __init__(self, kernel, grid, block, arguments, constants, *, nbytes=0):
        assert np.prod(block) <= kernel.threads and grid >= 1 and arguments + len(constants) <= 96
        self.kernel, self.grid, self.block, self.arguments, self.constants = kernel, grid, block, arguments, list(constants)

    def run(self, *arguments):
        """Launch on arrays, which stand for their address and all the memory that they are views of, and on ints."""
        memory, slots, known = emulator.Memory(), [], set()
        for a in arguments:
            if isinstance(a, np.ndarray):
                owner = whole(a)
                if owner.ctypes.data not in known:
                    memory.add(owner.ctypes.data, owner.nbytes, shared=a.dtype == CELL)
                    known.add(owner.ctypes.data)
                a = a.ctypes.data
            slots.append(a)
        assert len(slots) == self.arguments
        emulator.run(
            emulator.function(self.kernel.name, self.kernel.text), min(self.grid, self.most), self.block, slots + self.constants, memory
        )


def whole(a):
    """The array that owns a view's memory."""
    while a.base is not None:
        a = a.base
    return a


CELL = np.dtype([("word", np.int64)])  # of error cells, which any thread may set


@pytest.fixture(autouse=True)
def card(monkeypatch):
    """Tables that record what they are made of. `change` is applied to each kernel's text."""
    made = types.SimpleNamespace(multiprocessors=2, change=lambda text: text)
    monkeypatch.setattr(driver, "Table", Table)
    monkeypatch.setattr(driver, "multiprocessors", lambda: made.multiprocessors)
    monkeypatch.setattr(
        library, "kernel", lambda name, text, threads: types.SimpleNamespace(name=name, text=made.change(text), threads=threads)
    )
    return made


def values(rng, kind, shape):
    """Random elements with ties."""
    kind = np.dtype(kind)
    if kind.kind == "b":
        return rng.random(shape) < 0.3
    return (
        rng.standard_normal(shape).astype(kind) if kind.kind == "f" else rng.integers(-9 if kind.kind == "i" else 0, 10, shape).astype(kind)
    )


def close(found, expected, kind=None):
    expected = np.asarray(expected)
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
        return
    rtol = 2e-6 if np.float32 in (found.dtype, kind) else 1e-13
    scale = max([1.0, *np.abs(expected[np.isfinite(expected)]).ravel()])
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * scale)


def steps(*arrays):
    return [tuple(s // a.itemsize for s in a.strides) for a in arrays]


# ------------------------------------------------------------------------------------------------ row ops as dispatch lays them out
def traced(name, *kinds, static=()):
    """A row op, written down: its program and the symbols' extents."""
    record = op.TABLE[name]
    extents = [graph.ROW if n in record.traits.get("per_row", ()) else graph.FULL for n in record.names]
    symbols = [graph.leaf(getattr(dtypes, k), 0, e) for k, e in zip(kinds, extents)]
    root = graph.as_symbol(record.fn(*symbols, *static) if record.family == "row" else graph.reduction(record, symbols[0]))
    return program.Program(root, symbols, [], CUDA), root, extents


def row_op(name, *arrays, static=()):
    """Run a row op over the last dim of arrays (one number a row where they have one dim less)."""
    written, root, extents = traced(name, *(str(a.dtype) for a in arrays), static=static)
    reduces = root.extent == graph.ROW
    shape = arrays[0].shape
    out = np.empty(shape[:-1] if reduces else shape, CODES_BACK[root.dtype.code])
    lasts = [a.strides[-1] // a.itemsize if e == graph.FULL else 0 for a, e in zip(arrays, extents)]
    classes = [{1: "c", 0: "b"}.get(s, "s") for s in lasts]
    source = written.text(name, root.dtype.code, [(CODES[str(a.dtype)], c) for a, c in zip(arrays, classes)], None if reduces else "c")
    outer = shape[:-1]
    strides = [tuple(s // a.itemsize for s in a.strides[: len(outer)]) for a in (out, *arrays)]
    units = int(np.prod(outer))
    table = rows.table(name, source, units, shape[-1], 0, shape[-1], outer, [1, *lasts], strides, 1 + len(arrays), out.nbytes)
    table.run(out, *arrays)
    return out


CODES_BACK = {code: np.dtype(name) for name, code in CODES.items()}


SIZES = [(1, 1), (7, 3), (3, 5), (300, 4), (33, 32), (9, 33), (17, 100), (3, 1023), (1, 4097), (40, 130)]


@pytest.mark.parametrize("units, length", SIZES)
def test_sums_and_extrema_of_rows(rng, units, length):
    for kind in ("float32", "float64", "int64", "bool"):
        x = values(rng, kind, (units, length))
        close(row_op("sum", x), x.sum(1, dtype=np.float64 if x.dtype.kind == "f" else None), x.dtype)
    for kind in ("float32", "int64", "int16", "uint8"):
        x = values(rng, kind, (units, length))
        close(row_op("amax", x), x.max(1))
        close(row_op("amin", x), x.min(1))


@pytest.mark.parametrize("kind", ["int8", "int32", "float64"])
def test_extrema_of_other_dtypes(rng, kind):
    x = values(rng, kind, (5, 77))
    close(row_op("amax", x), x.max(1))
    close(row_op("prod", (x[:, :3])), x[:, :3].prod(1, dtype=None if x.dtype.kind == "f" else np.int64))


def test_any_and_all_of_rows(rng):
    for length in (1, 31, 33, 200):
        x = values(rng, "bool", (20, length))
        x[3], x[5] = True, False
        close(row_op("any", x), x.any(1))
        close(row_op("all", x), x.all(1))


@pytest.mark.parametrize("units, length", [(1, 1), (5, 3), (70, 10), (9, 33), (3, 1023), (1, 4097)])
def test_formulas_of_rows(rng, units, length):
    x = values(rng, "float32", (units, length))
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(1, keepdims=True))
    total = e.sum(1, keepdims=True)
    close(row_op("row_softmax", x, static=[None]), e / total)
    close(row_op("row_log_softmax", x, static=[None]), np.log(e / total))
    close(row_op("row_logsumexp", x, static=[None]), np.log(total[:, 0]) + wide.max(1))
    if length > 1:
        np.testing.assert_allclose(row_op("row_var", x, static=[None, 1]), wide.var(1, ddof=1), rtol=1e-5)
    target = rng.integers(0, length, units)
    close(row_op("row_cross_entropy", x, target, static=[None]), -np.log((e / total)[np.arange(units), target]))


def test_strided_and_broadcast_operands(rng):
    base = values(rng, "float32", (6, 5, 150))
    for x in (base[:, :, ::2], base[:, :, ::-1], base.transpose(2, 1, 0), base[::2, 1:4, 7:], np.broadcast_to(base[:, :1, :1], (6, 5, 40))):
        close(row_op("sum", x), x.astype(np.float64).sum(-1), np.float32)
        e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
        close(row_op("row_softmax", x, static=[None]), e / e.sum(-1, keepdims=True))


def test_nan_in_rows():
    x = np.ones((4, 70), np.float32)
    x[0, 69], x[1, 0], x[2] = np.nan, np.nan, -np.inf
    np.testing.assert_array_equal(row_op("amax", x), [np.nan, np.nan, -np.inf, 1])
    np.testing.assert_array_equal(row_op("amin", x), [np.nan, np.nan, -np.inf, 1])
    np.testing.assert_array_equal(row_op("sum", x), [np.nan, np.nan, -np.inf, 70])


def test_float_sums_are_added_up_in_float64():
    x = np.full((1, 40000), 0.1, np.float32)
    np.testing.assert_allclose(row_op("sum", x), x.astype(np.float64).sum(1), rtol=1e-7)


@pytest.mark.parametrize("length", [1, 64, 100, 257])
def test_a_sum_in_pieces(rng, length):
    x = values(rng, "float32", (length,))
    written = traced("sum", "float32")[0]
    piece = 64
    pieces = -(-length // piece)
    parts, out = np.empty(pieces, np.float64), np.empty(1, np.float32)
    first = written.text("sum", "f64", [("f32", "c")], None, phase=program.FIRST)
    rows.table("sum", first, pieces, piece, length, length, (pieces,), [1, 1], [(1,), (piece,)], 2, 8 * pieces).run(parts, x)
    close(parts, [x[k : k + piece].astype(np.float64).sum() for k in range(0, length, piece)], np.float32)
    last = written.text("sum", "f32", [("f64", "c")], None, phase=program.LAST)
    rows.table("sum", last, 1, pieces, 0, length, (), [1, 1], [(), ()], 2, 4).run(out, parts)
    close(out[0], x.astype(np.float64).sum())


def test_the_shapes_of_row_blocks():
    for length in (1, 4, 5, 32, 33, 128, 129, 1000, 1024, 1025, 16384, 10**6):
        for units in (1, 5, 1000, 10**6):
            width, side = rows.shape(length, units)
            assert width & (width - 1) == 0 and side & (side - 1) == 0
            assert 32 <= width * side <= 1024 and (width <= 32 or side == 1)


# ------------------------------------------------------------------------------------------------ columns
def column_op(name, x, out_step=1):
    """Reduce the second last dim of x, whose last dim is contiguous."""
    written, root, _ = traced(name, str(x.dtype))
    *outer, length, count = x.shape
    out = np.zeros((*outer, count * out_step), CODES_BACK[root.dtype.code])
    target = out[..., ::out_step]
    source = written.column_text(name, root.dtype.code, CODES[str(x.dtype)])
    out_steps, in_steps = (tuple(s // a.itemsize for s in a.strides[: len(outer)]) for a in (target, x))
    row_step = x.strides[-2] // x.itemsize
    table = columns.table(name, source, length, 0, count, row_step, out_step, outer, out_steps, in_steps, 2, out.nbytes)
    table.run(target, x)
    return target


@pytest.mark.parametrize("shape", [(2, 1), (1, 7), (5, 3), (33, 32), (100, 40), (3, 4, 5), (2, 3, 70, 2), (400, 1), (4, 300), (1030, 3)])
def test_columns(rng, shape):
    for name, kind in (("sum", "float32"), ("row_mean", "float32"), ("amax", "int64"), ("sum", "bool"), ("any", "bool"), ("amin", "int16")):
        if name == "row_mean":
            record = values(rng, kind, shape)
            written = traced(name, kind, static=[None])[0]
            out = np.empty((*shape[:-2], shape[-1]), np.float32)
            source = written.column_text(name, "f32", "f32")
            st = [tuple(s // 4 for s in a.strides[: len(shape) - 2]) for a in (out, record)]
            columns.table(name, source, shape[-2], 0, shape[-1], shape[-1], 1, shape[:-2], *st, 2, 0).run(out, record)
            close(out, record.mean(-2, dtype=np.float64))
        else:
            x = values(rng, kind, shape)
            function = {"sum": np.sum, "amax": np.max, "amin": np.min, "any": np.any}[name]
            wide = x.astype(np.float64) if kind == "float32" else x
            close(column_op(name, x), function(wide, -2), x.dtype)


def test_columns_of_views(rng):
    x = values(rng, "float32", (4, 9, 50, 21))[::2, 1:, ::3, 3:]
    close(column_op("sum", x), x.astype(np.float64).sum(-2), np.float32)
    close(column_op("amax", x, out_step=2), x.max(-2))
    x = np.broadcast_to(values(rng, "float32", (3, 1, 7)), (3, 50, 7))
    close(column_op("sum", x), x.astype(np.float64).sum(-2), np.float32)


@pytest.mark.parametrize("length, count, pieces", [(50, 3, 4), (64, 40, 2), (7, 5, 3), (30, 1, 4)])
def test_columns_in_pieces(rng, length, count, pieces):
    x = values(rng, "float32", (2, length, count))
    piece = -(-length // pieces)
    pieces = -(-length // piece)
    written = traced("row_mean", "float32", static=[None])[0]
    parts, out = np.empty((2, pieces, count), np.float64), np.empty((2, count), np.float32)
    text = written.column_text("row_mean", "f64", "f32", program.FIRST)
    first = columns.table(
        "row_mean", text, piece, length, count, count, 1, (2, pieces), (pieces * count, count), (length * count, piece * count), 2, 0
    )
    first.run(parts, x)
    close(parts[:, 0], x[:, :piece].astype(np.float64).sum(1), np.float32)
    close(parts[:, -1], x[:, piece * (pieces - 1) :].astype(np.float64).sum(1), np.float32)
    text = written.column_text("row_mean", "f32", "f64", program.LAST)
    columns.table("row_mean", text, pieces, 0, count, count, 1, (2,), (count,), (pieces * count,), 2, 0, length).run(out, parts)
    close(out, x.mean(1, dtype=np.float64))


def test_pieces_fill_a_card_and_depend_on_sizes_alone(card):
    for length, count in ((10**6, 3), (10**6, 1), (8192, 64), (2000, 1), (100, 1), (10**5, 10**5)):
        found = columns.pieces(length, count)
        card.multiprocessors = 50
        assert 1 <= found <= max(1, length // 1024) and found == columns.pieces(length, count)
        card.multiprocessors = 2
    assert columns.pieces(10**6, 3) > 500 and columns.pieces(10**5, 10**5) == 1


# ------------------------------------------------------------------------------------------------ lines
def line_op(text, outs, ins, d, length, extra=(), reverse=False):
    """Launch a line kernel along dim d of arrays whose other dims agree."""
    arrays = [*outs, *ins]
    rest = [k for k in range(arrays[-1].ndim) if k != d]
    sign = -1 if reverse else 1
    along = [sign * a.strides[d] // a.itemsize for a in arrays]
    sizes = tuple(arrays[-1].shape[k] for k in rest)
    strides = [tuple(a.strides[k] // a.itemsize for k in rest) for a in arrays]
    table = lines.table("line", text, length, along, sizes, strides, len(extra))
    starts = [a[tuple(slice(length - 1, None) if reverse and k == d else slice(None) for k in range(a.ndim))] for a in arrays]
    table.run(*starts, *extra)


def cumsum(x, d, reverse=False):
    kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
    accumulate = "f64" if x.dtype == np.float32 else CODES[str(x.dtype)] if x.dtype.kind == "f" else "i64"
    source, code = CODES[str(x.dtype)], CODES[str(kind)]
    body = lines.CUMSUM.format(accumulate=accumulate, test=" != 0" if source == "b8" else "", code=code)
    out = np.empty(x.shape, kind)
    line_op(lines.text("cumsum", f"{x.dtype}", (code,), (source,), body), [out], [x], d, x.shape[d], reverse=reverse)
    return out


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 33), (33, 3), (70, 40), (3, 1023), (1, 4097), (200, 2)])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumsum(rng, shape, reverse):
    for kind in ("float32", "int64", "bool", "int8"):
        x = values(rng, kind, shape)
        for d in (0, 1):
            turn = (lambda a, d=d: np.flip(a, d)) if reverse else lambda a: a
            close(cumsum(x, d, reverse), turn(np.cumsum(turn(x), d, dtype=np.float64 if kind == "float32" else np.int64)), x.dtype)


def test_cumsum_of_views(rng):
    x = values(rng, "float64", (5, 60, 12))[::2, ::3, 1:]
    for d in range(3):
        close(cumsum(x, d), np.cumsum(x, d))


def extremum(name, x, d):
    code = CODES[str(x.dtype)]
    text = lines.text(name, str(x.dtype), (code, "i64"), (code,), lines.EXTREMUM.format(sign=">" if name == "argmax" else "<"))
    shape = tuple(n for k, n in enumerate(x.shape) if k != d)
    best, at = np.empty(shape, x.dtype), np.empty(shape, np.int64)
    line_op(text, [np.expand_dims(best, d), np.expand_dims(at, d)], [x], d, x.shape[d])
    return best, at


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 33), (33, 4), (40, 70), (2, 1023), (1, 4097)])
def test_positions_of_extrema(rng, shape):
    for kind in ("float32", "int64", "uint8"):
        x = values(rng, kind, shape)
        if kind == "float32":
            x = np.round(x)  # ties
        for d in (0, 1):
            for name, function, at in (("argmax", np.max, np.argmax), ("argmin", np.min, np.argmin)):
                best, position = extremum(name, x, d)
                close(best, function(x, d))
                np.testing.assert_array_equal(position, at(x, d))


@pytest.mark.parametrize("length", [3, 40, 300])
def test_the_first_nan_is_the_extremum(rng, length):
    for _ in range(5):
        x = values(rng, "float64", (6, length))
        x[rng.random(x.shape) < 0.1] = np.nan
        for d in (0, 1):
            best, position = extremum("argmin", x, d)
            np.testing.assert_array_equal(position, np.argmin(x, d))  # NumPy's too is that of the first NaN
            np.testing.assert_array_equal(best, np.min(x, d))


SETUP = ("size, bad = p[3], out_i64(p[4])",)


def indexed(name, body, out, x, index, d, size):
    code, cell = CODES[str(out.dtype)], np.zeros(2, CELL)
    text = lines.text(
        name, str(out.dtype), (code,), (code, "i64"), body.format(code=code) if "{code}" in body else body, extra=2, setup=SETUP
    )
    line_op(text, [out], [x, index], d, index.shape[d], (size, cell))
    return cell["word"]


@pytest.mark.parametrize(
    "shape, taken", [((5, 9), (5, 4)), ((3, 300), (3, 200)), ((70, 50), (70, 33)), ((200, 3), (200, 3)), ((4, 6, 5), (4, 6, 50))]
)
def test_gather_and_scatter(rng, shape, taken):
    d = len(shape) - 1
    for turned in (False, True):
        for kind in ("float32", "uint8"):
            x, index = values(rng, kind, shape), rng.integers(0, shape[d], taken)
            if turned:
                x, index, d = np.asfortranarray(x), np.asfortranarray(index), len(shape) - 1
            out = np.empty(taken, x.dtype)
            assert not indexed("gather", lines.GATHER, out, x, index, d, shape[d]).any()
            np.testing.assert_array_equal(out, np.take_along_axis(x, index, d))
            g, found, expected = values(rng, kind, taken), np.zeros(shape, kind), np.zeros(shape, kind)
            assert not indexed("scatter_add", lines.SCATTER_ADD, found, g, index, d, shape[d]).any()
            for place in np.ndindex(taken):  # in the order of the index, in the dtype itself
                expected[(*place[:d], index[place])] += g[place]
            np.testing.assert_array_equal(found, expected)


def test_an_index_out_of_range_is_told_and_touches_nothing(rng):
    x, index = values(rng, "float32", (3, 40)), rng.integers(0, 40, (3, 35))
    for wrong in (40, -1, 2**40):
        index[1, 7] = wrong
        out, sums = np.full((3, 35), 7, np.float32), np.zeros((3, 40), np.float32)
        assert list(indexed("gather", lines.GATHER, out, x, index, 1, 40)) == [1, wrong]
        good = index != wrong
        np.testing.assert_array_equal(out[good], np.take_along_axis(x, np.where(good, index, 0), 1)[good])
        assert out[1, 7] == 7
        assert list(indexed("scatter_add", lines.SCATTER_ADD, sums, np.ones_like(out), index, 1, 40)) == [1, wrong]
        assert sums.sum() == good.sum()
    out = np.full((3, 35), 7, np.float32)
    cell = indexed("gather", lines.GATHER, out, np.zeros((3, 0), np.float32), np.zeros((3, 35), np.int64), 1, 0)
    assert list(cell) == [1, 0] and (out == 7).all()


# ------------------------------------------------------------------------------------------------ gather
@pytest.mark.parametrize(
    "outer, n, count, inner", [(1, 5, 3, 1), (2, 7, 9, 4), (3, 2, 70, 5), (1, 50, 300, 33), (2, 3, 4, 257), (1, 4, 1100, 3)]
)
def test_rows_by_index(rng, outer, n, count, inner):
    for kind in ("float32", "int64", "uint8", "int16") if count < 100 else ("float32", "int16"):
        x, index, cell = values(rng, kind, (outer, n, inner)), rng.integers(0, n, count), np.zeros(2, CELL)
        out = np.empty((outer, count, inner), kind)
        carrier = {1: "u8", 2: "i16", 4: "i32", 8: "i64"}[x.itemsize]
        gather.select(carrier, outer, n, count, inner).run(out, x, index, cell)
        np.testing.assert_array_equal(out, x[:, index])
        g, found, expected = values(rng, kind, (outer, count, inner)), np.zeros_like(x), np.zeros_like(x)
        gather.add(CODES[kind], outer, n, count, inner).run(found, g, index, cell)
        for j, k in enumerate(index):  # in the order of the index, in the dtype itself
            expected[:, k] += g[:, j]
        np.testing.assert_array_equal(found, expected)
        assert not cell["word"].any()


def test_rows_by_an_index_out_of_range(rng):
    x, index = values(rng, "float32", (2, 6, 5)), rng.integers(0, 6, 20)
    for wrong in (6, -1, -6, 2**50):
        index[11] = wrong
        out, sums, cells = np.full((2, 20, 5), 7, np.float32), np.zeros((2, 6, 5), np.float32), np.zeros((2, 2), CELL)
        gather.select("i32", 2, 6, 20, 5).run(out, x, index, cells[0].copy())
        gather.add("f32", 2, 6, 20, 5).run(sums, np.ones_like(out), index, cells[1])
        good = np.arange(20) != 11
        np.testing.assert_array_equal(out[:, good], x[:, index[good]])
        assert (out[:, 11] == 7).all() and sums.sum() == 2 * 19 * 5
        assert list(cells["word"][1]) == [1, wrong]


# ------------------------------------------------------------------------------------------------ transpose
@pytest.mark.parametrize("shape", [(8, 8), (9, 31), (33, 32), (70, 45), (3, 10, 40), (10, 3, 40), (2, 9, 3, 33)])
def test_transposed_copies(rng, shape):
    for kind in ("float32", "uint8", "int64", "int16"):
        base = values(rng, kind, (shape[-1], *shape[:-1]))
        x = np.moveaxis(base, 0, -1)  # contiguous along the second last dim
        out = np.empty(shape, kind)
        sizes, strides = layout.coalesce(shape, *steps(out, x))
        assert copy.fits(sizes, strides) and not copy.fits(sizes, [strides[0], strides[0]]) and not copy.fits(sizes, strides[::-1])
        copy.table("copy", CODES[kind], CODES[kind], [], "x0", "", sizes, strides, out.nbytes).run(out, base)
        np.testing.assert_array_equal(out, x)


def test_a_transposed_copy_converts(rng):
    base = values(rng, "float32", (40, 9))
    out, truth, back = np.empty((9, 40), np.float64), np.empty((9, 40), bool), np.empty((40, 9), np.float32)
    copy.table("copy", "f64", "f32", ["v0 = f64(x0)"], "v0", "", (9, 40), steps(out, base.T), 0).run(out, base)
    np.testing.assert_array_equal(out, base.T)
    copy.table("copy", "b8", "f32", ["v0 = x0 > f32(0.0)"], "v0", "", (9, 40), steps(truth, base.T), 0).run(truth, base)
    np.testing.assert_array_equal(truth, base.T > 0)
    copy.table("copy", "f32", "b8", ["v0 = f32(x0)"], "v0", "", (40, 9), steps(back, truth.T), 0).run(back, truth)
    np.testing.assert_array_equal(back, base > 0)
    assert copy.text("copy", "f32", "f32") == copy.text("copy", "i32", "i32") != copy.text("copy", "f64", "f64")


# ------------------------------------------------------------------------------------------------ what all have in common
def transposed(base):
    out = np.empty(base.shape[::-1], base.dtype)
    copy.table("copy", "f32", "f32", [], "x0", "", out.shape, steps(out, base.T), 0).run(out, base)
    return out


def added(g, index, n):
    sums = np.zeros((g.shape[0], n, g.shape[2]), np.float32)
    gather.add("f32", g.shape[0], n, index.size, g.shape[2]).run(sums, g, index, np.zeros(2, CELL))
    return sums


@pytest.mark.parametrize("module", [rows, columns, lines])
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


LAUNCHES = {  # each with several threads for a result, several blocks, and several rounds of them
    "rows": lambda rng: row_op("sum", values(rng, "float32", (7, 300))),
    "stages": lambda rng: row_op("row_var", values(rng, "float32", (2, 300)), static=[None, 1]),
    "columns": lambda rng: column_op("sum", values(rng, "float32", (3, 200, 40))),
    "cumsum": lambda rng: cumsum(values(rng, "float32", (5, 200)), 1),
    "cumsum in chunks": lambda rng: cumsum(values(rng, "float32", (1, 4400)), 1),
    "cumsum of columns": lambda rng: cumsum(values(rng, "float32", (60, 40)), 0),
    "extremum": lambda rng: extremum("argmax", values(rng, "float32", (5, 300)), 1)[1],
    "extremum of columns": lambda rng: extremum("argmin", values(rng, "int64", (100, 70)), 0)[1],
    "index_add": lambda rng: added(values(rng, "float32", (1, 600, 3)), rng.integers(0, 4, 600), 4),
    "transpose": lambda rng: transposed(values(rng, "float32", (100, 70))),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_results_do_not_depend_on_the_grid_or_on_the_order_of_threads(name, card, monkeypatch):
    reference = LAUNCHES[name](np.random.default_rng(1))
    for most, multiprocessors, order in ((1, 1, "backward"), (2, 7, 3), (50, 132, 5)):
        card.multiprocessors = multiprocessors
        monkeypatch.setattr(Table, "most", most)
        monkeypatch.setattr(emulator, "order", order)
        assert LAUNCHES[name](np.random.default_rng(1)).tobytes() == reference.tobytes()


@pytest.mark.parametrize("name", LAUNCHES)
def test_each_barrier_is_needed(name, card, monkeypatch):
    """A text without one of its barriers is caught."""
    monkeypatch.setattr(Table, "most", 1)
    texts = []
    card.change = lambda text: texts.append(text) or text
    LAUNCHES[name](np.random.default_rng(1))
    parts = texts[0].split("barrier()")
    assert len(parts) > 1
    for k in range(1, len(parts)):
        card.change = lambda text, k=k: "barrier()".join(parts[:k]) + "pass" + "barrier()".join(parts[k:])
        with pytest.raises(emulator.EmulatorError, match="race|uninitialised"):
            LAUNCHES[name](np.random.default_rng(1))
