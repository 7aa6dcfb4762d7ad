"""`--baseline FILE`: this run against an earlier one, by the ratios to a peer where both have one, else by our own times.

A ratio to a peer that ran in turns with us hardly depends on what else the machine did, so runs of different days can be compared; times cannot.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numtape.bench.arguments import UsageError
from numtape.bench.report import SCHEMA
from numtape.bench.runner import Result

FAIL_BELOW = 0.8


@dataclass(frozen=True)
class Change:
    """One case against the baseline: by what it is compared (a peer, or "time"), both figures, and how the speed changed (above 1: faster)."""

    case: str
    by: str
    before: float
    now: float

    @property
    def speed(self) -> float:
        return self.before / self.now if self.by == "time" else self.now / self.before

    def __str__(self) -> str:
        unit = " s" if self.by == "time" else f" x {self.by}"
        return f"{self.case}: {self.now:.3g}{unit}, {self.before:.3g}{unit} in the baseline; {self.speed:.2f} of its speed"


Baseline = dict[str, dict[str, Any]]  # by case: the engines' figures


def read(path: str) -> Baseline:
    """The cases of an earlier `--json` file."""
    try:
        document = json.loads(pathlib.Path(path).read_text())
    except OSError as problem:
        raise UsageError(f"--baseline: cannot read {path}: {problem.strerror}") from None
    except ValueError:
        raise UsageError(f"--baseline: {path} is not JSON; expected a file that --json wrote") from None
    if not isinstance(document, dict) or not isinstance(document.get("cases"), list) or "schema" not in document:
        raise UsageError(f"--baseline: {path} was not written by --json of numtape.bench")
    if document["schema"] != SCHEMA:
        raise UsageError(f"--baseline: {path} has schema {document['schema']!r}, this version reads {SCHEMA}; measure the baseline again")
    try:
        found = {case["name"]: case["engines"] for case in document["cases"] if case["engines"]["numtape"]["median_s"] > 0}
    except (KeyError, TypeError):
        raise UsageError(f"--baseline: {path} has cases without figures of numtape; it was cut short, or was not written by --json") from None
    return found


def compare(results: Sequence[Result], baseline: Baseline) -> list[Change]:
    """The cases that both runs have, one line for each peer that both have."""
    changes = []
    for result in results:
        before = baseline.get(result.case.name)
        if before is None or result.ours is None:
            continue
        peers = [name for name in result.timings if name != "numtape" and before.get(name, {}).get("ratio_to_numtape")]
        if not peers:
            changes.append(Change(result.case.name, "time", before["numtape"]["median_s"], result.ours.median))
        changes += [Change(result.case.name, name, before[name]["ratio_to_numtape"], result.ratio(name) or 0.0) for name in peers]
    return changes
