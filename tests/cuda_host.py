"""What the tests of CUDA's host side share: kernels, a card of an emulated machine of their own, copies to it and from it."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import numtape as nt
from numtape.kernels.cuda import driver, library
from numtape.kernels.cuda.card import Card, on
from numtape.kernels.cuda.emulated_driver import Machine

ROOT = pathlib.Path(nt.__file__).parents[1]
MIB = 1 << 20

SCALE = """
from numtape.kernels.cuda.intrinsics import *

def kernel(args):
    p = slots(args)  # out, x, factor, count
    i = block_x() * threads_x() + thread_x()
    if i < p[3]:
        out_f32(p[0])[i] = in_f32(p[1])[i] * slot_f32(p, 2)
"""
KEEP = """
from numtape.kernels.cuda.intrinsics import *

def kernel(args):
    p = slots(args)  # out, then the words to keep, as many as the last one says
    for i in range(p[4]):
        out_i64(p[0])[i] = p[1 + i]
"""
PICK = """
from numtape.kernels.cuda.intrinsics import *

def kernel(args):
    p = slots(args)  # out, index, error cell, size
    i = thread_x()
    k = in_i64(p[1])[i]
    if 0 <= k < p[3]:
        out_i64(p[0])[i] = k
    else:
        error = out_i64(p[2])
        error[0] = 1
        error[1] = k
"""


emulated = pytest.mark.skipif(os.environ.get("NUMTAPE_CUDA") != "emulate", reason="about the emulated driver: NUMTAPE_CUDA=emulate")


@pytest.fixture
def machine():
    return Machine(total=64 * MIB)


@pytest.fixture
def card(machine):
    """A card of a machine of its own, with a caching pool, current in this thread."""
    made = Card(machine, 0)
    with on(made.default):
        yield made


def host(array):
    return array.ctypes.data


def upload(array):
    array = np.ascontiguousarray(array)
    storage = driver.allocate(array.nbytes)
    driver.copy_from_host(storage.address, host(array), array.nbytes)
    return storage


def download(storage, dtype, count):
    array = np.zeros(count, dtype)
    driver.copy_to_host(host(array), storage.address, array.nbytes)
    return array


def run_python(program, **environment):
    """Run a program in a fresh process: (return code, stdout, stderr)."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("NUMTAPE_CUDA")} | {"PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def table(text=SCALE, arguments=3, constants=(50,), grid=2, block=32, nbytes=200, name=None):
    name = name or {SCALE: "scale", KEEP: "keep", PICK: "pick"}[text]
    return driver.Table(library.kernel(name, text), grid, block, arguments, constants, nbytes=nbytes)


def pick(indices, n=5):
    index = upload(np.array(indices))
    t = table(PICK, 3, (n,), 1, len(indices), 8 * len(indices), "pick")
    check = driver.index_check("gather", n, 1)
    out = driver.launch_new(t.address, index.address, check.address)
    check.check()
    return out
