"""The suite `conv`: convolutions and pooling."""

from __future__ import annotations

from numtape.bench.cases import Case


def cases() -> list[Case]:
    """Against PyTorch."""
    return []
