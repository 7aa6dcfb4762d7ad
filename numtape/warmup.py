"""`python -m numtape.warmup`: compile the common kernels ahead, in several processes, into the disk cache.

A kernel is compiled when it is first called, which takes a few tenths of a second. This command calls what most programs call, on small
tensors: the elementwise ops and reductions in float32, float64 and int64, views, products and convolutions, the layers, losses and
optimizers, the networks and the default cases of `numtape.bench`. Kernels do not depend on sizes, so those compiled here are the ones that
large tensors use. What is compiled already is only loaded: a second run takes a few seconds.

Exit codes: 0 all is in the cache, 1 something failed, 2 wrong arguments, or there is no cache to fill.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import numtape as nt
from numtape.kernels import cache, library

DTYPES = ("float32", "float64", "int64")
BENCHES = ("calls", "elementwise", "reduction", "matmul", "conv", "index", "copy", "train")  # suites whose default cases are called


# ------------------------------------------------------------------------------------------------ what is called
def _samples(dtype: str) -> tuple:
    """Two matrices, a row, a column and a truth value for each element."""
    kind = getattr(nt, dtype)
    x = nt.arange(48).reshape(6, 8).to(kind) / (50 if kind.is_floating_point else 1)
    x = x.to(kind) + 1
    return x, x.flip(0) * 2, x[0], x[:, :1], x > x.mean(dtype=nt.float32) if kind.is_floating_point else x > 20


def arithmetic(dtype: str) -> None:
    """Operators on tensors, numbers, rows, columns and transposes; comparisons and choices."""
    x, y, row, column, mask = _samples(dtype)
    for other in (y, 2, 0.5, row, column, y.t().contiguous().t()):
        for result in (x + other, x - other, x * other, x / other, x > other, x == other, nt.where(mask, x, other)):
            result.shape  # noqa: B018  (called for its kernels)
    for result in (2 - x, 1 / x, -x, x.abs(), x**2, x.clamp(0, 1), x.maximum(y), x.minimum(y), x.to(nt.float32), x.to(nt.float64), x.to(nt.int64)):
        result.t().contiguous()
    x.clone().add_(y).mul_(2).sub_(y).zero_()


def functions(dtype: str) -> None:
    """Functions of one tensor, and their derivatives."""
    if dtype == "int64":
        return
    x = _samples(dtype)[0].requires_grad_()
    for name in ("exp", "log", "sqrt", "rsqrt", "sin", "cos", "tanh", "sigmoid", "relu", "erf", "abs", "square", "log1p", "reciprocal"):
        getattr(nt, name)(x).sum().backward()
    for name in ("gelu", "silu", "softplus", "leaky_relu", "elu"):
        getattr(nt.nn.functional, name)(x).sum().backward()


def operators_backward(dtype: str) -> None:
    """Derivatives of operators."""
    if dtype == "int64":
        return
    x, y, row, column, mask = _samples(dtype)
    for other in (y, row, column):
        for f in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: nt.where(mask, a, b), lambda a, b: a.maximum(b)):
            f(x.detach().requires_grad_(), other.detach().requires_grad_()).sum().backward()
    a = x.detach().requires_grad_()
    (a * a + a * 2 - 1).mean().backward()
    (a**2).sum(0).mul(a[0]).sum().backward()


def reductions(dtype: str) -> None:
    """Sums, means, extrema and their positions over all, rows and columns; softmax and its like."""
    x = _samples(dtype)[0]
    floating = dtype != "int64"
    names = ["sum", "amax", "amin", "argmax", "argmin", "prod"] + (["mean", "var", "std", "logsumexp", "softmax", "log_softmax"] if floating else [])
    for name in names:
        for dim in (None, 0, 1):
            if dim is not None or name in ("sum", "amax", "amin", "argmax", "argmin", "prod", "mean", "var", "std"):
                arguments = () if dim is None else (dim,)
                getattr(x, name)(*arguments)
                if floating and name not in ("argmax", "argmin"):
                    getattr(x.detach().requires_grad_(), name)(*arguments).sum().backward()
    for result in (x.max(1), x.min(1), x.sort(1), x.topk(2, 1), x.cumsum(1), x.cumsum(0), (x > 1).any(), (x > 1).all(), (x > 1).sum()):
        assert result is not None


def views_and_places(dtype: str) -> None:
    """Joins, pieces, rows by index, masks, fills, draws."""
    x, y, *_ = _samples(dtype)
    index = nt.tensor([0, 2, 1])
    for result in (nt.cat([x, y]), nt.cat([x, y], 1), nt.stack([x, y]), x[index], x[x > 2], x[1:, ::2].contiguous(), x.gather(0, x.to(nt.int64) * 0)):
        result.clone()
    x.clone().scatter_add_(0, x.to(nt.int64) * 0, y)
    x.clone().index_add_(0, index, y[:3])
    x.clone()[1:].fill_(3)
    if dtype != "int64":
        a = x.detach().requires_grad_()
        nt.cat([a, a[:, ::1] * 2])[index].chunk(2, 1)[0].sum().backward()
        nt.randn(3, dtype=getattr(nt, dtype))
        nt.rand(3, dtype=getattr(nt, dtype))


def products(dtype: str) -> None:
    """Matrix products of all kinds of operands, and their derivatives."""
    x, y, row, *_ = _samples(dtype)
    for result in (x @ y.t(), x.t() @ y, x @ row, row @ x.t(), nt.stack([x, x]) @ y.t(), row @ row):
        assert result is not None
    if dtype != "int64":
        F = nt.nn.functional
        a = x.detach().requires_grad_()
        F.linear(a, y.detach().requires_grad_(), y[:, 0].detach().requires_grad_()).sum().backward()


def layers(dtype: str) -> None:
    """Layers, losses and optimizers."""
    if dtype == "int64":
        return
    kind, F = getattr(nt, dtype), nt.nn.functional
    x, y, *_ = _samples(dtype)
    classes = nt.tensor([0, 1, 2, 3, 4, 5])
    for loss in (nt.nn.MSELoss(), nt.nn.L1Loss(), nt.nn.BCEWithLogitsLoss()):
        loss(x.detach().requires_grad_(), y / 1000).backward()
    nt.nn.CrossEntropyLoss()(x.detach().requires_grad_(), classes).backward()
    F.dropout(x.detach().requires_grad_(), 0.5).sum().backward()
    for optimizer in (nt.optim.SGD, nt.optim.Adam, nt.optim.AdamW):
        model = nt.nn.Sequential(nt.nn.Linear(8, 4), nt.nn.ReLU(), nt.nn.LayerNorm(4), nt.nn.Linear(4, 3)).to(kind)
        options = {"lr": 0.1, "momentum": 0.9} if optimizer is nt.optim.SGD else {"lr": 0.1}
        step = optimizer(model.parameters(), **options)
        for _ in range(2):
            step.zero_grad()
            F.cross_entropy(model(x), classes % 3).backward()
            step.step()


def networks(name: str) -> None:
    """A training step of a small relative of a network of the benchmark."""
    from numtape.bench.engines import Numtape
    from numtape.bench.suites import networks as made
    from numtape.bench.suites.train import step_of_work

    works: dict[str, Callable] = {
        "cnn": lambda: made.small_cnn(batch=2, side=8),
        "gpt": lambda: made.gpt(1, 8, 6, 2, 2, vocabulary=11),
        "lstm": lambda: made.lstm(steps=3, batch=2, n_in=3, width=4),
        "pinn": lambda: made.pinn(points=8, width=4),
    }
    step = step_of_work(works[name], Numtape())
    step()
    step()


def digits(_name: str) -> None:
    """The digits example, if scikit-learn is there."""
    from numtape.bench import digits as run

    if run.available():
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            run.train(epochs=1, quiet=True)


def bench(suite: str) -> None:
    """The default cases of a suite of the benchmark, as numtape runs them."""
    from numtape.bench.engines import Numtape
    from numtape.bench.suites import all_cases

    engine = Numtape()
    for case in all_cases(quick=True):
        if case.suite == suite and case.default and (call := case.bind(engine)) is not None:
            call()


JOBS: dict[str, tuple[Callable[[str], None], str]] = {
    **{
        f"{f.__name__}.{dtype}": (f, dtype)
        for dtype in DTYPES
        for f in (reductions, operators_backward, arithmetic, functions, views_and_places, products, layers)
        if dtype != "int64" or f not in (operators_backward, functions, layers)
    },
    **{f"network.{name}": (networks, name) for name in ("gpt", "cnn", "pinn", "lstm")},
    **{f"bench.{suite}": (bench, suite) for suite in BENCHES},
    "digits": (digits, ""),
}


# ------------------------------------------------------------------------------------------------ who calls
def work(names: Iterator[str]) -> int:
    """Do the jobs whose names come in, and say after each: its name, kernels compiled and loaded, and what went wrong."""
    nt.set_num_threads(1)
    answers, sys.stdout = sys.stdout, sys.stderr  # what a job prints is no answer
    for name in names:
        compiled, loaded, problem = nt.kernels.compilations(), nt.kernels.loaded(), ""
        job, argument = JOBS[name]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                job(argument)
        except Exception as failure:  # it is reported, and the others go on
            problem = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        print(name, nt.kernels.compilations() - compiled, nt.kernels.loaded() - loaded, problem, file=answers, flush=True)
    return 0


class Worker:
    """A process that does one job after the other."""

    def __init__(self) -> None:
        environment = os.environ | {"NUMTAPE_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "numtape.warmup", "--work"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def do(self, name: str) -> tuple[int, int, str]:
        """Kernels compiled and loaded by a job, and what went wrong."""
        assert self.process.stdin and self.process.stdout
        try:
            print(name, file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return 0, 0, f"the process ended with exit code {self.process.wait()}"
        _, compiled, loaded, problem = line.rstrip("\n").split(" ", 3)
        return int(compiled), int(loaded), problem

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError), self.process:  # it ends when its input does
            pass


def run(names: Sequence[str], processes: int) -> int:
    """Share the jobs among processes and print what each did; returns the exit code."""
    from concurrent.futures import ThreadPoolExecutor
    from queue import SimpleQueue

    from numtape.bench.report import Progress

    start = time.perf_counter()
    workers = [Worker() for _ in range(min(processes, len(names)))]
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def do(name: str) -> tuple[str, int, int, str]:
        worker = free.get()
        try:
            return (name, *worker.do(name))
        finally:
            free.put(worker)

    done, failed = [], 0
    try:
        with ThreadPoolExecutor(len(workers)) as pool, Progress("warmup", len(names)) as progress:
            for name, compiled, loaded, problem in pool.map(do, names):
                failed += bool(problem)
                done.append((compiled, loaded))
                what = f"FAILED {name}: {problem}" if problem else f"{name:<28} {compiled:>4} compiled, {loaded:>4} from the cache"
                progress.say(what)
                progress.advance()
    finally:
        for worker in workers:
            worker.close()
    kernels = cache.entries()
    compiled = sum(c for c, _ in done)
    print(
        f"{len(names)} jobs, {failed} failed; {compiled} kernels compiled in {time.perf_counter() - start:.1f} s by {len(workers)} processes; "
        f"{len(kernels)} kernels ({sum(size for _, size, _ in kernels) / 1e6:.1f} MB) in {cache.folder()}"
    )
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    p = argparse.ArgumentParser(
        prog="python -m numtape.warmup",
        description="Compile the common kernels into the disk cache, in parallel processes.",
        epilog="The cache is the folder NUMTAPE_CACHE, or numtape in the user's cache folder. Exit codes: 0 fine, 1 something failed, 2 wrong arguments or no cache.",
    )
    p.add_argument("--jobs", metavar="NAMES", help="only these, comma-separated; names as --list has them, or their beginnings (layers, network)")
    p.add_argument("--processes", metavar="N", type=int, default=os.cpu_count() or 1, help="how many at once (default: one a core)")
    p.add_argument("--list", action="store_true", help="print the names of the jobs, and how much is in the cache, and stop")
    p.add_argument("--clear", action="store_true", help="remove every kernel from the cache and stop")
    p.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    try:
        arguments = p.parse_args(argv)
    except SystemExit as stop:  # argparse has printed what it has to say
        return int(stop.code or 0)
    if arguments.work:
        return work(line.strip() for line in sys.stdin)
    if cache.folder() is None or not library.JIT:
        print("numtape.warmup: kernels are not cached here: NUMTAPE_CACHE is off or cannot be written to, or NUMBA_DISABLE_JIT is set", file=sys.stderr)
        return 2
    if arguments.clear:
        print(f"{cache.clear()} kernels removed from {cache.folder()}")
        return 0
    names = list(JOBS)
    if arguments.jobs:
        wanted = [part.strip() for part in arguments.jobs.split(",") if part.strip()]
        unknown = [part for part in wanted if not any(name == part or name.startswith(f"{part}.") for name in JOBS)]
        if unknown or not wanted:
            print(f"numtape.warmup: --jobs: there is no {', '.join(unknown) or 'name'}; choose from {', '.join(JOBS)}", file=sys.stderr)
            return 2
        names = [name for name in JOBS if any(name == part or name.startswith(f"{part}.") for part in wanted)]
    if arguments.processes < 1:
        print(f"numtape.warmup: --processes: expected a positive number, got {arguments.processes}", file=sys.stderr)
        return 2
    if arguments.list:
        kernels = cache.entries()
        print("\n".join(names))
        print(f"# {len(kernels)} kernels ({sum(size for _, size, _ in kernels) / 1e6:.1f} MB) in {cache.folder()}")
        return 0
    return run(names, arguments.processes)


if __name__ == "__main__":
    sys.exit(main())
