"""`--plot FILE`: a roofline of the cases, and time against size. This module imports matplotlib (the extra `plot`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib

from numtape.bench.peaks import Peaks
from numtape.bench.runner import Result

matplotlib.use("Agg")  # no window: a file is written

from matplotlib import pyplot, ticker

COLOURS = {"numtape": "#d62728", "torch": "#1f77b4", "numpy": "#2ca02c", "jax": "#9467bd"}
MARKERS = "osD^vP*X<>"
TITLES = {"add": "a + b", "exp": "exp(a)", "sum": "sum(a)", "softmax": "softmax(a, 1), rows of up to 1024", "matmul": "a @ b, square"}
GRID = {"which": "major", "color": "0.9", "linewidth": 0.8}

Curves = dict[str, dict[str, list[list[float]]]]


def draw(path: str, env: dict[str, Any], results: Sequence[Result], peaks: Peaks, curves: Curves) -> None:
    """One page: the roofline, and a panel for each op of `curves`."""
    figure, axes = pyplot.subplots(2, 3, figsize=(19, 11), layout="constrained")
    panels = list(axes.flat)
    _roofline(panels[0], results, peaks)
    for k, (op, by_engine) in enumerate(curves.items()):
        _scaling(panels[k + 1], TITLES.get(op, op), by_engine, first=k == 0)
    for panel in panels[len(curves) + 1 :]:
        panel.set_axis_off()
    threads = f"{env['threads']} {'thread' if env['threads'] == 1 else 'threads'}"
    peers = "".join(f", {name} {version}" for name, version in env["peers"].items())
    figure.suptitle(f"numtape {env['numtape']}{peers}; {env['cpu']}, {threads}, {env['simd_bits']}-bit vectors; float32", fontsize=14)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def points(results: Sequence[Result]) -> dict[str, list[tuple[float, float, str]]]:
    """By suite: operations a byte, operations a second, and the case's name, where both are known."""
    found: dict[str, list[tuple[float, float, str]]] = {}
    for r in results:
        if r.ours and r.case.nbytes and r.operations:
            found.setdefault(r.suite, []).append((r.operations / r.case.nbytes, r.operations / r.ours.median, r.case.name))
    return found


def _roofline(panel: Any, results: Sequence[Result], peaks: Peaks) -> None:
    found = points(results)
    xs = [x for suite in found.values() for x, _, _ in suite] or [1.0]
    low, high = min(xs) / 4, max([*xs, 16.0]) * 4
    roof, bandwidth = peaks.flops(), [(p.rate, size) for size, p in sorted(peaks.copies.items())]
    ends = {"float32": roof.rate / 1e9, "float64": peaks.flops("float64").rate / 1e9}
    for dtype, rate in ends.items():
        panel.plot([low, high], [rate, rate], color="0.25", linewidth=1.4, linestyle="-" if dtype == "float32" else "--", zorder=1)
        panel.text(high * 0.9, rate * 1.06, f"{dtype} multiply-adds {rate:.0f} GFLOP/s", ha="right", va="bottom", fontsize=8.5)
    shown = {size: rate for rate, size in (bandwidth[0], bandwidth[-1])} if bandwidth else {}
    for k, (size, rate) in enumerate(shown.items()):
        meets = ends["float32"] * 1e9 / rate
        panel.plot([low, meets], [low * rate / 1e9, ends["float32"]], color="0.25", linewidth=1.4, linestyle="-" if k else ":", zorder=1)
        name = f"copy of {_bytes(size)}: {rate / 1e9:.0f} GB/s"
        panel.plot([], [], color="0.25", linewidth=1.4, linestyle="-" if k else ":", label=name)
    for k, (suite, values) in enumerate(found.items()):
        x, y = [v[0] for v in values], [v[1] / 1e9 for v in values]
        panel.scatter(x, y, s=26, marker=MARKERS[k % len(MARKERS)], alpha=0.75, linewidths=0.4, edgecolors="white", label=f"{suite} ({len(values)})", zorder=2)
    panel.set(xscale="log", yscale="log", xlim=(low, high), xlabel="operations per byte read or written", ylabel="GFLOP/s", title="Roofline")
    panel.set_ylim(top=ends["float32"] * 3)
    panel.grid(**GRID)
    panel.legend(loc="lower right", fontsize=8.5, framealpha=0.95)
    note = "Cases that count no operations stand at one an element."
    panel.text(0.015, 0.985, note, transform=panel.transAxes, fontsize=8, color="0.35", va="top")


def _scaling(panel: Any, title: str, by_engine: dict[str, list[list[float]]], *, first: bool) -> None:
    for name, pairs in by_engine.items():
        if pairs:
            front = name == "numtape"
            panel.plot(
                *zip(*pairs), marker="o" if front else "s", markersize=4.5 if front else 3, linewidth=1.8 if front else 1.2,
                color=COLOURS.get(name), label=name, zorder=3 if front else 2,
            )  # fmt: skip
    panel.set(xscale="log", yscale="log", title=title, xlabel="elements", ylabel="seconds a call")
    panel.yaxis.set_major_formatter(ticker.EngFormatter(unit="s", sep=" "))
    panel.set_ylabel("time of a call")
    panel.xaxis.set_major_locator(ticker.LogLocator(numticks=12))
    panel.grid(**GRID)
    if first:
        panel.legend(loc="upper left", fontsize=10)


def _bytes(count: int) -> str:
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} B"
