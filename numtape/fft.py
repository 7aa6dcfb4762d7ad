"""Fourier transforms under the names of `torch.fft`.

>>> import numtape as nt
>>> nt.fft.fft(nt.tensor([1.0, 2.0, 3.0, 4.0]))
tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
>>> nt.fft.irfft(nt.fft.rfft(nt.tensor([1.0, 2.0, 3.0])), n=3)
tensor([1., 2., 3.])
"""

from numtape.ops.fourier import *  # noqa: F403
from numtape.ops.fourier import __all__  # noqa: F401
