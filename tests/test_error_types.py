"""Bad input of many kinds to every op: where PyTorch raises, numtape raises an error of the same type, and what was given is unchanged."""

import numpy as np
import pytest
from compare import SAME
from samples import TABLE, samples_of

import numtape as nt


def changed(m, t, how):
    """A tensor made unfit, or "skip" where it cannot be."""
    if how == "None":
        return None
    if how == "str":
        return "x"
    if how == "list":
        return t.tolist()
    if how in ("int64", "bool", "float64"):
        return t.to(getattr(m, how))
    if how == "more dims":
        return m.stack([t, t, t])
    if not t.ndim or not t.numel():
        return "skip"
    if how == "no dims":
        return t.reshape(-1)[0]
    if how == "empty":
        return t[:0]
    d = -1 if how == "narrower" else 0
    return t.narrow(d, 0, t.shape[d] - 1) if t.shape[d] > 1 else "skip"


KINDS = ["None", "str", "list", "int64", "bool", "float64", "more dims", "no dims", "empty", "narrower", "shorter"]
# What numtape accepts and PyTorch does not, for want of a kernel or by an accident of how it computes; private ops, whose callers check.
ACCEPTED = {
    "softplus_unit", "_alignment_step", "trace", "isin", "cross_entropy_rows", "linalg_matrix_power", "bernoulli", "mvlgamma", "instance_norm", "linalg_lstsq", "randint_like", "norm_except_dim",
    "linalg_norm", "ldexp", "fft_rfft", "fft_ihfft", "stft",
}  # fmt: skip
# Where the types differ: PyTorch's Python code meets the bad argument (AttributeError), or indexes a tensor without dims (IndexError).
ACCIDENTS = (AttributeError, IndexError)
HIDDEN = ("setStorage", "same slice shapes", "not enough values to unpack")  # messages of a later stage than the one that should have seen it


def call(m, sample, i, how):
    """The error of a call (None: there was none), and whether the tensors that were given are as they were."""
    tensors = sample.tensors(m, "float32")
    bad = changed(m, tensors[i], how)
    if isinstance(bad, str) and bad == "skip":
        return None, True
    before = [t.tolist() for t in tensors]
    try:
        sample.call(m, *tensors[:i], bad, *tensors[i + 1 :])
    except Exception as problem:
        return problem, all(np.array_equal(t.tolist(), b, equal_nan=True) for t, b in zip(tensors, before))
    return None, True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", KINDS)
def test_bad_input(torch, how):
    wrong = []
    for name in TABLE:
        if name.startswith(("row_", "_")) or name in ACCEPTED:
            continue
        sample = samples_of(name)[0]
        for i in range(len(sample.arrays)):
            theirs, intact = call(torch, sample, i, how)
            if theirs is None or any(words in str(theirs) for words in HIDDEN):
                continue
            mine, unchanged = call(nt, sample, i, how)
            kind = SAME.get(type(theirs).__name__, type(theirs))
            accident = isinstance(theirs, ACCIDENTS) and isinstance(mine, (TypeError, RuntimeError, ValueError))
            if not (isinstance(mine, (type(theirs), kind)) or accident and mine is not None):
                wrong.append(f"{sample}, argument {i}: PyTorch raises {theirs!r:.120}, numtape {mine!r:.120}")
            elif intact and not unchanged:
                wrong.append(f"{sample}, argument {i}: the input was changed by a call that failed")
    assert not wrong, "\n".join(wrong)


# ------------------------------------------------------------------------------------------------ the tape, memory that overlaps
def leaf(m):
    return m.full((2, 2), 0.5, requires_grad=True)


