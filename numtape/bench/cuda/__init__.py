"""Benchmarks on a CUDA card: `python -m numtape.bench --device cuda`.

`case.py` says what a case is and how its result is checked, `memory.py`, `products.py` and `steps.py` list the cases; `engines.py` runs a
case in each library, `worker.py` checks and times it in a process of its own, `supervisor.py` sees to that process, `run.py` is
the run and `report.py` what it prints.
"""

from __future__ import annotations

PEERS = ("torch", "cupy")
SUITES = ("calls", "training", "elementwise", "reduce", "copy", "matmul", "index", "random")  # in the order in which they are run
ALL_SUITES = ("digits", *SUITES)
