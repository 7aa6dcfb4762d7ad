"""Whole training steps: perceptrons, and with --all-cases a CNN, two GPTs, an LSTM and a PINN."""

import pytest

SUITES = ("train",)

pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.1, disable_gc=True)


def test_training_step(run):
    run()
