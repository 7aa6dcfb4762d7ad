"""Convolutions, pooling and attention."""

import pytest

SUITES = ("conv",)

pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.1, disable_gc=True)


def test_conv(run):
    run()
