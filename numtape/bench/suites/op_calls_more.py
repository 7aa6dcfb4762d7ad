"""What the suite `ops` calls: complex numbers, transforms, factorizations and rarer functions, at their natural sizes."""

from __future__ import annotations

import numpy as np

from numtape.bench.suites.op_calls import BIG, MATRIX, SMALL, VECTOR, Make, add, f, ints, pos, shuffled, spd


def c(*shape: int) -> Make:
    """Complex numbers."""
    return lambda: (f(*shape)() + 1j * f(*shape, seed=1)()).astype(np.complex64)


# ------------------------------------------------------------------------------------------------ complex numbers
add("complex", lambda m, x, y: m.complex(x, y), VECTOR, f(BIG, seed=1))
add("polar", lambda m, x, y: m.polar(x, y), pos(BIG), f(BIG))
add("real", lambda m, x: m.real(x), c(BIG))
add("imag", lambda m, x: m.imag(x), c(BIG))
add("view_as_real", lambda m, x: m.view_as_real(x), c(BIG))
add("view_as_complex", lambda m, x: m.view_as_complex(x), f(BIG, 2))

# ------------------------------------------------------------------------------------------------ transforms
for _name in ("fft", "ifft", "hfft"):
    add(f"fft_{_name}", lambda m, x, name=_name: getattr(m.fft, name)(x), c(256, 1024))
add("fft_rfft", lambda m, x: m.fft.rfft(x), f(256, 1024))
add("fft_ihfft", lambda m, x: m.fft.ihfft(x).abs(), f(256, 1024))
for _name in ("fft2", "ifft2", "fftn", "ifftn", "irfft", "irfft2", "irfftn", "hfft2", "hfftn"):
    add(f"fft_{_name}", lambda m, x, name=_name: getattr(m.fft, name)(x), c(256, 257))
for _name in ("rfft2", "rfftn", "ihfft2", "ihfftn", "fftshift", "ifftshift"):
    add(f"fft_{_name}", lambda m, x, name=_name: getattr(m.fft, name)(x), f(256, 256))
for _name in ("fftfreq", "rfftfreq"):
    add(f"fft_{_name}", lambda m, name=_name: getattr(m.fft, name)(BIG))
add("stft", lambda m, x, w: m.stft(x, 256, 64, window=w, return_complex=True), f(8, 16384), pos(256))
add("istft", lambda m, x, w: m.istft(x, 256, 64, window=w), c(8, 129, 257), pos(256))

# ------------------------------------------------------------------------------------------------ factorizations
add("linalg_lu", lambda m, x: m.linalg.lu(x)[2].abs(), spd(128, 128))
add("linalg_lu_factor", lambda m, x: m.linalg.lu_factor(x)[0], spd(128, 128))
add("linalg_lu_solve", lambda m, x, y: m.linalg.lu_solve(*m.linalg.lu_factor(x), y), spd(128, 128), f(128, 16))
add("lu_unpack", lambda m, x: m.lu_unpack(*m.linalg.lu_factor(x))[1], spd(128, 128))
add("geqrf", lambda m, x: m.geqrf(x)[0].abs(), f(128, 64))
add("linalg_householder_product", lambda m, x: m.linalg.householder_product(*m.geqrf(x)).abs(), f(64, 32))
add("ormqr", lambda m, x, y: m.ormqr(*m.geqrf(x), y), f(64, 32), f(64, 16))
add("linalg_tensorinv", lambda m, x: m.linalg.tensorinv(x.reshape(4, 8, 4, 8)), spd(32, 32))
add("linalg_tensorsolve", lambda m, x, y: m.linalg.tensorsolve(x.reshape(4, 8, 32), y), spd(32, 32), f(4, 8))
add("svd_lowrank", lambda m, x: m.svd_lowrank(x, 4)[1].sum(), f(128, 64), exact=False)
add("pca_lowrank", lambda m, x: m.pca_lowrank(x, 4)[1].sum(), f(128, 64), exact=False)
add("nuclear_norm", lambda m, x: m.nuclear_norm(x), f(64, 64))
add("frobenius_norm", lambda m, x: m.frobenius_norm(x, (0, 1)), MATRIX)
add("norm_except_dim", lambda m, x: m.norm_except_dim(x, 2, 0), MATRIX)
add("renorm", lambda m, x: m.renorm(x, 2, 0, 5.0), MATRIX)

# ------------------------------------------------------------------------------------------------ others
add("frexp", lambda m, x: m.frexp(x)[0], VECTOR)
add("gradient", lambda m, x: m.gradient(x)[0], MATRIX)
add("histogramdd", lambda m, x: m.histogramdd(x, (16, 16)).hist, f(1 << 16, 2))
add("index_reduce", lambda m, x, i, y: m.index_reduce(x, 0, i, y, "amax"), MATRIX, ints(1024, 512), f(512, 1024, seed=1))
add("nonzero_static", lambda m, x: m.nonzero_static(x > 0, size=1024), SMALL)
add("unravel_index", lambda m, x: m.unravel_index(x.long(), (1024, 1024))[0], shuffled(BIG))
add("empty_strided", lambda m: m.empty_strided((64, 64), (1, 64)), label="small", exact=False)
add("empty_permuted", lambda m: m.empty_permuted((64, 64), (1, 0)), label="small", exact=False)
add("asarray", lambda m, x: m.asarray(x), SMALL, label="small")
