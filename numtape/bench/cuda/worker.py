"""The process that uses the card: it answers the supervisor's questions one by one, and ends when the card is lost.

A kernel that fails can take the card from its process for good, and one that never ends cannot be stopped from within: so cases are
run here, and a process that is lost costs one case.
"""

from __future__ import annotations

import math
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench import digits
from numtape.bench.cuda import memory, products, steps
from numtape.bench.cuda.case import Case, Draw, Scale, difference
from numtape.bench.cuda.engines import Engine, release, started
from numtape.bench.cuda.machine import ceilings, environment
from numtape.bench.timing import Clock, Timing, measure

ROUNDS, QUICK_ROUNDS = 15, 5
SAMPLE_SECONDS = 3e-3
WARM_SECONDS = 0.04  # of work before timing: a card that rests lowers its clock
BURST = 200  # calls that the host makes in a row: a card takes about a thousand before it makes the host wait
MOST = {"card": 1 << 12, "wall": 1 << 9, "host": BURST}
MOST_SETS = 32  # of operands, taken in turn so that the card's cache does not hold them


@dataclass(frozen=True)
class Options:
    """What a worker is started with."""

    peers: tuple[str, ...] = ()
    threads: int | None = None
    quick: bool = False
    emulated: bool = False
    seed: int = 0

    @property
    def rounds(self) -> int:
        return 1 if self.emulated else QUICK_ROUNDS if self.quick else ROUNDS

    @property
    def sample_seconds(self) -> float:
        return 0.0 if self.emulated else SAMPLE_SECONDS


@dataclass
class Outcome:
    """What a case gave. wrong: how its result differs from NumPy's; problems: what failed; lost: the process can do no more."""

    name: str
    timings: dict[str, Timing] = field(default_factory=dict)
    wrong: str | None = None
    problems: list[str] = field(default_factory=list)
    compiled: int = 0
    compile_seconds: float = 0.0
    seconds: float = 0.0
    kernels: list[dict[str, Any]] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    lost: bool = False

    @property
    def failed(self) -> bool:
        return bool(self.problems or self.wrong)

    def note(self, where: str, problem: BaseException) -> None:
        """Keep what failed."""
        self.problems.append(f"{where}: {said(problem)}")
        self.tracebacks.append("".join(traceback.format_exception(problem))[-6000:])


def all_cases(scale: Scale) -> list[Case]:
    """Every case, in the order of the suites."""
    lists = (
        steps.call_cases,
        steps.training_cases,
        memory.elementwise_cases,
        memory.reduce_cases,
        memory.copy_cases,
        products.product_cases,
        memory.index_cases,
        memory.random_cases,
    )
    return list({case.name: case for make in lists for case in make(scale)}.values())


