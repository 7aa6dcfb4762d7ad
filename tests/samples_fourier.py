"""Samples of `numtape.fft`, seen as real numbers, so that they drive the tests of gradients too."""

import numpy as np


def data(*shape, seed=0):
    return np.random.default_rng([91, seed, *shape]).standard_normal(shape)


def seen(m, z):
    return m.view_as_real(z.resolve_conj().contiguous()) if z.is_complex() else z.contiguous()


def of(name, *args, **options):
    """A transform of complex numbers."""
    return lambda m, s, t: seen(m, getattr(m.fft, name)(m.complex(s, t), *args, **options))


def real(name, *args, **options):
    """A transform of real numbers."""
    return lambda m, t: seen(m, getattr(m.fft, name)(t, *args, **options))


x, y, cube = data(3, 4), data(3, 4, seed=1), data(2, 3, 5)
SAMPLES = {
    "fft_fft": [("", of("fft"), (x, y)), ("cut", of("fft", 3, 0, "ortho"), (x, y)), ("longer", real("fft", n=7, norm="forward"), (x,)), ("cube", real("fft", dim=1), (cube,))],
    "fft_ifft": [("", of("ifft"), (x, y)), ("cut", of("ifft", 2, 0, "ortho"), (x, y)), ("longer", real("ifft", n=7, norm="forward"), (x,))],
    "fft_rfft": [("", real("rfft"), (x,)), ("odd", real("rfft", 3, 0, "ortho"), (x,)), ("longer", real("rfft", n=7, norm="forward"), (x,)), ("cube", real("rfft", dim=1), (cube,))],
    "fft_irfft": [("", of("irfft"), (x, y)), ("odd", of("irfft", 5, norm="ortho"), (x, y)), ("longer", real("irfft", n=9, norm="forward"), (x,)), ("first", of("irfft", dim=0), (x, y))],
    "fft_hfft": [("", of("hfft"), (x, y)), ("odd", of("hfft", 5, norm="ortho"), (x, y)), ("forward", of("hfft", norm="forward"), (x, y))],
    "fft_ihfft": [("", real("ihfft"), (x,)), ("odd", real("ihfft", 3, 0, "ortho"), (x,)), ("forward", real("ihfft", norm="forward"), (x,))],
    "fft_fftn": [("", of("fftn"), (x, y)), ("sizes", real("fftn", (2, -1), (2, 0), "ortho"), (cube,)), ("last", of("fftn", (6,)), (x, y))],
    "fft_ifftn": [("", of("ifftn"), (x, y)), ("sizes", real("ifftn", (2, 4), (2, 0), "ortho"), (cube,))],
    "fft_rfftn": [("", real("rfftn"), (x,)), ("sizes", real("rfftn", (2, 3), (2, 0), "ortho"), (cube,))],
    "fft_irfftn": [("", of("irfftn"), (x, y)), ("sizes", of("irfftn", (4, 5), (1, 0), "forward"), (x, y))],
    "fft_hfftn": [("", of("hfftn"), (x, y)), ("sizes", of("hfftn", (4, 5), (1, 0), "ortho"), (x, y))],
    "fft_ihfftn": [("", real("ihfftn"), (x,)), ("sizes", real("ihfftn", (2, 3), (2, 0), "forward"), (cube,))],
    "fft_fft2": [("", of("fft2"), (x, y)), ("cube", real("fft2", dim=(0, 1)), (cube,))],
    "fft_ifft2": [("", of("ifft2"), (x, y))],
    "fft_rfft2": [("", real("rfft2"), (x,))],
    "fft_irfft2": [("", of("irfft2"), (x, y))],
    "fft_hfft2": [("", of("hfft2"), (x, y))],
    "fft_ihfft2": [("", real("ihfft2"), (x,))],
    "fft_fftfreq": [("", lambda m, t: m.fft.fftfreq(5, device=t.device), (x,)), ("even", lambda m, t: m.fft.fftfreq(6, 0.5, dtype=m.float64, device=t.device), (x,)), ("none", lambda m, t: m.fft.fftfreq(0, device=t.device), (x,))],
    "fft_rfftfreq": [("", lambda m, t: m.fft.rfftfreq(5, device=t.device), (x,)), ("even", lambda m, t: m.fft.rfftfreq(6, d=2.0, dtype=m.float64, device=t.device), (x,))],
    "fft_fftshift": [("", real("fftshift"), (x,)), ("one", real("fftshift", 1), (cube,)), ("two", real("fftshift", (0, 2)), (cube,))],
    "fft_ifftshift": [("", real("ifftshift"), (x,)), ("one", real("ifftshift", 1), (cube,))],
    # always with a window: PyTorch warns without one
    "stft": [
        ("", lambda m, t, w: seen(m, m.stft(t, 8, window=w, return_complex=True)), (data(2, 20), data(8))),
        ("of a vector", lambda m, t, w: seen(m, m.stft(t, 6, 2, 4, w, center=False, normalized=True, return_complex=True)), (data(20), data(4))),
        ("both sides", lambda m, t, w: seen(m, m.stft(t, 8, 3, window=w, pad_mode="constant", onesided=False, return_complex=True)), (data(2, 20), data(8))),
        ("complex", lambda m, s, t, w: seen(m, m.stft(m.complex(s, t), 8, window=w)), (data(20), data(20, seed=1), data(8))),
    ],
    "istft": [
        ("", lambda m, s, t, w: m.istft(m.complex(s, t), 8, window=w + 5), (data(5, 11), data(5, 11, seed=1), data(8))),
        ("window", lambda m, s, t, w: m.istft(m.complex(s, t), 6, 2, 4, w + 5, normalized=True, length=15), (data(2, 4, 9), data(2, 4, 9, seed=1), data(4))),
        ("complex", lambda m, s, t, w: seen(m, m.istft(m.complex(s, t), 6, 2, window=w + 5, onesided=False, return_complex=True)), (data(6, 7), data(6, 7, seed=1), data(6))),
    ],
}
