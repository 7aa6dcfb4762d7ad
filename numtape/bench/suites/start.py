"""The suite `start`: a fresh process, until the import is done and until a first gradient is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from numtape.bench.cases import Case, per_engine
from numtape.bench.engines import installed

FIRST_GRADIENT = {
    "numtape": "import numtape as nt; x = nt.ones(8, requires_grad=True); ((x * x + x) * 0.5).sum().backward(); x.grad.tolist()",
    "torch": "import torch; x = torch.ones(8, requires_grad=True); ((x * x + x) * 0.5).sum().backward(); x.grad.tolist()",
    "jax": "import jax, jax.numpy as np; jax.jit(jax.grad(lambda x: ((x * x + x) * 0.5).sum()))(np.ones(8)).tolist()",
}


def _process(code: str) -> Callable[[], Any]:
    return partial(subprocess.run, [sys.executable, "-c", code], check=True, capture_output=True)


def cases() -> list[Case]:
    """A fresh process: until the import is done, and until a first gradient is there. The caches of all are warm."""
    imports = {e: partial(lambda code, engine: _process(code), f"import {e}") for e in ("numtape", "numpy", "torch", "jax")}
    gradients = {e: partial(lambda code, engine: _process(code), code) for e, code in FIRST_GRADIENT.items() if installed(e)}
    return [
        Case("start", "import", per_engine(**imports), process=True),
        Case("start", "first-gradient", per_engine(**gradients), process=True),
    ]
