"""Tensors as text, as PyTorch prints them.

>>> import numtape as nt
>>> nt.tensor([[1.0, 2.5], [3.0, 4.0]])
tensor([[1.0000, 2.5000],
        [3.0000, 4.0000]])
>>> nt.zeros(0, 3)
tensor([], size=(0, 3))
"""

from __future__ import annotations

import math
from itertools import chain
from typing import NamedTuple

import numpy as np

from numtape import dtypes
from numtape.tensor import Tensor


class Options(NamedTuple):
    """How much of a tensor is printed, and how."""

    precision: int = 4  # digits after the point
    threshold: float = 1000  # more elements than this are summarised
    edgeitems: int = 3  # what a summary shows of each end of a dim
    linewidth: int = 80
    sci_mode: bool | None = None  # None: by the size of the numbers


PROFILES = {"default": Options(), "short": Options(precision=2, edgeitems=2), "full": Options(threshold=math.inf)}
options = Options()


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None) -> None:
    """Set how tensors are printed; what is not given stays. `profile` is 'default', 'short' or 'full'.

    `sci_mode` True or False forces or forbids scientific notation until a later call changes it.

    >>> import numtape as nt
    >>> nt.set_printoptions(precision=2)
    >>> nt.tensor([1.2345])
    tensor([1.23])
    >>> nt.set_printoptions(profile="default")
    """
    global options
    if profile is not None:
        if profile not in PROFILES:
            raise ValueError(f"set_printoptions: profile: expected one of {', '.join(PROFILES)}, got {profile!r}")
        options = PROFILES[profile]._replace(sci_mode=options.sci_mode)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    options = options._replace(sci_mode=sci_mode, **{k: v for k, v in given.items() if v is not None})


# ------------------------------------------------------------------------------------------------ numbers
class Column:
    """The one format of all numbers of a tensor: the notation, and the width that the widest of them needs."""

    def __init__(self, values: list):
        self.style, self.width = str, 1
        if values and isinstance(values[0], float):
            self._choose(values)
        else:
            self.width = max((len(str(v)) for v in values), default=1)

    def _choose(self, values: list[float]) -> None:
        """Whole numbers as '1.', others with decimals; in scientific notation where sizes are extreme or far apart."""
        self.style = _whole
        ordinary = [v for v in values if v and math.isfinite(v)]
        if not ordinary:
            return
        whole = all(v == math.ceil(v) for v in values if math.isfinite(v))
        low, high = min(map(abs, ordinary)), max(map(abs, ordinary))
        extreme = high > 1e8 or high > low * 1000 or (not whole and low < 1e-4)
        if options.sci_mode is not None:
            extreme = options.sci_mode
        self.style = _scientific if extreme else _whole if whole else _decimal
        self.width = max(len(self.style(v)) for v in ordinary)

    def __call__(self, value) -> str:
        return self.style(value).rjust(self.width)


class ComplexColumn:
    """Complex numbers: one format for all real parts, and one for all imaginary parts."""

    def __init__(self, values: list):
        self.real, self.imag = Column([v.real for v in values]), Column([v.imag for v in values])
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value) -> str:
        imag = self.imag(value.imag).lstrip() + "j"
        return self.real(value.real) + (imag if imag[0] in "+-" else f"+{imag}")


def _whole(value: float) -> str:
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _decimal(value: float) -> str:
    return f"{value:.{options.precision}f}"


def _scientific(value: float) -> str:
    return f"{value:.{options.precision}e}"


# ------------------------------------------------------------------------------------------------ brackets
def _ends(items: list) -> list:
    """The first and the last of a long list, an ellipsis (None) between."""
    k = options.edgeitems
    return items if len(items) <= 2 * k else [*items[:k], None, *items[len(items) - k :]]


def _shown(array: np.ndarray) -> np.ndarray:
    """The elements that a summary of an array prints."""
    k = options.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * k:
            array = np.take(array, [*range(k), *range(n - k, n)], axis)
    return array


def _nested(values, ndim: int, indent: int, column: Column, summary: bool) -> str:
    """Nested lists in brackets, each line below the bracket it belongs to."""
    if ndim == 0:
        return column(values)
    items = _ends(values) if summary else values
    below = " " * (indent + 1)
    if ndim == 1:
        words = [(" ..." if options.edgeitems else "...") if v is None else column(v) for v in items]
        per_line = max(1, (options.linewidth - indent) // (column.width + 2))
        lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + f",\n{below}".join(lines) + "]"
    parts = ["..." if v is None else _nested(v, ndim - 1, indent + 1, column, summary) for v in items]
    return "[" + ("," + "\n" * (ndim - 1) + below).join(parts) + "]"


def _contents(array: np.ndarray, indent: int) -> str:
    summary = array.ndim > 0 and array.size > options.threshold
    shown = _shown(array) if summary else array
    values = shown.ravel().tolist()
    column = ComplexColumn(values) if array.dtype.kind == "c" else Column(values)
    if not summary:
        return _nested(array.tolist(), array.ndim, indent, column, False)
    return _nested(_rows(array, array.ndim), array.ndim, indent, column, True)


class _rows(list):
    """An array as nested lists of which only the ends are made."""

    def __init__(self, array: np.ndarray, ndim: int):
        n, k = len(array), options.edgeitems
        wanted = range(n) if n <= 2 * k else chain(range(k + 1), range(n - k, n))  # one more, which the ellipsis stands for
        super().__init__(array[i].item() if ndim == 1 else _rows(array[i], ndim - 1) for i in wanted)


# ------------------------------------------------------------------------------------------------ the whole
def _suffixes(t: Tensor) -> list[str]:
    """What is said of a tensor after its elements."""
    kind, said = t.dtype, []
    default = dtypes.get_default_dtype()
    usual = (default,) if not t.numel() else (default, default.to_complex(), dtypes.int64, dtypes.bool)
    if t.is_cuda:
        said.append(f"device='{t.device}'")
    if not t.numel() and t.ndim != 1 or t.numel() and not options.edgeitems:
        said.append(f"size={tuple(t.shape)}")
    if kind not in usual:
        said.append(f"dtype={kind}")
    if t.grad_fn is not None:
        said.append(f"grad_fn=<{t.grad_fn.name()}>")
    elif t.requires_grad:
        said.append("requires_grad=True")
    return said


def _array(t: Tensor) -> np.ndarray:
    """The elements for printing; NumPy has no bfloat16."""
    plain = t.detach().cpu()
    return (plain if plain.dtype.numpy is not None else plain.float()).numpy()


def text(t: Tensor, contents: str | None = None) -> str:
    """The text of a tensor; with `contents` in the place of its elements."""
    name = "tensor" if type(t).__name__ in ("Tensor", "Parameter") else type(t).__name__
    indent = len(name) + 1
    if contents is None:
        contents = _contents(_array(t), indent) if t.numel() else "[]"
    result = f"{name}({contents}"
    used = len(result) - result.rfind("\n") + 1
    for suffix in _suffixes(t):
        length = len(suffix.replace("=numtape.", "=torch."))  # so that lines break where PyTorch's do
        if used + length + 2 > options.linewidth:
            result += ",\n" + " " * indent + suffix
            used = indent + length
        else:
            result += f", {suffix}"
            used += length + 2
    return result + ")"
