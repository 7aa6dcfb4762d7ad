"""What all tests share: PyTorch as the reference, a repeatable random state, and the recording mode put back after each test.

CUDA is emulated, unless the tests that a card can run are asked for (`-m gpu`).
"""

import os

import numpy as np
import pytest
from hypothesis import settings

import numtape as nt


def pytest_configure(config):
    """Before anything asks for CUDA: a card of plain Python, or the real one."""
    if "gpu" not in (config.getoption("-m") or ""):
        os.environ.setdefault("NUMTAPE_CUDA", "emulate")
    elif not hasattr(config, "workerinput") and not nt.cuda.is_available():
        try:
            nt.cuda.init()
        except RuntimeError as problem:
            pytest.exit(f"the tests marked gpu need a card: {problem}", 4)


def pytest_report_header(config):
    return f"CUDA: {os.environ.get('NUMTAPE_CUDA') or 'a card'}"

# Kernels compile when first used, so no example has a deadline; the same examples each run.
settings.register_profile("numtape", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("numtape")


@pytest.fixture(scope="session")
def torch():
    """PyTorch, the reference; tests that need it are skipped where it is not installed."""
    return pytest.importorskip("torch", reason="PyTorch is the reference of this test")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _recording_as_found():
    """Whatever a test sets, the next one records and has the default dtype and number of threads."""
    recording, kind, threads = nt.is_grad_enabled(), nt.get_default_dtype(), nt.get_num_threads()
    nt.manual_seed(0)
    yield
    nt.set_grad_enabled(recording)
    nt.set_default_dtype(kind)
    nt.set_num_threads(threads)
