"""Benchmarks for pytest-benchmark, over the cases of `numtape.bench`: `pytest benchmarks --benchmark-only`.

The cases of the default table are run; `--all-cases` runs every one, `--engines numtape,numpy` chooses the libraries. The
engines of a case form a group, so pytest-benchmark prints them one below the other. Compare within a run: times of
two runs on a busy machine differ by more than most changes do.
"""

from __future__ import annotations

import os

from numtape.bench.engines import ENGINES, NAMES, Engine, as_numpy, installed, prepare_environment

os.environ.update(prepare_environment(None))  # before a peer is imported

import numpy as np
import pytest

import numtape as nt
from numtape.bench.suites import all_cases

_engines: dict[str, Engine] = {}


def pytest_addoption(parser):
    parser.addoption("--all-cases", action="store_true", help="every case of numtape.bench, not only those of its default table")
    parser.addoption("--engines", default=",".join(NAMES), help="comma-separated, of " + ", ".join(NAMES))


def pytest_generate_tests(metafunc):
    """Parametrise tests that take `case` and `engine` by the suites named in the module's `SUITES`."""
    if "case" not in metafunc.fixturenames:
        return
    config = metafunc.config
    names = config.getoption("--engines").split(",")
    if unknown := set(names) - set(NAMES):
        raise pytest.UsageError(f"--engines: there is no {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    cases = [c for c in all_cases() if c.suite in metafunc.module.SUITES and (c.default or config.getoption("--all-cases"))]
    pairs = [pytest.param(c, n, id=f"{c.label}-{n}") for c in cases for n in names if installed(n)]
    metafunc.parametrize(("case", "name"), pairs)


@pytest.fixture
def call(case, name):
    """The case bound to an engine, its first call made; skipped where the engine has no such thing."""
    if name not in _engines:
        _engines[name] = ENGINES[name]()
        _engines[name].set_threads(nt.get_num_threads())
    bound = case.bind(_engines[name])
    if bound is None:
        pytest.skip(f"{name} has no {case.name}")
    with np.errstate(all="ignore"):
        as_numpy(bound())
        yield bound


@pytest.fixture
def run(call, case, benchmark):  # the call first: it may skip the test
    """Time the call, in a group of the engines of the same case."""
    benchmark.group = case.name
    benchmark.extra_info.update(bytes=case.nbytes, flops=case.flops)
    return lambda: benchmark(call)
