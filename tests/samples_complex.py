"""Samples of ops/complex.py, of real tensors that the samples make complex, and whose results are seen as real: so they drive all tests."""

import numpy as np


def data(*shape, seed=0):
    values = np.random.default_rng([81, seed, *shape]).uniform(-3.0, 3.0, shape)
    return np.where(abs(values) < 0.2, values + 0.5, values)


def seen(m, z):
    """A complex result as pairs of real numbers."""
    return m.view_as_real(z.resolve_conj().contiguous())


def of(name):
    """What a function makes of complex numbers."""
    return lambda m, s, t: seen(m, getattr(m, name)(m.complex(s, t)))


x, y, pairs = data(4, 5), data(4, 5, seed=1), data(3, 4, 2)
SAMPLES = {
    "conj": [("", of("conj"), (x, y)), ("real", lambda m, t: m.conj(t), (x,))],
    "angle": [("", lambda m, s, t: m.angle(m.complex(s, t)).contiguous(), (x, y)), ("real", lambda m, t: m.angle(t), (x,))],
    "sgn": [("", of("sgn"), (x, y)), ("real", lambda m, t: m.sgn(t), (x,))],
    "_real_part": [("", lambda m, s, t: m.complex(s, t).abs().square(), (x, y))],
    "_imag_part": [("", lambda m, s, t: (m.complex(s, t).angle() + 1).contiguous(), (x, y))],
    "_complex_of": [("", lambda m, s, t: seen(m, m.complex(s, t)), (x, y)), ("row", lambda m, s, t: seen(m, m.complex(s, t)), (x, y[0].copy()))],
    "complex": [("", lambda m, s, t: seen(m, m.complex(s, t)), (x, y)), ("exp", lambda m, s, t: seen(m, m.complex(s, t).exp()), (x, y))],
    "polar": [("", lambda m, s, t: seen(m, m.polar(s, t)), (abs(x), y)), ("sum", lambda m, s, t: seen(m, m.polar(s, t).sum(0)), (abs(x), y))],
    "real": [("", lambda m, s, t: m.real(m.complex(s, t)), (x, y)), ("of a product", lambda m, s, t: (m.complex(s, t) ** 2).real, (x, y)), ("real", lambda m, t: m.real(t), (x,))],
    "imag": [("", lambda m, s, t: m.imag(m.complex(s, t)), (x, y)), ("of a quotient", lambda m, s, t: (1 / m.complex(s, t)).imag, (x, y))],
    "view_as_real": [("", lambda m, s, t: m.view_as_real(m.complex(s, t)), (x, y)), ("transposed", lambda m, s, t: m.view_as_real(m.complex(s, t).t()), (x, y))],
    "view_as_complex": [("", lambda m, t: m.view_as_complex(t.contiguous()).abs(), (pairs,)), ("product", lambda m, t: (m.view_as_complex(t.contiguous()) * (2 - 1j)).imag, (pairs,))],
}
