"""Matrix products and copies."""

import pytest

SUITES = ("matmul", "copy")

pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.1, disable_gc=True)


def test_matmul(run):
    run()
