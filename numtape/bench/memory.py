"""`python -m numtape.bench.memory`: the peak memory of the training steps of the suite `train`, of numtape and of torch.

Linux only. Each step runs in a process of its own: the most that the process held (its resident set, as the system counts it) less what it
held after the library was imported and a step of a tiny perceptron was made, by which libraries set themselves up (torch: 78 MiB,
numtape: 3). Parameters, data and the state of the optimizer count. "allocator" is the peak that numtape's own allocator counts. A step is run
once before, in another process, so that nothing is compiled in the one that is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from numtape.bench.engines import ENGINES, installed, prepare_environment

STEPS = 5


def steps() -> dict[str, Callable[[Any], Callable[[], Any]]]:
    """By name: what makes the step of an engine."""
    from numtape.bench.suites import train

    found: dict[str, Callable[[Any], Callable[[], Any]]] = {}
    for sizes, batch, optimizer in train.PERCEPTRONS:
        found[f"mlp-{'-'.join(map(str, sizes))}"] = partial(train._perceptron_step, partial(train.perceptron, sizes, batch), optimizer)
    return found | {name: partial(train.step_of_work, work) for name, work in train.NETWORKS.items()}


def measure(name: str, engine_name: str) -> dict[str, int]:
    """Bytes of this process: "rss" is the peak of the resident set less its size at the start, "allocator" numtape's own peak."""
    import numtape as nt

    engine = ENGINES[engine_name]()
    engine.set_threads(nt.get_num_threads())
    steps()["mlp-16-32-4"](engine)()
    before = _resident("VmRSS")
    step = steps()[name](engine)
    nt.cpu.reset_peak_memory_stats()
    for _ in range(STEPS):
        step()
    return {"rss": _resident("VmHWM") - before, "allocator": nt.cpu.max_memory_allocated()}


def _resident(which: str) -> int:
    """The resident set, now (VmRSS) or at its most (VmHWM); `ru_maxrss` would count the parent that started the process, too."""
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(which))


def main(argv: Sequence[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="python -m numtape.bench.memory", description=__doc__.partition("\n")[0])
    p.add_argument("--threads", metavar="N", type=int, default=1)
    p.add_argument("--one", nargs=2, metavar=("NAME", "ENGINE"), help=argparse.SUPPRESS)
    arguments = p.parse_args(argv)
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    environment = os.environ | prepare_environment(arguments.threads)
    engines = [name for name in ("numtape", "torch") if installed(name)]
    print(f"{'step':<26} {'numtape':>12} {'allocator':>12} {'torch':>12} {'ours/torch':>10}   MiB, {arguments.threads} thread(s)")
    for name in [name for name in steps() if name != "mlp-16-32-4"]:
        found = {}
        for engine in engines:
            command = [sys.executable, "-m", "numtape.bench.memory", "--one", name, engine]
            for _ in range(2 if engine == "numtape" else 1):
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            found[engine] = json.loads(done.stdout)
        ours, theirs = found["numtape"], found.get("torch")
        row = f"{name:<26} {ours['rss'] / 2**20:>12.1f} {ours['allocator'] / 2**20:>12.1f}"
        print(row + (f" {theirs['rss'] / 2**20:>12.1f} {ours['rss'] / theirs['rss']:>10.2f}" if theirs else ""), flush=True)


if __name__ == "__main__":
    main()
