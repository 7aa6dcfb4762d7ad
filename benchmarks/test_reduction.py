"""Reductions, and formulas over a dim."""

import pytest

SUITES = ("reduction",)

pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.1, disable_gc=True)


def test_reduce(run):
    run()
