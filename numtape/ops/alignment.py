"""Connectionist temporal classification: the likelihood of a sequence of labels over all its alignments with a longer input."""

from __future__ import annotations

from numtape import dtypes
from numtape.ops.arithmetic import maximum
from numtape.ops.creation import arange
from numtape.ops.define import formula
from numtape.ops.exponential import exp, log
from numtape.ops.index import cat, gather, index_select, stack
from numtape.ops.scan import cumsum
from numtape.ops.select import where

NEVER = -1e30  # the logarithm of a probability of 0; finite, so that differences of two stay numbers


def _weighed(x, y, z, barrier):
    """The three terms of `_alignment_step`, less the largest of them, and the largest."""
    z = z + barrier
    top = maximum(maximum(x, y), z)
    return x - top, y - top, z - top, top


def _share(k):
    def rule(g, x, y, z, barrier):
        *terms, _ = _weighed(x, y, z, barrier)
        return g * exp(terms[k]) / (exp(terms[0]) + exp(terms[1]) + exp(terms[2]))

    return rule


@formula(vjp=(_share(0), _share(1), _share(2), _share(2), lambda g: g), inplace=False, method=False, floats=True)
def _alignment_step(x, y, z, barrier, emission):
    "log(e**x + e**y + e**(z + barrier)) + emission: the ways to stand at a label, from it, the one before, or the one before that."
    a, b, c, top = _weighed(x, y, z, barrier)
    return log(exp(a) + exp(b) + exp(c)) + (top + emission)


def padded_targets(targets, lengths, longest):
    """Labels one after another, as one row for each item."""
    starts = cumsum(lengths, 0) - lengths
    places = arange(longest, device=targets.device)
    places = where(places < lengths.unsqueeze(1), starts.unsqueeze(1) + places, 0)
    return index_select(targets, 0, places.reshape(-1)).reshape(places.shape)


def log_likelihood(scores, labels, input_lengths, label_lengths, blank):
    """The log likelihood of each row of labels (N, S), by the log probabilities (T, N, C), over all alignments. Graves et al. 2006.

    One step of a few kernels for each of the T times; each keeps what its derivative needs."""
    times, batch, _ = scores.shape
    longest = labels.shape[1]
    blanks = labels * 0 + blank
    states = cat([stack([blanks, labels], 2).reshape(batch, 2 * longest), blanks.new_full((batch, 1), blank)], 1)  # blank, label, blank, ...
    count = 2 * longest + 1
    place = arange(count, device=scores.device)
    emissions = gather(scores, 2, states.unsqueeze(0).expand(times, batch, count))
    before = cat([states.new_full((batch, 2), blank), states], 1).narrow(1, 0, count)
    barrier = where((states != blank) & (states != before), 0.0, NEVER).to(scores.dtype)  # what may be come to from two before
    wall = emissions.new_full((batch, 2), NEVER)
    alpha = where(place < 2, emissions.select(0, 0), NEVER)
    for t in range(1, times):
        known = cat([wall, alpha], 1)
        moved = _alignment_step(alpha, known.narrow(1, 1, count), known.narrow(1, 0, count), barrier, emissions.select(0, t))
        alpha = where((input_lengths > t).unsqueeze(1), moved, alpha)
    last = (2 * label_lengths).unsqueeze(1)
    ends = gather(cat([wall.narrow(1, 0, 1), alpha], 1), 1, cat([last, last + 1], 1))  # at the last label, or at the blank behind it
    top = maximum(ends.select(1, 0), ends.select(1, 1))
    found = log((ends - top.unsqueeze(1)).exp().sum(1)) + top
    found = where((input_lengths == 0) & (label_lengths == 0), 0.0, found)
    return where((found < NEVER / 2) | (input_lengths == 0) & (label_lengths > 0), float("-inf"), found)


INTEGERS = (dtypes.int64, dtypes.int32)
