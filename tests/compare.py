"""Comparing what numtape and PyTorch make of the same call."""

import numpy as np

TOLERANCE = {"float32": (1e-5, 2e-6), "float64": (1e-11, 1e-12), "complex64": (1e-5, 2e-6), "complex128": (1e-11, 1e-12)}
# What PyTorch raises where a kernel is missing, numtape reports as an error of the call.
SAME = {"NotImplementedError": RuntimeError, "_LinAlgError": RuntimeError}


def name_of(kind):
    """'float32' of either library's dtype."""
    return str(kind).rpartition(".")[2]


def listed(value):
    return list(value) if isinstance(value, (tuple, list)) else [value]


def outcome(call):
    """What a call returns as a list, or the error it raises."""
    try:
        return listed(call())
    except Exception as problem:
        return problem


def equal(mine, theirs, what="", tolerance=None, memory=True):
    """Both are lists of tensors alike in shape, dtype, layout and values; or errors of the same type."""
    if isinstance(theirs, Exception):
        assert isinstance(mine, Exception), f"{what}: PyTorch raises {type(theirs).__name__}: {theirs}; got {mine}"
        expected = SAME.get(type(theirs).__name__, type(theirs))
        assert isinstance(mine, (type(theirs), expected)), f"{what}: PyTorch raises {type(theirs).__name__}: {theirs}; got {type(mine).__name__}: {mine}"
        return
    if isinstance(mine, Exception):
        raise AssertionError(f"{what}: raises {type(mine).__name__}: {mine}; PyTorch returns {theirs}") from mine
    assert len(mine) == len(theirs), what
    for a, b in zip(mine, theirs):
        assert tuple(a.shape) == tuple(b.shape), f"{what}: shape {tuple(a.shape)}, PyTorch's is {tuple(b.shape)}"
        assert name_of(a.dtype) == name_of(b.dtype), f"{what}: dtype {a.dtype}, PyTorch's is {b.dtype}"
        if memory and a.numel() > 1:
            assert a.is_contiguous() == b.is_contiguous(), f"{what}: strides {a.stride()}, PyTorch's are {b.stride()}"
        rtol, atol = tolerance or TOLERANCE.get(name_of(b.dtype), (0, 0))
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(force=True), rtol=rtol, atol=atol, err_msg=what)
