"""DLPack and the CUDA array interface: shared memory, lifetimes, streams, refusals."""

import gc

import numpy as np
import pytest

import numtape as nt
from numtape import interop
from numtape.dtypes import SUPPORTED


@pytest.fixture(autouse=True)
def nothing_is_kept():
    """Whatever a test exports is given back by the end of it."""
    before = len(interop._exported)
    yield
    gc.collect()
    assert len(interop._exported) == before


@pytest.mark.parametrize("kind", [d for d in SUPPORTED if d.numpy is not None], ids=str)
def test_numpy_both_ways(kind):
    a = np.ones((3, 4), kind.numpy)
    t = nt.from_dlpack(a)
    assert t.dtype is kind and t.shape == (3, 4) and t.data_ptr() == a.ctypes.data
    t.zero_()
    assert not a.any()
    back = np.from_dlpack(t.T[1:])
    assert back.shape == (3, 3) and back.dtype == kind.numpy and back.base is not None
    t.fill_(1)
    assert back.all()


def test_torch_both_ways(torch):
    theirs = torch.arange(12.0).reshape(3, 4)[:, ::2]
    mine = nt.from_dlpack(theirs)
    assert mine.stride() == tuple(theirs.stride()) and mine.tolist() == theirs.tolist()
    mine.mul_(2)
    assert theirs[2, 1].item() == 20
    again = torch.from_dlpack(mine.T)
    assert again.data_ptr() == theirs.data_ptr() and tuple(again.shape) == (2, 3)
    assert torch.from_dlpack(nt.zeros(0, 3)).shape == (0, 3) and torch.from_dlpack(nt.tensor(2.5)).item() == 2.5


def test_memory_lives_as_long_as_it_is_seen():
    a = np.arange(1000.0)
    t = nt.from_dlpack(a)
    del a
    gc.collect()
    assert t.sum().item() == 499500
    b = np.from_dlpack(nt.arange(1000))
    gc.collect()
    assert b.sum() == 499500


def test_a_capsule_serves_once():
    capsule = nt.ones(3).__dlpack__()
    assert nt.from_dlpack(capsule).tolist() == [1, 1, 1]
    with pytest.raises(BufferError, match="used before"):
        nt.from_dlpack(capsule)
    unused = nt.ones(3).__dlpack__()
    del unused


def test_copies_and_devices():
    a = np.zeros(3)
    nt.from_dlpack(a, copy=True).fill_(1)
    assert not a.any()
    moved = nt.from_dlpack(a, device="cuda")
    assert moved.is_cuda and moved.tolist() == [0, 0, 0]
    with pytest.raises(BufferError, match="copy=False"):
        nt.from_dlpack(a, device="cuda", copy=False)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nt.ones(2, requires_grad=True).__dlpack__(), BufferError, "require gradient"),
        (lambda: nt.ones(2).__dlpack__(stream=1), BufferError, "no stream"),
        (lambda: nt.ones(2).__dlpack__(dl_device=(2, 0)), BufferError, "move it"),
        (lambda: nt.from_dlpack([1, 2]), TypeError, "__dlpack__"),
        (lambda: nt.from_dlpack(np.zeros(3)[::-1]), BufferError, "negative strides"),
        (lambda: nt.ones(2).__cuda_array_interface__, AttributeError, "non-CUDA"),
        (lambda: nt.ones(2, device="cuda", requires_grad=True).__cuda_array_interface__, RuntimeError, "requires grad"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()


class Lent:
    """An object of another library with memory on a card."""

    def __init__(self, memory):
        self.memory, self.__cuda_array_interface__ = memory, memory.__cuda_array_interface__


@pytest.mark.gpu
def test_the_cuda_array_interface():
    t = nt.arange(12.0, device="cuda").reshape(3, 4)
    given = t.T.__cuda_array_interface__
    assert given["shape"] == (4, 3) and given["strides"] == (4, 16) and given["typestr"] == "<f4" and given["version"] == 3 and given["stream"] not in (None, 0)
    lent = Lent(t.T)
    address = t.data_ptr()
    del t
    same = nt.as_tensor(lent)
    same.add_(1)
    assert nt.tensor(lent).data_ptr() != address == same.data_ptr()
    del lent
    gc.collect()
    assert same.stride() == (1, 4) and same.tolist() == np.arange(1.0, 13).reshape(3, 4).T.tolist()
    assert not hasattr(nt.ones(1), "__cuda_array_interface__")


@pytest.mark.gpu
@pytest.mark.parametrize("stream", [None, 1, 2, -1])
def test_dlpack_on_a_card(stream):
    t = nt.ones(5, device="cuda")
    assert t.__dlpack_device__() == (2, 0)
    u = nt.from_dlpack(t.__dlpack__(stream=stream))
    u.mul_(3)
    assert t.tolist() == [3] * 5 and nt.from_dlpack(t).data_ptr() == t.data_ptr()


@pytest.mark.gpu
def test_peers_on_a_card(torch):
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no card")
    theirs = torch.arange(6.0, device="cuda")
    mine = nt.from_dlpack(theirs)
    mine.add_(1)
    nt.cuda.synchronize()
    assert theirs.tolist() == [1, 2, 3, 4, 5, 6]
    assert torch.as_tensor(mine, device="cuda").data_ptr() == mine.data_ptr()
    assert torch.from_dlpack(mine * 2).tolist() == [2, 4, 6, 8, 10, 12]
