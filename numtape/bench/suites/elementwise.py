"""The suite `elementwise`: every elementwise op of the table, made from its record. A new op is timed without a line here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numtape.bench.cases import Case, of_op, operands, result_bytes
from numtape.op import TABLE

DEFAULT = ("add", "mul", "exp", "log", "tanh", "sigmoid")  # what the default table shows; `--all`, `--suite` and `--filter` reach the rest


def cases(sizes: Sequence[int]) -> list[Case]:
    """One case per elementwise op and size."""
    found = []
    for op in list(TABLE.values()):
        if op.family != "elementwise" or op.public is None:
            continue
        item = sum(a.itemsize for a in operands(op, 1) if isinstance(a, np.ndarray)) + result_bytes(op)
        for size in sizes:
            arguments = lambda op=op, size=size: operands(op, size)
            found.append(Case("elementwise", f"{op.name}/{size}", of_op(op.name, arguments), op.name in DEFAULT, item * size))
    return found