IN_PLACE = {
    "add_": (1,), "mul_": (2,), "pow_": (2,), "clamp_": (0, 1), "fill_": (1,), "zero_": (), "exp_": (), "sigmoid_": (), "round_": (), "uniform_": (), "normal_": (), "bernoulli_": (), "cumsum_": (0,),
    "transpose_": (0, 1), "resize_": (4,), "tril_": (), "fill_diagonal_": (1.0,), "renorm_": (2, 0, 1.0), "nan_to_num_": (), "eq_": (1,), "unsqueeze_": (0,), "set_": (),
}  # fmt: skip
TAPE = {
    **{f"{name} of a leaf": lambda m, name=name, args=args: getattr(leaf(m), name)(*args) for name, args in IN_PLACE.items()},
    **{f"{name} of a view of a leaf": lambda m, name=name, args=args: getattr(leaf(m)[:1], name)(*args) for name, args in IN_PLACE.items() if name not in ("transpose_", "resize_", "unsqueeze_")},
    "x[0] = 1": lambda m: leaf(m).__setitem__(0, 1), "out=": lambda m: m.exp(leaf(m), out=m.empty(2, 2)), "out= leaf": lambda m: m.exp(m.ones(2, 2), out=leaf(m)),
    "requires_grad of ints": lambda m: m.ones(2, dtype=m.int64).requires_grad_(), "requires_grad=": lambda m: m.zeros(2, dtype=m.int64, requires_grad=True),
    "tensor of ints": lambda m: m.tensor([1], requires_grad=True), "requires_grad of bools": lambda m: setattr(m.tensor([True]), "requires_grad", True),
    "not a leaf": lambda m: (leaf(m) * 1).requires_grad_(False), "backward of many": lambda m: (leaf(m) * 1).backward(), "backward of none": lambda m: m.ones(1).backward(),
    "backward of ints": lambda m: m.ones((), dtype=m.int64).backward(), "backward twice": lambda m: [y.backward() for y in [leaf(m).exp().sum()] * 2], "numpy": lambda m: leaf(m).numpy(),
    "deepcopy": lambda m: __import__("copy").deepcopy(leaf(m) * 1), "detach_ of a view": lambda m: (leaf(m) * 1)[0].detach_(), "grad of another shape": lambda m: setattr(leaf(m), "grad", m.ones(3)),
    "grad of another dtype": lambda m: setattr(leaf(m), "grad", m.ones(2, 2, dtype=m.float64)), "expanded, add_": lambda m: m.ones(1, 2).expand(3, 2).add_(1), "expanded, copy_": lambda m: m.ones(2).expand(3, 2).copy_(m.ones(3, 2)),
    "out= dtype": lambda m: m.add(m.ones(2), 1.5, out=m.ones(2, dtype=m.int64)), "in-place dtype": lambda m: m.ones(2, dtype=m.int64).add_(1.5), "in-place shape": lambda m: m.ones(2).mul_(m.ones(3, 2)),
    "in-place comparison of other shape": lambda m: m.ones(2).eq_(m.ones(2, 2)), "copy_ shape": lambda m: m.ones(2).copy_(m.ones(3)), "uniform_ of ints": lambda m: m.ones(2, dtype=m.int64).uniform_(),
    "negative size": lambda m: m.empty(-1), "negative reshape": lambda m: m.ones(4).reshape(-2, 2), "negative expand": lambda m: m.ones(1).expand(-2), "negative repeat": lambda m: m.ones(2).repeat(-1), "negative narrow": lambda m: m.ones(3).narrow(0, 0, -1),
    "numbers alone": lambda m: m.maximum(1, 2), "a number": lambda m: m.sin(1.0), "numbers, pow": lambda m: m.pow(2, 3), "numbers, where": lambda m: m.where(True, 1, 2), "lerp dtype": lambda m: m.lerp(m.ones(2), m.ones(2).double(), 0.5),
    "addmm dtype": lambda m: m.addmm(m.ones(2, 2).double(), m.ones(2, 2), m.ones(2, 2)), "addmm dims": lambda m: m.addmm(m.ones(3, 2, 2), m.ones(2, 2), m.ones(2, 2)), "step 0": lambda m: m.arange(3)[::0], "step -1": lambda m: m.arange(3)[::-1],
    "too many indices": lambda m: m.ones(2)[0, 0], "index too large": lambda m: m.ones(2)[5], "float index": lambda m: m.ones(2)[1.0], "mask shape": lambda m: m.ones(3)[m.tensor([True, False])], "index tensor": lambda m: m.ones(3)[m.tensor([3])],
    "assigned shape": lambda m: m.ones(2, 3).__setitem__(0, m.ones(2)), "item": lambda m: m.ones(2).item(), "len": lambda m: len(m.tensor(1)), "view of transposed": lambda m: m.ones(2, 3).t().view(6), "dim": lambda m: m.ones(2, 3).sum(5),
    "dims twice": lambda m: m.ones(2, 3).sum((0, -2)), "device": lambda m: m.ones(2, device="nowhere"), "keyword": lambda m: m.ones(2).sum(axes=1), "memory format": lambda m: m.ones(2, 2).contiguous(memory_format=m.channels_last),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TAPE)
def test_of_the_same_type(torch, name):
    errors = []
    for m in (nt, torch):
        try:
            errors.append(f"returned {TAPE[name](m)!r:.80}")
        except Exception as problem:
            errors.append(problem)
    mine, theirs = errors
    assert isinstance(theirs, Exception), f"PyTorch {theirs}"
    assert isinstance(mine, Exception) and isinstance(mine, SAME.get(type(theirs).__name__, type(theirs))), f"{mine!r}; PyTorch raises {theirs!r}"
