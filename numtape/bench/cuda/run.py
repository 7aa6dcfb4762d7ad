"""A run on a card: what the arguments ask for, case by case, within the time there is."""

from __future__ import annotations

import argparse
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numtape as nt
from numtape.bench.arguments import UsageError, chosen, names_of, sizes_of
from numtape.bench.cuda import ALL_SUITES, PEERS, report
from numtape.bench.cuda.case import Case, Scale, scale_of
from numtape.bench.cuda.machine import Ceiling
from numtape.bench.cuda.report import Figures
from numtape.bench.cuda.supervisor import Lost, Supervisor
from numtape.bench.cuda.worker import Options, Outcome, all_cases
from numtape.bench.engines import installed

LIMIT = 400.0  # seconds after which no case is begun
PATIENCE = 75.0  # seconds for a case, compiling included
MOST_LOST = 8  # processes; then the run ends
SMALL = "the emulated card runs the small sizes only: add --quick"


@dataclass
class Found:
    """What a run has found so far."""

    env: dict[str, Any]
    emulated: bool = False
    ceilings: dict[str, Ceiling] = field(default_factory=dict)
    digits: dict[str, Any] | None = None
    outcomes: list[tuple[Case, Outcome]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def figures(self) -> list[Figures]:
        """The rows of the table."""
        rows = [report.digits_figures(self.digits, judged=not self.emulated)] if self.digits else []
        return rows + [self.figures_of(case, outcome) for case, outcome in self.outcomes]

    def figures_of(self, case: Case, outcome: Outcome) -> Figures:
        """The row of a case."""
        return Figures.of(case, outcome, self.ceilings, judged=not self.emulated)

    def kernels(self) -> dict[str, Any]:
        """What was compiled, the slowest, and what spills."""
        trainings = self.digits["trainings"].get("numtape", {}) if self.digits else {}
        slow = sorted((o for _, o in self.outcomes if o.compiled), key=lambda o: -o.compile_seconds)[:3]
        every = [k for _, o in self.outcomes for k in o.kernels]
        return {
            "compiled": sum(o.compiled for _, o in self.outcomes) + trainings.get("compiled", 0),
            "compile_seconds": sum(o.compile_seconds for _, o in self.outcomes) + trainings.get("compile_seconds", 0.0),
            "slowest": ", ".join(f"{o.name} {o.compile_seconds:.1f} s for {o.compiled}" for o in slow),
            "spilling": [f"{k['name']} ({k['spill_stores']} B)" for k in every if k.get("spill_stores")],
        }

    def failed(self) -> int:
        """How many cases failed or are wrong."""
        return len(self.problems) + sum(o.failed for _, o in self.outcomes)

    def document(self, seed: int, seconds: float) -> dict[str, Any]:
        """The JSON file."""
        return {
            "schema": report.SCHEMA,
            "device": "cuda",
            "emulated": self.emulated,
            "environment": self.env,
            "seed": seed,
            "ceilings": {name: {"rate": c.rate, "source": c.source} for name, c in self.ceilings.items()},
            "digits": self.digits,
            "cases": [report.as_dict(case, o, self.figures_of(case, o)) for case, o in self.outcomes],
            "kernels": self.kernels(),
            "problems": self.problems,
            "seconds": seconds,
        }


def run_on_card(arguments: argparse.Namespace, cases_of: Callable[[Scale], Sequence[Case]] = all_cases) -> int:
    """Run the command line on a card; returns the exit code."""
    start = time.perf_counter()
    suites = names_of("--suite", arguments.suite, ALL_SUITES) if arguments.suite else ALL_SUITES
    sizes = sizes_of(arguments.sizes) or ()
    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads: expected a positive number, got {arguments.threads}")
    if arguments.json and not os.path.isdir(os.path.dirname(os.path.abspath(arguments.json))):
        raise UsageError(f"--json: the folder of {arguments.json} does not exist")
    emulated = os.environ.get("NUMTAPE_CUDA", "").lower() == "emulate"
    peers = peers_of(arguments.compare, emulated=emulated)
    choose = lambda memory: chosen(cases_of(scale_of(memory, quick=arguments.quick, emulated=emulated, sizes=sizes)), arguments, suites)
    cases = choose(None)
    if arguments.list:
        for case in cases:
            print(f"{'*' if case.default else ' '} {case.name}")
        return 0
    check_card()
    if emulated and not arguments.quick:
        raise UsageError(SMALL)

    options = Options(peers, arguments.threads, arguments.quick, emulated, secrets.randbits(32))
    limit = start + (LIMIT if arguments.limit is None else arguments.limit)
    trains = "digits" in suites and not arguments.filter and (not emulated or bool(arguments.suite))
    with Supervisor(options, cases_of) as worker:
        try:
            found = Found(worker.ask(("environment",), PATIENCE), emulated)
        except Lost as problem:
            raise UsageError(f"--device cuda: the card could not be started: {problem}") from None
        if isinstance(found.env, Outcome):
            raise UsageError(f"--device cuda: the card could not be started: {'; '.join(found.env.problems)}")
        report.print_header(found.env, options.seed, emulated=emulated)
        scale = scale_of(found.env["memory_free"], quick=arguments.quick, emulated=emulated, sizes=sizes)
        cases = chosen(cases_of(scale), arguments, suites)
        measure_ceilings(worker, scale, found)
        if trains:
            run_digits(worker, found)
        run_cases(worker, scale, cases, found, limit, lambda: save(arguments.json, found, options.seed, start))
    return finish(found, arguments.json, options, start)


def check_card() -> None:
    """A UsageError that says why there is no card, if there is none."""
    if nt.cuda.is_available():
        return
    try:
        nt.cuda.init()
        why = "no card was found"
    except RuntimeError as problem:
        why = str(problem)
    raise UsageError(
        f'--device cuda: there is no CUDA card to run on: {why}. It takes an NVIDIA card, a driver for CUDA 13 and pip install "numtape[cuda]"'
    )


def peers_of(text: str | None, *, emulated: bool) -> tuple[str, ...]:
    """The peers that are asked for; by default all, but none beside an emulated card. The worker leaves out those it cannot start."""
    if text is None:
        return () if emulated else PEERS
    if text == "none":
        return ()
    wanted = names_of("--compare", text, PEERS)
    if missing := [name for name in wanted if not installed(name)]:
        raise UsageError(f"--compare: {', '.join(missing)} is not installed; install it, or leave it out")
    return tuple(wanted)


# ------------------------------------------------------------------------------------------------ the parts of a run
def measure_ceilings(worker: Supervisor, scale: Scale, found: Found) -> None:
    """What the card can do at best."""
    try:
        answer = worker.ask(("ceilings", scale), PATIENCE)
    except Lost as lost:
        answer = {}, [str(lost)]
    if isinstance(answer, Outcome):
        answer = {}, answer.problems
    found.ceilings, problems = answer
    for problem in problems:
        found.problems.append(f"ceilings: {problem}")
        print(f"ceilings: {problem}")
    for ceiling in found.ceilings.values():
        unit, factor = ("TFLOP/s", 1e12) if "product" in ceiling.source else ("GB/s", 1e9)
        print(f"ceiling: {ceiling.rate / factor:.1f} {unit}, {ceiling.source}", flush=True)


def run_digits(worker: Supervisor, found: Found) -> None:
    """The training run."""
    print("\ndigits: 64-64-10 perceptron, Adam, batches of 32", flush=True)
    try:
        answer = worker.ask(("digits",), 2 * PATIENCE)
    except Lost as lost:
        answer = Outcome("digits", problems=[str(lost)])
    if isinstance(answer, Outcome):
        answer = {"images": "digits", "trainings": {}, "problems": answer.problems}
    found.digits = answer
    if answer["images"] == "synthetic":
        print("digits: scikit-learn, which has the images, is not installed; synthetic images take their place")
    for name, t in answer["trainings"].items():
        print(f"digits: {name}: test accuracy {100 * t['accuracy']:.1f} % after {t['epochs']} epochs in {t['seconds']:.1f} s", flush=True)
    for problem in answer["problems"]:
        found.problems.append(f"digits: {problem}")
        print(f"digits: FAILED {problem}", flush=True)
    ours = answer["trainings"].get("numtape")
    if ours and not ours["passed"]:
        found.problems.append(f"digits: test accuracy {100 * ours['accuracy']:.1f} %, expected at least {100 * ours['target']:.0f} %")


def run_cases(worker: Supervisor, scale: Scale, cases: Sequence[Case], found: Found, limit: float, save: Callable[[], None]) -> None:
    """Run and print the cases one after the other; what is left when the time is over is said to be left out."""
    start = time.perf_counter()
    for count, case in enumerate(cases, 1):
        why = "the time is over (--limit gives more)" if time.perf_counter() > limit else ""
        why = why or (f"{MOST_LOST} processes were lost" if worker.started > MOST_LOST else "")
        if why:
            found.problems.append(f"{why}: {len(cases) - count + 1} cases are left out, from {case.name} on")
            break
        try:
            outcome = worker.ask((case.name, scale), PATIENCE)
        except Lost as problem:
            outcome = Outcome(case.name, problems=[str(problem)])
        found.outcomes.append((case, outcome))
        figures = found.figures_of(case, outcome)
        print(f"[{count}/{len(cases)} {time.perf_counter() - start:.0f} s] {case.name}  {figures.line()}", flush=True)
        if figures.note:
            print(f"    {figures.note}", flush=True)
        save()


def save(path: str | None, found: Found, seed: int, start: float) -> None:
    if path:
        report.write_json(path, found.document(seed, time.perf_counter() - start))


def finish(found: Found, path: str | None, options: Options, start: float) -> int:
    """The table, the last lines, the file; returns the exit code."""
    rows, peers = found.figures(), list(found.env["peers"])
    print()
    report.print_table(rows, peers)
    report.print_footer(rows, found.ceilings, found.kernels(), peers, emulated=options.emulated)
    save(path, found, options.seed, start)
    for problem in found.problems:
        print(f"FAILED {problem}")
    print(f"{len(found.outcomes)} cases, {sum(o.failed for _, o in found.outcomes)} failed or wrong; {time.perf_counter() - start:.0f} s in all")
    return 1 if found.failed() else 0
