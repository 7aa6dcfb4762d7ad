"""Calls on tensors of eight elements, where only the way to the kernel counts."""

import pytest

SUITES = ("calls",)

pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.1, disable_gc=True)


def test_call(run):
    run()