def serve(connection: Any, options: Options, cases: Callable[[Scale], Sequence[Case]] = all_cases) -> None:
    """Say "ready", then answer questions until there are none: ("environment",), ("ceilings", scale), ("digits",) or (case name, scale)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor ends this process
    engines, left_out = started(options.peers, threads=options.threads, emulated=options.emulated)
    draw = Draw(options.seed)
    connection.send("ready")
    known: dict[Scale, dict[str, Case]] = {}
    while (question := connection.recv()) is not None:
        what, *more = question
        try:
            if what == "environment":
                answer: Any = environment(engines, left_out)
            elif what == "ceilings":
                answer = ceilings(engines, more[0], draw, rounds=options.rounds, target=options.sample_seconds)
            elif what == "digits":
                answer = train(engines, options)
            else:
                (scale,) = more
                if scale not in known:
                    known[scale] = {c.name: c for c in cases(scale)}
                answer = run_case(known[scale][what], engines, draw, options)
        except Exception as problem:
            answer = Outcome(what)
            answer.note("numtape", problem)
            answer.lost = not usable()
        connection.send(answer)
        if getattr(answer, "lost", False):
            break
    connection.close()


def usable() -> bool:
    """Whether the card still computes for this process."""
    try:
        return bool((nt.ones(3, device="cuda") + 1).cpu().numpy().tolist() == [2.0, 2.0, 2.0])
    except Exception:
        return False


def said(problem: BaseException) -> str:
    """An exception in one line."""
    text = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    return text if len(text) <= 500 else f"{text[:300]} ... {text[-200:]}"


# ------------------------------------------------------------------------------------------------ a case
def run_case(case: Case, engines: Sequence[Engine], draw: Draw, options: Options) -> Outcome:
    """Make the operands, check numtape's result against NumPy's, time all engines in turns."""
    found, start = Outcome(case.name), time.perf_counter()
    before, compiled, compiling = len(nt.kernels.all()), nt.kernels.compilations(), nt.kernels.compile_seconds()
    operands = case.operands(draw)
    functions: dict[str, Callable[[], Any]] = {}
    first_calls: dict[str, float] = {}
    clocks: dict[str, Clock] = {}
    l2 = 0 if options.emulated else nt.cuda.get_device_properties().L2_cache_size
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for engine in engines:
            try:
                function = bound(case, engine, operands, l2)
                if function is None:
                    continue
                began = time.perf_counter()
                if engine.name == "numtape":
                    first_calls[engine.name] = first(case, engine, function, operands, found)
                else:
                    function()
                    engine.synchronize()
                    first_calls[engine.name] = time.perf_counter() - began
                functions[engine.name], clocks[engine.name] = function, getattr(engine, f"{case.clock}_clock")
            except Exception as problem:  # whatever a library raises is the outcome of the case
                found.note(engine.name, problem)
        found.compiled, found.compile_seconds = nt.kernels.compilations() - compiled, nt.kernels.compile_seconds() - compiling
        found.kernels = [described(k) for k in nt.kernels.all()[before:]]
        try:
            if functions:
                most = 1 if options.emulated else MOST[case.clock]
                if not options.emulated:
                    warm(functions, clocks)
                found.timings = measure(functions, first_calls, options.rounds, target=options.sample_seconds, clocks=clocks, most=most)
            for engine in engines:
                engine.synchronize()
        except Exception as problem:
            found.note("while timing", problem)
    functions.clear()
    del operands
    try:
        release(engines)
    except Exception as problem:
        found.note("afterwards", problem)
    found.lost = bool(found.problems) and not usable()
    found.seconds = time.perf_counter() - start
    return found


def warm(functions: dict[str, Callable[[], Any]], clocks: dict[str, Clock]) -> None:
    """Let the card work for a while."""
    until, loops = time.perf_counter() + WARM_SECONDS, 1
    while time.perf_counter() < until:
        for name, function in functions.items():
            clocks[name](function, loops)
        loops = min(2 * loops, 64)


def bound(case: Case, engine: Engine, operands: Sequence[Any], l2: int) -> Callable[[], Any] | None:
    """The case as a function without arguments in one library, or None."""
    if case.build is not None:
        return case.build(engine, operands)
    call = case.cupy if engine.name == "cupy" else case.call
    if call is None:
        return None
    nbytes = max(sum(a.nbytes for a in operands), case.nbytes or 0)
    count = 1 if case.clock != "card" else max(1, min(MOST_SETS, math.ceil(4 * l2 / nbytes)))
    sets = []
    for _ in range(count):
        arrays = [engine.array(a) for a in operands]
        sets.append(tuple(case.view(*arrays)) if case.view else tuple(arrays))
    lib = engine.lib
    if count == 1:
        (arguments,) = sets
        return lambda: call(lib, *arguments)
    results: list[Any] = [None] * count
    turn = 0

    def next_set() -> Any:
        nonlocal turn
        turn = turn + 1 if turn + 1 < count else 0
        results[turn] = None  # its memory is free again, and the last to be used
        results[turn] = call(lib, *sets[turn])
        return results[turn]

    return next_set


def first(case: Case, engine: Any, function: Callable[[], Any], operands: Sequence[Any], found: Outcome) -> float:
    """numtape's first call, which may compile, in seconds; and the check of its result."""
    start = time.perf_counter()
    if case.verify is not None:
        found.wrong = case.verify(engine, function, operands)
        return time.perf_counter() - start
    result = function()
    engine.synchronize()
    seconds = time.perf_counter() - start
    if case.reference is not None:
        if not case.inplace and case.build is None:
            size = result.numel() * result.element_size()
            del result
            engine.poison(size)
            result = function()
        found.wrong = difference(case, engine.numpy(result), operands)
    return seconds


def described(kernel: Any) -> dict[str, Any]:
    """A kernel's name, and what the linker said about its registers and memory, if it is a card's."""
    facts: dict[str, Any] = {"name": kernel.name}
    if hasattr(kernel, "report"):
        from numtape.kernels.cuda import library

        try:
            facts |= library.report(kernel)
        except Exception as problem:
            facts["report"] = said(problem)
    return facts


# ------------------------------------------------------------------------------------------------ the training run
def train(engines: Sequence[Engine], options: Options) -> dict[str, Any]:
    """The digits classifier in numtape and in PyTorch: trainings by name, what failed, and whether the images are our own making."""
    real = digits.available()
    images = digits.load if real else digits.synthetic
    sizes: dict[str, Any] = {"epochs": 1, "most": 32} if options.emulated else {"epochs": 5} if options.quick else {}
    answer: dict[str, Any] = {"images": "digits" if real else "synthetic", "trainings": {}, "problems": []}
    for engine in engines:
        if engine.name == "cupy":
            continue
        try:
            ours = engine.name == "numtape"
            training = digits.train(device=engine.device, library=engine.lib, images=images, quiet=not ours, **sizes)
            answer["trainings"][engine.name] = {
                **asdict(training),
                "step_seconds": training.step_seconds,
                "target": digits.TARGET,
                "passed": training.passed or options.quick,
            }
        except Exception as problem:
            answer["problems"].append(f"{engine.name}: {said(problem)}")
    release(engines)
    answer["lost"] = bool(answer["problems"]) and not usable()
    return answer
