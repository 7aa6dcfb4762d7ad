"""Samples of the ops on shapes: order, repetition, stacks, diagonals, windows."""

import numpy as np
from samples import data, index

row, square, cube = data(5, seed=3), data(4, 4), data(3, 4, 5)
x, y, column = data(4, 5), data(4, 5, seed=1), data(4, 1, seed=4)
number = np.array(1.25)


SAMPLES = {
    "flip": [("0", lambda m, t: m.flip(t, (0,)), (cube,)), ("two", lambda m, t: t.flip(-1, 0), (cube,)), ("none", lambda m, t: t.flip(()), (x,)), ("list", lambda m, t: t.flip([1]), (x,))],
    "fliplr": [("", lambda m, t: m.fliplr(t), (x,))],
    "flipud": [("", lambda m, t: t.flipud(), (x,))],
    "roll": [
        ("dim", lambda m, t: m.roll(t, 2, 1), (x,)), ("back", lambda m, t: t.roll(-1, 0), (x,)), ("flat", lambda m, t: t.roll(3), (x,)),
        ("two", lambda m, t: m.roll(t, (1, -2), (0, 2)), (cube,)), ("round", lambda m, t: t.roll(9, 1), (x,)), ("whole", lambda m, t: t.roll(5, 1), (x,)),
    ],
    "rot90": [(f"{k}", lambda m, t, k=k: m.rot90(t, k, (0, 1)), (x,)) for k in range(-1, 4)] + [("dims", lambda m, t: t.rot90(1, [2, 0]), (cube,))],
    "repeat": [("", lambda m, t: t.repeat(2, 3), (x,)), ("more", lambda m, t: t.repeat(2, 1, 3), (x,)), ("once", lambda m, t: t.repeat(1, 1), (x,)), ("none", lambda m, t: t.repeat(0, 1), (x,))],
    "tile": [("", lambda m, t: m.tile(t, (2, 3)), (x,)), ("fewer", lambda m, t: t.tile(2), (x,)), ("more", lambda m, t: t.tile((2, 1, 1)), (x,))],
    "repeat_interleave": [
        ("flat", lambda m, t: m.repeat_interleave(t, 2), (x,)), ("dim", lambda m, t: t.repeat_interleave(3, 1), (x,)), ("last", lambda m, t: t.repeat_interleave(2, dim=-1), (cube,)),
        ("tensor", lambda m, t, n: m.repeat_interleave(t, n, dim=0), (x, np.array([2, 0, 1, 3]))), ("size", lambda m, t, n: t.repeat_interleave(n, 1, output_size=7), (x, np.array([1, 2, 0, 1, 3]))),
        ("counts", lambda m, n: m.repeat_interleave(n), (np.array([2, 0, 1]),)), ("one", lambda m, t, n: m.repeat_interleave(t, n, 0), (x, np.array([2]))),
    ],
    "meshgrid": [
        ("ij", lambda m, t, u: m.meshgrid(t, u, indexing="ij"), (row, data(3))), ("xy", lambda m, t, u, v: m.meshgrid([t, u, v], indexing="xy"), (row, data(3), data(2))),
        ("number", lambda m, t, u: m.meshgrid(t, u.reshape(()), indexing="xy"), (row, data(1))),
    ],
    "cartesian_prod": [("two", lambda m, t, u: m.cartesian_prod(t, u), (row, data(3))), ("one", lambda m, t: m.cartesian_prod(t), (row,))],
    "combinations": [
        ("", lambda m, t: m.combinations(t), (row,)), ("three", lambda m, t: m.combinations(t, 3), (row,)), ("again", lambda m, t: m.combinations(t, r=2, with_replacement=True), (row,)),
        ("one", lambda m, t: m.combinations(t, 1), (row,)), ("too many", lambda m, t: m.combinations(t, 6), (row,)),
    ],
    "tril_indices": [(f"{a} {b} {o}", lambda m, a=a, b=b, o=o: m.tril_indices(a, b, o), ()) for a, b, o in [(3, 3, 0), (4, 2, 1), (2, 4, -1), (3, 5, 9), (3, 0, 0), (0, 3, 0), (3, 3, -5)]],
    "triu_indices": [(f"{a} {b} {o}", lambda m, a=a, b=b, o=o: m.triu_indices(a, b, offset=o), ()) for a, b, o in [(3, 3, 0), (4, 2, 1), (2, 4, -1), (3, 5, 9), (3, 0, 0), (3, 3, -5)]],
    "atleast_1d": [("number", lambda m, t: m.atleast_1d(t), (number,)), ("several", lambda m, t, u: m.atleast_1d(t, u), (number, x))],
    "atleast_2d": [("number", lambda m, t: m.atleast_2d(t), (number,)), ("vector", lambda m, t: m.atleast_2d(t), (row,)), ("list", lambda m, t, u: m.atleast_2d([t, u]), (row, x))],
    "atleast_3d": [("number", lambda m, t: m.atleast_3d(t), (number,)), ("vector", lambda m, t: m.atleast_3d(t), (row,)), ("several", lambda m, t, u: m.atleast_3d(t, u), (x, cube))],
    "hstack": [("vectors", lambda m, t, u: m.hstack([t, u]), (row, data(3))), ("matrices", lambda m, t, u: m.hstack((t, u)), (x, column)), ("numbers", lambda m, t: m.hstack([t, t]), (number,))],
    "vstack": [("vectors", lambda m, t: m.vstack([t, t]), (row,)), ("matrices", lambda m, t, u: m.row_stack((t, u)), (x, row))],
    "dstack": [("vectors", lambda m, t: m.dstack([t, t]), (row,)), ("matrices", lambda m, t, u: m.dstack((t, u)), (x, y))],
    "column_stack": [("vectors", lambda m, t: m.column_stack([t, t]), (row,)), ("mixed", lambda m, t, u: m.column_stack((t, u)), (x, data(4)))],
    "block_diag": [("", lambda m, *t: m.block_diag(*t), (x, row, number)), ("one", lambda m, t: m.block_diag(t), (x,)), ("mixed dtypes", lambda m, t, i: m.block_diag(t, i), (x, index(3, 2, 2)))],
    "tensor_split": [
        ("number", lambda m, t: m.tensor_split(t, 3, 1), (x,)), ("more", lambda m, t: m.tensor_split(t, 6), (x,)), ("indices", lambda m, t: t.tensor_split((1, 3), dim=1), (x,)),
        ("wild", lambda m, t: t.tensor_split([-2, 1, 9], 1), (x,)), ("tensor", lambda m, t: t.tensor_split(m.tensor([1, 2])), (x,)),
    ],
    "hsplit": [("number", lambda m, t: m.hsplit(t, 5), (x,)), ("indices", lambda m, t: t.hsplit([1, 4]), (x,)), ("vector", lambda m, t: t.hsplit(5), (row,))],
    "vsplit": [("number", lambda m, t: m.vsplit(t, 2), (x,)), ("indices", lambda m, t: t.vsplit([1]), (x,))],
    "dsplit": [("number", lambda m, t: m.dsplit(t, 5), (cube,)), ("indices", lambda m, t: t.dsplit([1, 4]), (cube,))],
    "split_with_sizes": [("", lambda m, t: m.split_with_sizes(t, [1, 4], 1), (x,))],
    "diagonal": [
        ("", lambda m, t: m.diagonal(t), (x,)), ("right", lambda m, t: t.diagonal(2), (x,)), ("down", lambda m, t: t.diagonal(-1, -1, 0), (cube,)), ("outside", lambda m, t: t.diagonal(9), (x,)),
        ("named", lambda m, t: m.diagonal(t, offset=1, dim1=1, dim2=2), (cube,)),
    ],
    "diag_embed": [("", lambda m, t: m.diag_embed(t), (x,)), ("right", lambda m, t: t.diag_embed(1, 0, 2), (x,)), ("down", lambda m, t: m.diag_embed(t, offset=-2), (row,))],
    "diag": [("vector", lambda m, t: m.diag(t), (row,)), ("matrix", lambda m, t: t.diag(1), (x,)), ("down", lambda m, t: m.diag(t, diagonal=-1), (row,))],
    "diagflat": [("", lambda m, t: m.diagflat(t, 1), (data(2, 3),))],
    "trace": [("", lambda m, t: t.trace(), (x,))],
    "tril": [("", lambda m, t: m.tril(t), (x,)), ("right", lambda m, t: t.tril(1), (cube,)), ("down", lambda m, t: m.tril(t, diagonal=-2), (x,)), ("far", lambda m, t: t.tril(99), (x,))],
    "triu": [("", lambda m, t: m.triu(t), (x,)), ("right", lambda m, t: t.triu(1), (cube,)), ("down", lambda m, t: m.triu(t, diagonal=-2), (x,)), ("far", lambda m, t: t.triu(-99), (x,))],
    "_lower": [("", lambda m, t: m.tril(t), (x,))],
    "_upper": [("", lambda m, t: m.triu(t), (x,))],
    "narrow_copy": [("", lambda m, t: t.narrow_copy(1, 1, 2), (cube,))],
    "as_strided": [
        ("", lambda m, t: m.as_strided(t.contiguous(), (2, 3), (5, 1)), (x,)), ("offset", lambda m, t: t.contiguous().as_strided([3], [2], 4), (x,)),
        ("windows", lambda m, t: t.contiguous().as_strided((3, 3), (1, 1)), (row,)), ("repeated", lambda m, t: t.contiguous().as_strided((2, 5), (0, 1)), (row,)),
    ],
    "unfold_dim": [
        ("apart", lambda m, t: t.unfold(1, 2, 2), (x,)), ("windows", lambda m, t: t.unfold(0, 2, 1), (x,)), ("middle", lambda m, t: t.unfold(1, 3, 1), (cube,)), ("size 0", lambda m, t: t.unfold(1, 0, 1), (x,)),
    ],
}  # fmt: skip
