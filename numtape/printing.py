"""Tensors as text, as PyTorch prints them."""

from __future__ import annotations

import numpy as np


def text(t) -> str:
    """The text of a tensor."""
    return f"tensor({np.array2string(t.detach().numpy(), separator=', ', prefix='tensor(')})"
