"""`python -m numtape.bench`: the command line.

Exit codes: 0 all is well, 1 a case failed or fell behind the baseline or the classifier stayed below its accuracy, 2 a mistake in
the arguments or something missing that they ask for, such as a card.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

import numtape as nt
from numtape.bench import baseline, cuda, digits, report, scaling
from numtape.bench.arguments import UsageError, check_outputs, chosen, names_of, parser, sizes_of
from numtape.bench.cases import Case
from numtape.bench.engines import ENGINES, Engine, installed, prepare_environment
from numtape.bench.peaks import Peaks
from numtape.bench.runner import Result, run_case
from numtape.bench.suites import SUITES, all_cases

PEERS = tuple(name for name in ENGINES if name != "numtape")
ALL_SUITES = ("digits", *SUITES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        arguments = parser(ALL_SUITES, PEERS, cuda.ALL_SUITES, cuda.PEERS).parse_args(argv)
    except SystemExit as stop:  # argparse has printed what it has to say
        return int(stop.code or 0)
    try:
        check_outputs(arguments)
        if arguments.device == "cuda":
            from numtape.bench.cuda.run import run_on_card

            return run_on_card(arguments)
        return run(arguments)
    except UsageError as problem:
        print(f"numtape.bench: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nnumtape.bench: interrupted", file=sys.stderr)
        return 130


def run(arguments: argparse.Namespace) -> int:
    """The training run and the cases on the CPU; returns the exit code."""
    start = time.perf_counter() - report.compiled()[1]
    suites = names_of("--suite", arguments.suite, ALL_SUITES) if arguments.suite else ALL_SUITES
    sizes = sizes_of(arguments.sizes)
    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads: expected a positive number, got {arguments.threads}")
    cases = chosen(all_cases(sizes, quick=arguments.quick), arguments, suites)
    if arguments.list:
        for case in cases:
            print(f"{'*' if case.default else ' '} {case.name}")
        return 0
    trains = "digits" in suites and not arguments.filter
    if trains and not digits.available():
        raise UsageError(digits.MISSING)
    before = baseline.read(arguments.baseline) if arguments.baseline else {}
    if arguments.baseline and not any(c.name in before for c in cases):
        raise UsageError(f"--baseline: {arguments.baseline} has none of the cases of this run")
    peers, missing = peers_of(arguments.compare)
    if arguments.threads is not None:
        nt.set_num_threads(arguments.threads)
    env = report.environment(peers, missing)
    report.print_environment(env)

    training = None
    if trains:
        waiting = "; the kernel cache is cold: the first step compiles" if env["kernel_cache"] == "cold" else ""
        print(f"\ndigits: 64-64-10 perceptron, Adam{waiting}", flush=True)
        training = digits.train()
        print(
            f"digits: test accuracy {100 * training.accuracy:.1f} % after {training.epochs} epochs in {training.seconds:.1f} s, "
            f"{training.compile_seconds:.1f} s of it compiling {training.compiled} kernels",
            flush=True,
        )
    engines = start_engines(peers) if cases or arguments.plot else []
    peaks = Peaks(engines)
    results = run_cases(cases, engines, peaks, quick=arguments.quick) if cases else []
    slower = [c for c in baseline.compare(results, before) if c.speed < (arguments.fail_below or baseline.FAIL_BELOW)]
    curves = scaling.measure(engines, quick=arguments.quick) if arguments.plot else {}
    if arguments.plot:
        importlib.import_module("numtape.bench.plot").draw(arguments.plot, env, results, peaks, curves)  # imports matplotlib
        print(f"plot: {arguments.plot}")
    seconds = time.perf_counter() - start
    if arguments.json:
        document = report.document_of(env, training, results, peaks, seconds)
        report.write_json(arguments.json, document | ({"scaling": curves} if curves else {}))
    return outcome(training, results, slower, seconds)


def run_cases(cases: Sequence[Case], engines: Sequence[Engine], peaks: Peaks, *, quick: bool) -> list[Result]:
    """Run and print the cases one after the other."""
    peers = [e.name for e in engines if e.name != "numtape"]
    print()
    table = report.Table([c.name for c in cases], peers)
    results = []
    names = [*[c.name for c in cases], ""]
    with report.Progress("cases", len(cases), names[0]) as progress:
        for case, following in zip(cases, names[1:]):
            results.append(run_case(case, engines, peaks, quick=quick))
            progress.say(table.row(results[-1]))
            progress.advance(following)
    report.print_footer(results, peaks, peers)
    return results


def outcome(training: digits.Training | None, results: Sequence[Result], slower: Sequence[baseline.Change], seconds: float) -> int:
    """The last line, and the exit code."""
    failed = sum(bool(r.problems) for r in results)
    compiled, compile_seconds = report.compiled()
    print(
        f"{len(results)} cases, {failed} failed; {compiled} kernels compiled in {compile_seconds:.1f} s, "
        f"{nt.kernels.loaded()} loaded from the cache; {seconds:.1f} s in all"
    )
    for change in slower:
        print(f"SLOWER {change}", file=sys.stderr)
    if training and not training.passed:
        accuracy, target = 100 * training.accuracy, 100 * digits.TARGET
        print(f"FAILED digits: test accuracy {accuracy:.1f} %, expected at least {target:.0f} %", file=sys.stderr)
        return 1
    return 1 if failed or slower else 0


# ------------------------------------------------------------------------------------------------ engines
def peers_of(text: str | None) -> tuple[list[str], list[str]]:
    """The peers to compare with, and those that are not installed. A peer that was asked for by name must be there."""
    if text == "none":
        wanted: Sequence[str] = ()
    elif text is None:
        wanted = PEERS
    else:
        wanted = names_of("--compare", text, PEERS)
    missing = [name for name in wanted if not installed(name)]
    if text is not None and missing:
        there = ", ".join(p for p in PEERS if installed(p))
        raise UsageError(f"--compare: {', '.join(missing)} is not installed; install it, or choose from {there}")
    return [name for name in wanted if name not in missing], missing


def start_engines(peers: Sequence[str]) -> list[Engine]:
    """numtape and its peers, imported, all with as many threads as numtape has."""
    engines = []
    names = ["numtape", *peers, ""]
    with report.Progress("importing", len(names) - 1, names[0]) as progress:
        for name, following in pairwise(names):
            engines.append(ENGINES[name]())
            engines[-1].set_threads(nt.get_num_threads())
            progress.advance(following)
    return engines


def restart_if_needed(argv: Sequence[str]) -> None:
    """Start again with the environment that libraries read when they are loaded; NumPy is loaded before this line runs."""
    if report.BEFORE in os.environ or os.name != "posix":
        return
    threads = None
    for i, argument in enumerate(argv):
        value = argument[10:] if argument.startswith("--threads=") else argv[i + 1] if argument == "--threads" and i + 1 < len(argv) else ""
        threads = int(value) if value.isdigit() and int(value) > 0 else threads
    before = f"{nt.kernels.compilations()} {nt.kernels.compile_seconds()}"
    os.environ.update(prepare_environment(threads) | {report.BEFORE: before})
    os.execv(sys.executable, [sys.executable, "-m", "numtape.bench", *argv])


if __name__ == "__main__":
    restart_if_needed(sys.argv[1:])
    sys.exit(main())
