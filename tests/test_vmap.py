"""`vmap`: every op on batches against the loop over the examples, and the whole against PyTorch's."""

import numpy as np
import pytest
from compare import equal, listed
from samples import CREATION, RANDOM, names, samples_of

import numtape as nt

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:Attempted to insert")  # PyTorch's own
NAMES = [n for n in names("elementwise", "reduction", "composite") if n not in RANDOM and n not in CREATION]
SIZE = 3


def examples(a, k):
    """Example k of a sample's array."""
    if a.dtype == np.float64:
        return a * (1 - k / 4)
    return np.flip(a, -1) if k % 2 and a.ndim else a


def check(name, which):
    for sample in samples_of(name):
        batched = [not sample.arrays or which == "all" or k == 0 for k in range(len(sample.arrays))]
        if not sample.arrays or which == "first" and len(sample.arrays) == 1:
            continue
        arrays = [[examples(a, k) if b else a for k in range(SIZE)] for a, b in zip(sample.arrays, batched)]

        def tensors(k, arrays=arrays):
            return [nt.from_numpy(a[k].copy()) for a in arrays]

        def call(*given, sample=sample):
            found = sample.call(nt, *given)
            return found if isinstance(found, nt.Tensor) else tuple(t for t in listed(found) if isinstance(t, nt.Tensor))

        try:
            expected = [listed(call(*tensors(k))) for k in range(SIZE)]
            expected = [nt.stack(parts) for parts in zip(*expected)]
        except Exception:  # examples of several shapes, or that the op refuses
            continue
        if not expected:
            continue
        dims = tuple((-1 if k % 2 else 0) if b else None for k, b in enumerate(batched))
        whole = [nt.from_numpy(np.stack(a, axis=d) if d is not None else a[0].copy()) for a, d in zip(arrays, dims)]
        leaves = [t.requires_grad_() for t in whole if t.is_floating_point()]
        found = listed(nt.vmap(call, in_dims=dims)(*whole))
        equal([t.detach() for t in found], [t.detach() for t in expected], f"{sample}: values", (1e-9, 1e-11), memory=False)
        pairs = [(f, e) for f, e in zip(found, expected) if f.requires_grad]
        if pairs:
            seeds = [nt.from_numpy(np.resize(np.linspace(-1, 2, 17), tuple(f.shape))).to(f.dtype) for f, _ in pairs]
            mine = nt.autograd.grad([f for f, _ in pairs], leaves, seeds, allow_unused=True)
            separate = []
            for k in range(SIZE):
                given = tensors(k)
                own = [t.requires_grad_() for t in given if t.is_floating_point()]
                outs = [t for t in listed(call(*given)) if t.requires_grad]
                separate.append(nt.autograd.grad(outs, own, [s[k] for s in seeds], allow_unused=True))
            floating = [d for t, d in zip(whole, dims) if t.is_floating_point()]
            for i, (g, d) in enumerate(zip(mine, floating)):
                theirs = [s[i] for s in separate]
                if g is None or theirs[0] is None:
                    continue
                theirs = sum(theirs[1:], theirs[0]) if d is None else nt.stack(theirs, d)
                equal([g], [theirs], f"{sample}: gradient {i}", (1e-8, 1e-10), memory=False)


@pytest.mark.thorough
@pytest.mark.parametrize("which", ["all", "first"])
@pytest.mark.parametrize("name", NAMES)
def test_every_op_on_batches(name, which):
    check(name, which)
