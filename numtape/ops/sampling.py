"""Draws from distributions: categories, counts, waiting times. Philox, so that a seed gives the same bits on any number of threads."""

from __future__ import annotations

import builtins
import math

from numtape import dtypes, random
from numtape.autograd import mode
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous, tensor_of
from numtape.ops.counting import searchsorted
from numtape.ops.creation import zeros_like
from numtape.ops.define import composite
from numtape.ops.random import _fill_in_place, _float_only, _normal, _uniform, rand
from numtape.ops.sort import topk
from numtape.spec import spec_of
from numtape.tensor import Tensor, empty


@composite(random=True)
def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    "Positions drawn with the probabilities that a vector (or each row of a matrix) is proportional to."
    x = tensor_of("multinomial", input)
    if x._spec.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got shape {tuple(x.shape)}")
    if not x._spec.dtype.is_floating_point:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {x._spec.dtype.name}")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    n = x._spec.shape[-1]
    if not replacement and num_samples > n:
        raise RuntimeError(f"multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement: {num_samples} of {n}")
    p = x.detach()
    if builtins.bool((~((p >= 0) & (p < math.inf))).any()):
        raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
    enough = (p > 0).sum(-1)
    if builtins.bool((enough < (1 if replacement else num_samples)).any()):
        raise RuntimeError(
            "multinomial: invalid multinomial distribution (sum of probabilities <= 0)" if replacement or not builtins.bool(enough.all())
            else "multinomial: invalid multinomial distribution (with replacement=False, not enough non-negative category to sample)"
        )  # fmt: skip
    if replacement:
        heaps = p.to(dtypes.float64).cumsum(-1)
        u = rand(*p.shape[:-1], num_samples, dtype=dtypes.float64, device=p.device, generator=generator)
        result = searchsorted(heaps, u * (1 - 2.0**-50) * heaps[..., -1:], right=True)
    else:  # the first arrivals of processes with these rates
        waiting = exponential_(empty(spec_of(p._spec.dtype, p._spec.device, p._spec.shape), "multinomial"), generator=generator)
        result = topk(p / p.amax(-1, True) / waiting, num_samples).indices
    return result if out is None else into("multinomial", result, out)


@composite(random=True)
def poisson(input, generator=None):
    "Whole numbers of the Poisson distributions whose rates are the elements, in the dtype of the input."
    x = tensor_of("poisson", input)
    if not x._spec.dtype.is_floating_point:
        raise RuntimeError(f"poisson: not supported for {x._spec.dtype.name} tensors; convert to floating point first")
    if not builtins.bool((x.detach() >= 0).all()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    if x._spec.dtype.is_half:
        return poisson(x.float(), generator).to(x._spec.dtype)
    rates, s = contiguous(x.detach()), x._spec
    result = empty(spec_of(s.dtype, s.device, s.shape), "poisson")
    if s.numel:
        with placing(s.device):
            table = pattern(s.device, "sampling").poisson(s.dtype.code, s.numel)
        launch(table.address, result._address, rates._address, *random.generator_of(s.device, generator, "poisson").draw())
    return recorded(result, "poisson", (x,), lambda node, g: (zeros_like(g),))


# ------------------------------------------------------------------------------------------------ in place
def _filled(self: Tensor, name: str, generator, change) -> Tensor:
    """Fill with uniform numbers in [0, 1), changed in place."""

    def draw(t):
        with mode.no_grad():
            change(_uniform(t, 0, 1, generator, name))

    return _fill_in_place(self, draw, name)


def exponential_(self, lambd=1, *, generator=None):
    """Fill with waiting times of rate lambd, which are never 0."""
    _float_only("exponential_", self._spec)
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    least = dtypes.finfo(self._spec.dtype).eps / 2
    return _filled(self, "exponential_", generator, lambda t: t.neg_().log1p_().neg_().clamp_(min=least).div_(lambd))


def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Fill with numbers of the Cauchy distribution."""
    _float_only("cauchy_", self._spec)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    return _filled(self, "cauchy_", generator, lambda t: t.sub_(0.5).mul_(math.pi).tan_().mul_(sigma).add_(median))


def log_normal_(self, mean=1, std=2, *, generator=None):
    """Fill with exponentials of normal numbers of this mean and standard deviation."""
    _float_only("log_normal_", self._spec)
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")

    def draw(t):
        with mode.no_grad():
            _normal(t, mean, std, generator, "log_normal_").exp_()

    return _fill_in_place(self, draw, "log_normal_")


def geometric_(self, p, *, generator=None):
    """Fill with the number of trials, each with probability p, until one succeeds."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    if self._spec.dtype is dtypes.bool:
        raise RuntimeError("geometric_: not supported for bool tensors")
    change = lambda t: t.neg_().log1p_().div_(math.log1p(-p)).ceil_().clamp_(min=1)
    if self._spec.dtype.is_floating_point:
        return _filled(self, "geometric_", generator, change)
    draw = rand(*self.shape, dtype=dtypes.float64, device=self.device, generator=generator)
    return self.copy_(change(draw))


METHODS = {"exponential_": exponential_, "cauchy_": cauchy_, "log_normal_": log_normal_, "geometric_": geometric_}
FUNCTION_ONLY = {"poisson"}
