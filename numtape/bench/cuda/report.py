"""What a run on a card prints and writes: the header, a line for each case as it is done, the table with targets, the JSON file."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numtape.bench.cuda.case import TRAINING, Case, Target
from numtape.bench.cuda.machine import Ceiling
from numtape.bench.cuda.worker import Outcome
from numtape.bench.report import seconds_text
from numtape.bench.timing import Timing

SCHEMA = 1
EMULATED = "note: this is an emulated card in plain Python; it shows that the command works, and its figures mean nothing"


# ------------------------------------------------------------------------------------------------ figures
@dataclass(frozen=True)
class Figures:
    """What the samples of a case say. share: of the copy's rate, or of the fastest peer's; ratios: a peer's time by ours."""

    name: str
    ours: Timing | None
    rate: float | None
    unit: str
    share: float | None
    ratios: dict[str, float]
    target: Target | None
    met: bool | None
    note: str

    @classmethod
    def of(cls, case: Case, outcome: Outcome, ceilings: dict[str, Ceiling], *, judged: bool = True) -> Figures:
        """The figures of a case; `judged` against its target, which says nothing about an emulated card."""
        ours = outcome.timings.get("numtape")
        peers = {name: t.median for name, t in outcome.timings.items() if name != "numtape"}
        ratios = {name: t / ours.median for name, t in peers.items()} if ours and ours.median else {}
        amount = case.flops or case.nbytes
        rate = amount / ours.median if ours and amount and ours.median else None
        share = None
        if case.flops:
            share = min(ratios.values(), default=None)
        elif rate and case.clock == "card" and "copy" in ceilings:
            share = rate / ceilings["copy"].rate
        met = _met(case.target, ours.median if ours else None, share, ratios.get("torch")) if judged else None
        note = f"WRONG: {outcome.wrong}" if outcome.wrong else "; ".join(outcome.problems)
        return cls(case.name, ours, rate, "TFLOP/s" if case.flops else "GB/s", share, ratios, case.target, met, note)

    @property
    def verdict(self) -> str:
        return "" if self.met is None or self.target is None else "ok" if self.met else "MISSED"

    def line(self) -> str:
        """The figures in a few words."""
        words = [seconds_text(self.ours.median) if self.ours else "failed", rate_text(self)]
        words += [f"{100 * self.share:.0f}%" if self.share else ""]
        words += [f"{100 * self.ours.spread:.0f}% IQR" if self.ours and self.ours.spread > 0.1 else ""]
        words += [f"{peer} {ratio:.2f}" for peer, ratio in self.ratios.items()]
        return "  ".join(w for w in words if w) + (f"  {self.verdict} {self.target.text}" if self.target and self.verdict else "")


def _met(target: Target | None, seconds: float | None, share: float | None, ratio: float | None) -> bool | None:
    if target is None:
        return None
    slower = 1 / ratio if ratio else None
    return target.met({"seconds": seconds, "share": share, "slower": slower}[target.kind])


def rate_text(figures: Figures) -> str:
    if figures.rate is None:
        return ""
    return f"{figures.rate / 1e12:.1f} TFLOP/s" if figures.unit == "TFLOP/s" else f"{figures.rate / 1e9:.0f} GB/s"


def digits_figures(answer: dict[str, Any], *, judged: bool = True) -> Figures:
    """A step of the digits training as a row of the table."""
    trainings = answer["trainings"]
    seconds = {name: t["step_seconds"] for name, t in trainings.items()}
    ours = Timing([seconds["numtape"]], 1, 0.0) if seconds.get("numtape") else None
    ratios = {name: s / seconds["numtape"] for name, s in seconds.items() if name != "numtape" and ours}
    note = "; ".join(answer["problems"])
    if "numtape" in trainings and not trainings["numtape"]["passed"]:
        note = f"WRONG: test accuracy {100 * trainings['numtape']['accuracy']:.1f} %, expected {100 * trainings['numtape']['target']:.0f} %"
    met = _met(TRAINING, None, None, ratios.get("torch")) if judged else None
    return Figures(f"digits/step ({answer['images']})", ours, None, "", None, ratios, TRAINING, met, note)


