"""With NUMBA_DISABLE_JIT=1 the same kernels run as plain Python, to be stepped through; compared with NumPy."""

import os
import pathlib
import subprocess
import sys

import numtape as nt

PROGRAM = """
import sys
import numpy as np
import numtape as nt

rng = np.random.default_rng(0)
a, b, c = rng.standard_normal((3, 4)).astype("f4"), rng.standard_normal(4).astype("f4"), rng.standard_normal((4, 2)).astype("f4")
x, y, z = (nt.from_numpy(v.copy()) for v in (a, b, c))
near = lambda found, expected: np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=1e-6)

near(x * 2 + y, a * 2 + b)
near(x.exp().t(), np.exp(a).T)
near(x[:, ::2].tanh(), np.tanh(a[:, ::2]))
near(nt.where(x > 0, x, 0.0), np.maximum(a, 0))
near((x > 0) & (y < 0), (a > 0) & (b < 0))
near(x.sum(), a.sum())
near(x.sum(0), a.sum(0))
near(x.amax(1), a.max(1))
near(x.softmax(1), np.exp(a) / np.exp(a).sum(1, keepdims=True))
wide = np.tile(a, (3, 3))
near(nt.from_numpy(wide).softmax(0), np.exp(wide) / np.exp(wide).sum(0))
near(nt.from_numpy(wide).t().contiguous(), wide.T)
near(x.argmax(1), a.argmax(1))
near(x.cumsum(1), a.cumsum(1))
near(x @ z, a @ c)
near(nt.arange(5) + 1, np.arange(1, 6))
near(nt.cat([x, x * 2]), np.concatenate([a, a * 2]))
x.add_(1)
near(x, a + 1)

x = nt.from_numpy(a.copy()).requires_grad_()
((x @ z).relu() * 2).sum().backward()
near(x.grad, 2 * ((a @ c) > 0) @ c.T)
x.grad = None
x.softmax(1)[:, 0].sum().backward()
p = np.exp(a) / np.exp(a).sum(1, keepdims=True)
near(x.grad, p[:, :1] * (np.eye(4)[0] - p))
assert nt.kernels.compilations() == 0
"""


def test_plain_python():
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(pathlib.Path(nt.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
