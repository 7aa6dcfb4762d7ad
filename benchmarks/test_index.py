"""Reading and writing by places, joins and draws."""

import pytest

SUITES = ("index",)

pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.1, disable_gc=True)


def test_index(run):
    run()