# ------------------------------------------------------------------------------------------------ the header
def print_header(env: dict[str, Any], seed: int, *, emulated: bool) -> None:
    gib = 1 << 30
    print(f"numtape {env['numtape']}, python {env['python']} on {env['platform']}")
    print(
        f"card: {env['card']}, compute capability {env['capability']}, {env['multiprocessors']} multiprocessors, "
        f"{env['memory'] / gib:.1f} GiB ({env['memory_free'] / gib:.1f} free), {env['l2'] / (1 << 20):.0f} MiB L2"
    )
    packages = ", ".join(f"{name} {version}" for name, version in env["packages"].items() if version)
    absent = [name for name, version in env["packages"].items() if not version]
    print(f"driver {env['driver'] or 'unknown'}, CUDA {env['cuda'] or 'unknown'}; host: {env['cpu']}, {env['cores']} cores")
    print(f"{packages}{'; not installed: ' + ', '.join(absent) if absent else ''}")
    peers = ", ".join(f"{name} {version}" for name, version in env["peers"].items()) or "none"
    left_out = "".join(f"; {name} is left out: {why}" for name, why in env["left_out"].items())
    print(f"compared with: {peers}{left_out}; kernel cache {env['kernel_cache']}; seed {seed}")
    if emulated:
        print(EMULATED)
    print(flush=True)


# ------------------------------------------------------------------------------------------------ the table
def print_table(rows: Sequence[Figures], peers: Sequence[str]) -> None:
    """All cases, below one another. What failed or is wrong says so in its row."""
    width = max([len(r.name) for r in rows] + [4])
    heads = "".join(f" {peer + ' x':>8}" for peer in peers)
    print(f"{'case':<{width}} {'time':>8} {'rate':>13} {'share':>5}{heads}  target")
    for r in rows:
        text = f"{r.name:<{width}} {seconds_text(r.ours.median) if r.ours else 'failed':>8}"
        text += f" {rate_text(r):>13} {f'{100 * r.share:.0f}%' if r.share else '':>5}"
        text += "".join(f" {f'{r.ratios[peer]:.2f}' if peer in r.ratios else '':>8}" for peer in peers)
        target = f"  {r.target.text} {r.verdict or '-'}" if r.target else ""
        print(f"{text}{target}{'  ' if r.note else ''}{r.note[:150]}".rstrip())


def print_footer(rows: Sequence[Figures], ceilings: dict[str, Ceiling], kernels: dict[str, Any], peers: Sequence[str], *, emulated: bool) -> None:
    """What the columns mean, the ceilings, compile times, and which targets were missed."""
    against = "cuBLAS through " + " or ".join(peers) if peers else "cuBLAS, if there is PyTorch or CuPy"
    print(f"share: of the copy below, products of {against}. x: a peer's time by ours, above 1 numtape is faster. matmul: m x k x n.")
    if copy := ceilings.get("copy"):
        print(f"copy:    {copy.rate / 1e9:8.0f} GB/s     {copy.source}")
    if product := ceilings.get("matmul"):
        print(f"product: {product.rate / 1e12:8.1f} TFLOP/s  {product.source}")
    slowest = f"; the slowest: {kernels['slowest']}" if kernels["slowest"] else ""
    print(f"kernels: {kernels['compiled']} compiled in {kernels['compile_seconds']:.1f} s{slowest}")
    if spilling := kernels["spilling"]:
        print(f"kernels that spill registers: {', '.join(spilling[:12])}")
    judged = [r for r in rows if r.met is not None]
    missed = [f"{r.name} {_value(r)}" for r in judged if not r.met]
    if emulated:
        print(EMULATED)
    else:
        print(f"targets: {len(judged) - len(missed)} of {len(judged)} met{'; missed: ' + ', '.join(missed) if missed else ''}")


def _value(r: Figures) -> str:
    if r.target and r.target.kind == "seconds":
        return seconds_text(r.ours.median) if r.ours else "failed"
    if r.target and r.target.kind == "slower":
        return f"{1 / r.ratios['torch']:.2f}x"
    return f"{100 * r.share:.0f}%" if r.share else "failed"


# ------------------------------------------------------------------------------------------------ the file
def write_json(path: str, document: dict[str, Any]) -> None:
    """Write the file whole or not at all: it is written again as cases are done."""
    target = pathlib.Path(path)
    beside = target.with_name(target.name + ".part")
    beside.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(beside, target)


def as_dict(case: Case, outcome: Outcome, figures: Figures) -> dict[str, Any]:
    """All numbers of a case."""
    return {
        "name": case.name,
        "suite": case.suite,
        "clock": case.clock,
        "bytes": case.nbytes,
        "flops": case.flops,
        "rate": figures.rate,
        "share": figures.share,
        "target": case.target and asdict(case.target),
        "target_met": figures.met,
        "wrong": outcome.wrong,
        "problems": outcome.problems,
        "tracebacks": outcome.tracebacks,
        "compiled": outcome.compiled,
        "compile_s": outcome.compile_seconds,
        "kernels": outcome.kernels,
        "case_s": outcome.seconds,
        "engines": {name: {**t.as_dict(), "ratio_to_numtape": figures.ratios.get(name)} for name, t in outcome.timings.items()},
    }
