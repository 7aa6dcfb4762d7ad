"""Every kernel of the CUDA backend compiled for sm_90, without a card: no spills, nothing on the stack, registers within a budget.

The texts are those that the ops' own samples launch on the emulated card, forward and backward. Needs the extra `cuda`.
"""

import contextlib

import pytest
from cuda_module import card
from samples import TELLING, names, samples_of
from test_cuda_ops import DEEP, RANDOM, gradients

import numtape as nt
from numtape.kernels import library
from numtape.op import TABLE

pytest.importorskip("numba.cuda.cudadrv.nvvm", reason='compiling for a card needs the extra: pip install "numtape[cuda]"')
toolchain = pytest.importorskip("numtape.kernels.cuda.toolchain", reason='compiling for a card needs the extra: pip install "numtape[cuda]"')
from numtape.kernels.cuda import library as cuda_library  # noqa: E402

CAPABILITY = (9, 0)
REGISTERS = 65536  # of a multiprocessor: two blocks of up to 256 threads, or one larger block, are to fit into them
LAYOUTS = {"add", "mul", "where", "gelu"}
compiled: dict = {}


def made_by(work):
    """The CUDA kernels that a piece of work asks for first."""
    before = set(library.all_kernels())
    work()
    return [k for k in library.all_kernels() if k not in before and hasattr(k, "threads")]


def figures(kernel):
    """What the assembler says of a kernel: registers, spills, stack and shared memory."""
    key = kernel.text, kernel.threads
    if key not in compiled:
        _, report = toolchain.compile_cubin(library.execute(kernel.name, kernel.text)["kernel"], kernel.threads, CAPABILITY)
        compiled[key] = cuda_library.figures(report)
    return compiled[key]


def check(kernel):
    found = figures(kernel)
    assert found["spill_stores"] == found["spill_loads"] == 0, f"{kernel.name} spills registers: {found}"
    assert found["stack"] == 0, f"{kernel.name} keeps values on the stack: {found}"
    budget = min(255, REGISTERS // kernel.threads // (2 if kernel.threads <= 256 else 1))
    assert found["registers"] <= budget, f"{kernel.name} takes {found['registers']} registers of {budget}: {found}"
    assert found["shared"] <= 48 * 1024, f"{kernel.name} takes {found['shared']} bytes of shared memory"


def attempt(work):
    with contextlib.suppress(RuntimeError, IndexError, TypeError, ValueError, NotImplementedError):
        work()  # an op that is not defined for a dtype says so, which is tested elsewhere


def runs(name, backward):
    """The op's samples forward and backward in float32; its first one in other dtypes where their kernels differ by more than the type of a + b.

    Classes of layout are tried with a few elementwise ops: around the expression, all their kernels are the same.
    """
    for sample in samples_of(name) if TABLE[name].family != "elementwise" or name in LAYOUTS else samples_of(name)[:1]:
        attempt(lambda s=sample: s.call(card, *s.tensors(card, "float32")))
        if backward:
            attempt(lambda s=sample: gradients(card, s, "float32"))
    op = TABLE[name]
    for kind in ("float64", "int64") if op.family != "elementwise" or op.scalar is not None and op.scalar.calls else ():
        attempt(lambda k=kind: samples_of(name)[0].call(card, *samples_of(name)[0].tensors(card, k)))


# Ops of long kernels for which others stand: row_var for those of moments, row_softmax for those of softmaxes, digamma for the gamma family.
STOOD_FOR = {
    "pca_lowrank", "svd_lowrank", "row_std", "row_norm2", "row_moment", "row_rms_norm", "row_rms_standard", "row_scaled_softmax", "row_biased_softmax", "row_log_softmax",
    "row_nansum", "_polygamma", "_zeta", "_trigamma", "igammac", "special_i0e", "special_i1e", "special_bessel_j1", "special_spherical_bessel_j0",
    "special_scaled_modified_bessel_k0", "special_scaled_modified_bessel_k1", "special_modified_bessel_k0", "igamma", "std", "norm", "log_softmax", "amin", "row_logsumexp",
}  # fmt: skip


def with_words_of_their_own():
    """Formulas are made of ops that are compiled here anyway: those, and what others stand for, are left to the thorough run."""
    apart = {n for n in DEEP if TABLE[n].family == "elementwise" and TABLE[n].rule is None and n not in TELLING} | STOOD_FOR
    return [pytest.param(n, marks=pytest.mark.thorough) if n in apart else n for n in [*DEEP, *RANDOM]]


@pytest.mark.parametrize("name", with_words_of_their_own())
def test_kernels_of(name):
    for kernel in made_by(lambda: runs(name, TABLE[name].family != "elementwise")):
        check(kernel)


@pytest.mark.thorough
@pytest.mark.parametrize("name", names("elementwise"))
def test_backward_kernels_of(name):
    for kernel in made_by(lambda: runs(name, True)):
        check(kernel)


SPILLING = '''"""spilling"""
from numtape.kernels.cuda.intrinsics import *


def kernel(args):
    p = slots(args)
    x, out = in_f32(p[0]), out_f32(p[1])
    kept = stack_f32(64)
    for i in range(64):
        kept[i] = x[i]
    for i in range(64):
        kept[p[2 + i % 8]] += kept[i]
    out[thread_x()] = kept[p[2]]
'''


def test_a_kernel_on_the_stack_is_caught():
    kernel = type("Planted", (), {"name": "spilling", "text": SPILLING, "threads": 256})
    with pytest.raises(AssertionError, match="keeps values on the stack"):
        check(kernel)


def test_a_kernel_over_budget_is_caught():
    lines = "\n".join(f"    v{i} = x[i * {i + 1}]" for i in range(180)).replace("i * ", "thread_x() * ")
    total = " + ".join(f"v{i} * v{179 - i}" for i in range(180))
    text = f"from numtape.kernels.cuda.intrinsics import *\n\n\ndef kernel(args):\n    p = slots(args)\n    x, out = in_f32(p[0]), out_f32(p[1])\n{lines}\n    barrier()\n    out[thread_x()] = {total}\n"
    kernel = type("Planted", (), {"name": "greedy", "text": text, "threads": 1024})
    with pytest.raises(AssertionError, match="spills registers|registers of"):
        check(kernel)


def test_the_same_text_gives_the_same_code():
    kernel = made_by(lambda: nt.tensor([1.0], device="cuda").exp2()) or [k for k in library.all_kernels() if k.name == "exp2" and hasattr(k, "threads")]
    function = library.execute(kernel[0].name, kernel[0].text)["kernel"]
    first, second = (toolchain.compile_cubin(function, 256, CAPABILITY)[0] for _ in range(2))
    assert first == second and first[:4] == b"\x7fELF"
