"""The standard's Fourier transforms."""

from __future__ import annotations

import numtape as nt

_ALONG = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn")
__all__ = [*_ALONG, *_SEVERAL, "fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def _along(name):
    def transform(x, /, *, n=None, axis=-1, norm="backward"):
        return getattr(nt.fft, name)(x, n, axis, norm)

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"`numtape.fft.{name}` along an axis."
    return transform


def _several(name):
    def transform(x, /, *, s=None, axes=None, norm="backward"):
        return getattr(nt.fft, name)(x, s, axes, norm)

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"`numtape.fft.{name}` over several axes."
    return transform


globals().update({_name: _along(_name) for _name in _ALONG} | {_name: _several(_name) for _name in _SEVERAL})


def fftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies of a transform of n samples at distance d."""
    return nt.fft.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies of a transform of n real samples at distance d."""
    return nt.fft.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x, /, *, axes=None):
    """The frequency zero moved to the middle."""
    return nt.fft.fftshift(x, axes)


def ifftshift(x, /, *, axes=None):
    """The frequency zero moved back to the front."""
    return nt.fft.ifftshift(x, axes)
