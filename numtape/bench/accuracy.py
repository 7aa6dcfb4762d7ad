"""The largest error of each function over the whole domain of its dtype: `python -m numtape.bench.accuracy [--every 97] [--random 4000000]`.

float32: every 97th of all 2**32 bit patterns, so each sign and each exponent with 86,000 fractions, compared with NumPy's or PyTorch's float64.
float64: random bit patterns, compared with NumPy's 80-bit `longdouble` where it has the function. Errors are in units in the last place of the
exact result (a denormal's last place is the smallest number's). Results that are not finite must be the reference's.

PyTorch, if it is installed, is the reference of erf and the special functions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

import numtape as nt

NUMPY = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
    "arcsinh", "arccosh", "arctanh",
)  # fmt: skip
TORCH = ("erf", "erfc", "sigmoid", "lgamma", "digamma", "i0", "special.i0e", "special.i1", "special.i1e")
WAVES = 2.0**45  # beyond it sin, cos and tan are NaN by design
CHUNK = 1 << 21
Reference = Callable[[np.ndarray], np.ndarray]


def ulps(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """How far results are from exact values of a wider type, in units in the last place of those; infinite where only one is finite."""
    kind = found.dtype
    limits = np.finfo(kind)
    near = exact.astype(kind)
    size = np.maximum(np.abs(exact), exact.dtype.type(limits.tiny))
    unit = exact.dtype.type(2) ** (np.floor(np.log2(size)) - limits.nmant)
    apart = np.abs(found.astype(exact.dtype) - exact) / unit
    same = (near == found) | np.isnan(near) & np.isnan(found)
    return np.where(same & ~np.isfinite(near), 0, np.where(np.isfinite(near) & np.isfinite(found), apart, np.where(same, 0, np.inf)))


def worst(name: str, reference: Reference, chunks, wide: type) -> tuple[float, float]:
    """The largest error of a function, and where it is."""
    function = nt
    for part in {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh"}.get(name, name).split("."):
        function = getattr(function, part)
    most, place = 0.0, float("nan")
    for x in chunks():
        if name in ("sin", "cos", "tan"):
            x = x[np.abs(x) <= WAVES]
        if not len(x):
            continue
        with np.errstate(all="ignore"):
            errors = ulps(function(nt.from_numpy(x)).numpy(), reference(x.astype(wide)))
        k = int(np.argmax(errors))
        if errors[k] > most:
            most, place = float(errors[k]), float(x[k])
    return most, place


def patterns(every: int):
    """float32 of every n-th bit pattern, in chunks."""

    def chunks():
        for start in range(0, 2**32, CHUNK * every):
            bits = np.arange(start, min(start + CHUNK * every, 2**32), every, dtype=np.uint64).astype(np.uint32)
            yield bits.view(np.float32)

    return chunks


def drawn(count: int):
    """float64 of random bit patterns, in chunks."""

    def chunks():
        rng = np.random.default_rng(0)
        for _ in range(max(count // CHUNK, 1)):
            yield rng.integers(0, 2**64, min(CHUNK, count), dtype=np.uint64).view(np.float64)

    return chunks


def _of_torch(torch, name: str) -> Reference:
    function = getattr(torch.special, name.rpartition(".")[2], None) or getattr(torch, name)
    return lambda x: function(torch.from_numpy(x)).numpy()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m numtape.bench.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=97, help="look at every n-th bit pattern of float32 (default: 97; 1 looks at all of them)")
    parser.add_argument("--random", type=int, default=4_000_000, help="how many bit patterns of float64 to draw (default: 4000000)")
    parser.add_argument("--only", default="", help="functions, separated by commas (default: all)")
    options = parser.parse_args(arguments)
    references: dict[str, Reference] = {name: getattr(np, name) for name in NUMPY}
    try:
        import torch

        references |= {name: _of_torch(torch, name) for name in TORCH}
    except ImportError:
        print("PyTorch is not there; it is needed to measure", ", ".join(TORCH))
    print(f"{'function':12} {'float32':>9} {'at':>14} {'float64':>9} {'at':>14}")
    for name, reference in references.items():
        if options.only and name not in options.only.split(","):
            continue
        single = worst(name, reference, patterns(options.every), np.float64)
        double = worst(name, reference, drawn(options.random), np.longdouble) if name in NUMPY else None
        print(f"{name:12} {single[0]:9.2f} {single[1]:14.6g} " + (f"{double[0]:9.2f} {double[1]:14.6g}" if double else ""), flush=True)


if __name__ == "__main__":
    main()
