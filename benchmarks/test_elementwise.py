"""Elementwise ops, one case per op of the table."""

import pytest

SUITES = ("elementwise",)

pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.1, disable_gc=True)


def test_elementwise(run):
    run()
