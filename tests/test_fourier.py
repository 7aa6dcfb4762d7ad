"""`numtape.fft` where the table's samples do not drive it: errors as PyTorch's, dtypes, `out=`, properties."""

import numpy as np
import pytest
from compare import equal, outcome

import numtape as nt

CALLS = {
    "norm": lambda m, x, z: m.fft.fft(x, norm="bad"),
    "no points": lambda m, x, z: m.fft.fft(x, 0),
    "negative": lambda m, x, z: m.fft.ifft(x, -2),
    "complex rfft": lambda m, x, z: m.fft.rfft(z),
    "complex ihfft": lambda m, x, z: m.fft.ihfft(z),
    "dim": lambda m, x, z: m.fft.fft(x, dim=2),
    "same dims": lambda m, x, z: m.fft.fftn(x, dim=(0, 0)),
    "lengths": lambda m, x, z: m.fft.fftn(x, s=(2,), dim=(0, 1)),
    "many sizes": lambda m, x, z: m.fft.fftn(x, s=(2, 3, 4)),
    "no dims": lambda m, x, z: m.fft.irfftn(z, dim=()),
    "zero dims": lambda m, x, z: m.fft.fft(m.tensor(1.0)),
    "half": lambda m, x, z: m.fft.fft(x.half()),
    "one place": lambda m, x, z: m.fft.irfft(x[:, :1]),
    "list": lambda m, x, z: m.fft.fft([1.0]),
    "float size": lambda m, x, z: m.fft.fft(x, n=2.5),
    "freq": lambda m, x, z: m.fft.fftfreq(-1),
    "freq int": lambda m, x, z: m.fft.fftfreq(5, dtype=m.int64),
    "out": lambda m, x, z: m.fft.fft(x, out=m.empty(0)),
    # and what is allowed
    "nothing to do": lambda m, x, z: m.fft.fftn(x, dim=()),
    "of a number": lambda m, x, z: m.fft.fftn(m.tensor(1.0)),
    "whole": lambda m, x, z: m.fft.fft(x.long()),
    "bool": lambda m, x, z: m.fft.rfft(x.bool()),
    "double": lambda m, x, z: m.fft.fft(x.double()),
    "written": lambda m, x, z: m.fft.fft(x, out=m.empty((4, 5), dtype=m.complex64)),
    "one number": lambda m, x, z: m.fft.irfft(z, 1),
    "size": lambda m, x, z: m.fft.fftn(x, s=3),
    "frequencies": lambda m, x, z: m.fft.fftfreq(5, 2, dtype=m.float64),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_pytorch(torch, name):
    found = []
    for m in (nt, torch):
        x = m.from_numpy(np.random.default_rng(3).standard_normal((4, 5)).astype(np.float32))
        found.append(outcome(lambda m=m, x=x: CALLS[name](m, x, m.complex(x, x.flip(0)))))
    equal(*found, name, memory=False)


def test_there_and_back():
    x = nt.from_numpy(np.random.default_rng(4).standard_normal((3, 7, 6)))
    z = nt.complex(x, x.flip(0))
    for n in range(1, 9):
        cut = nt.nn.functional.pad(x, (0, n - 6))
        assert nt.allclose(nt.fft.irfft(nt.fft.rfft(x, n), n), cut)
        assert nt.allclose(nt.fft.hfft(nt.fft.ihfft(x, n), n), cut)
    assert nt.allclose(nt.fft.ifftn(nt.fft.fftn(z, norm="ortho"), norm="ortho"), z)
    assert nt.allclose(nt.fft.ifftshift(nt.fft.fftshift(z)), z)
    assert nt.allclose((nt.fft.fft(z, norm="ortho").abs() ** 2).sum(), (z.abs() ** 2).sum())  # Parseval's theorem
