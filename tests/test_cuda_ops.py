"""Every op of the table on a card against the same op on the CPU: values, shapes, dtypes, strides, errors and gradients.

Without a card the kernels run in the lockstep emulator; `python -m pytest -m gpu` runs the same tests on a card.
Elementwise ops, random draws and copies have the CPU's bits; sums and products are added up in another order.
"""

import itertools
import pathlib

import numpy as np
import pytest
from compare import listed, outcome
from cuda_module import card
from samples import LAYOUTS, RANDOM, names, samples_of, telling

import numtape as nt
from numtape.op import TABLE

pytestmark = pytest.mark.gpu

DTYPES = ("bool", "uint8", "int32", "int64", "float64")
LIMITS = (pathlib.Path(__file__).parents[1] / "docs" / "cuda.md").read_text().partition("## Limits")[2]
NEAR = {"float32": (2e-6, 1e-6), "float64": (1e-13, 1e-14)}  # where the order of additions differs
SAME_BITS = {"elementwise"}
NEARLY = {"_alignment_step"}  # one unit in the last place apart in the emulator, for a reason yet to be found


def compare(theirs, mine, what, exact):
    """`theirs` from the CPU, `mine` from the card: lists of tensors, or errors of one type and one message."""
    if isinstance(theirs, Exception):
        assert type(mine) is type(theirs), f"{what}: the CPU raises {theirs!r}, the card gives {mine!r}"
        return
    if isinstance(mine, NotImplementedError) and "tensors have no CUDA kernels" in str(mine):
        assert "complex tensors have no CUDA kernels" in LIMITS, f"{what}: {mine}"
        return
    if isinstance(mine, NotImplementedError) and "no CUDA kernels" in str(mine):
        pattern = str(mine).partition(":")[0]
        assert f"`{pattern}`" in LIMITS, f"{what} is not on CUDA, and docs/cuda.md does not name the pattern `{pattern}`"
        return
    if isinstance(mine, Exception):
        raise AssertionError(f"{what}: {mine!r}") from mine
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs):
        if not isinstance(b, nt.Tensor):
            assert a == b, what
            continue
        expected = "cpu" if what.startswith("to device") else "cuda:0"
        assert str(a.device) == expected, f"{what}: the result is on {a.device}"
        assert a.shape == b.shape and a.dtype is b.dtype, f"{what}: {a.dtype} {tuple(a.shape)}, on the CPU {b.dtype} {tuple(b.shape)}"
        assert a.numel() < 2 or a.stride() == b.stride(), f"{what}: strides {a.stride()}, on the CPU {b.stride()}"
        x, y = a.detach().cpu().numpy(), b.detach().numpy()
        rtol, atol = (0, 0) if exact else NEAR.get(y.dtype.name, (0, 0))
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=what)


def run(sample, kind, layout="contiguous"):
    exact = TABLE[sample.name.split()[0]].family in SAME_BITS and sample.name.split()[0] not in NEARLY
    nt.manual_seed(3)
    theirs = outcome(lambda: sample.call(nt, *sample.tensors(nt, kind, layout)))
    nt.manual_seed(3)
    mine = outcome(lambda: sample.call(card, *sample.tensors(card, kind, layout)))
    compare(theirs, mine, f"{sample} {kind} {layout}", exact)


HOST = {"from_numpy", "asarray", "frombuffer"}  # shares the host's memory
UNINITIALISED = {"empty", "empty_like", "empty_strided", "empty_permuted"}
NAMES = [n for n in names() if n not in HOST | UNINITIALISED]
# Composites with kernels of their own. The others are calls of other ops: their values are enough, since those ops are tried in full.
OWN = {
    "cumsum", "argmax", "argmin", "max", "min", "getitem", "index_select", "gather", "cat", "stack", "matmul", "bmm", "linear", "einsum", "to", "clone",
    "contiguous", "arange", "linspace", "eye", "cross_entropy_rows", "layer_norm", "mean", "var", "std", "norm", "logsumexp", "softmax", "log_softmax",
}  # fmt: skip
DEEP = [n for n in NAMES if n not in RANDOM and (TABLE[n].family != "composite" or n in OWN)]


def some_composites():
    """The emulated card is slow: of the composites of other ops every eighth is tried by default, and all in the thorough run."""
    plain = [n for n in NAMES if TABLE[n].family == "composite" and n not in OWN]
    left = {n for k, n in enumerate(plain) if k % 8}
    return [pytest.param(n, marks=pytest.mark.thorough) if n in left else n for n in NAMES]


@pytest.mark.parametrize("name", some_composites())
def test_values(name):
    for sample in samples_of(name):
        run(sample, "float32")


@pytest.mark.parametrize("name", telling(DEEP))
def test_layouts(name):
    first = samples_of(name)[:1] if TABLE[name].family == "elementwise" else samples_of(name)[:3]
    for sample, layout in itertools.product(first, list(LAYOUTS)[1:]):
        run(sample, "float32", layout)


@pytest.mark.parametrize("name", telling(DEEP))
def test_dtypes(name):
    for kind in DTYPES:
        run(samples_of(name)[0], kind)


def gradients(m, sample, kind):
    tensors = [t.requires_grad_() if t.is_floating_point() else t for t in sample.tensors(m, kind)]
    outputs = [o for o in listed(sample.call(m, *tensors)) if isinstance(o, nt.Tensor) and o.requires_grad]
    loss = sum((o * m.tensor(np.linspace(0.5, 1.5, o.numel(), dtype=o.dtype.numpy).reshape(o.shape)).to(o.device)).sum() for o in outputs)
    if not outputs:
        return []
    loss.backward()
    return [t.grad for t in tensors if t.grad is not None]


@pytest.mark.parametrize("name", telling(DEEP))
def test_gradients(name):
    for sample in samples_of(name)[:1]:
        theirs = outcome(lambda s=sample: gradients(nt, s, "float64"))
        if isinstance(theirs, Exception):
            continue
        compare(theirs, outcome(lambda s=sample: gradients(card, s, "float64")), f"gradient of {sample}", False)


@pytest.mark.parametrize("name", telling(n for n in names("elementwise") if TABLE[n].inplace and hasattr(nt.Tensor, f"{n}_")))
def test_in_place(name):
    sample = samples_of(name)[0]
    for kind in ("float32", "int64"):

        def changed(m, kind=kind):
            first, *rest = sample.tensors(m, kind, "stepped")
            return getattr(first, f"{name}_")(*rest)

        theirs, mine = outcome(lambda: changed(nt)), outcome(lambda: changed(card))
        compare(theirs, mine, f"{name}_ {kind}", True)
