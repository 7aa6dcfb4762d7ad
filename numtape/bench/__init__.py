"""Benchmarks: `python -m numtape.bench` trains a digits classifier, then times ops and workloads against NumPy, PyTorch and JAX.

`suites/` has the cases, a module for each suite, `cases.py` what they are made of; `engines.py` runs a case in each library,
`timing.py` times them in turns, `peaks.py` measures what the machine can do, `report.py` prints; `digits.py` is the training
run. PyTorch and JAX are optional and are imported here only.
"""

from __future__ import annotations

from typing import Any

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    """`main`, loaded when asked for: `python -m` must be able to run the module itself first."""
    if name == "main":
        from numtape.bench.__main__ import main

        return main
    raise AttributeError(f"module 'numtape.bench' has no attribute {name!r}")
