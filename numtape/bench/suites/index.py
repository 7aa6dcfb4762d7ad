"""The suite `index`: reading and writing by places, joins, draws."""

from __future__ import annotations

from numtape.bench.cases import Case


def cases() -> list[Case]:
    """Against PyTorch."""
    return []
