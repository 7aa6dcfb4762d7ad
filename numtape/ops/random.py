"""Random tensors: Philox, so that a seed gives the same bits on any number of threads."""

from __future__ import annotations

import builtins

from numtape import dtypes, random
from numtape.autograd import mode
from numtape.autograd.tape import needs_grad
from numtape.device import cpu
from numtape.dispatch.functions import into
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.complex import view_as_real
from numtape.ops.copy import tensor_of, write_into
from numtape.ops.creation import _finish, _like_spec, _spec, rarely
from numtape.ops.define import composite
from numtape.ops.view import sizes_of
from numtape.spec import spec_of
from numtape.tensor import Tensor, check_inplace
from numtape.tensor import empty as empty_of_spec


def _draw(target: Tensor, draw: str, parameters, generator, name: str) -> Tensor:
    """Fill a contiguous tensor with a draw: uniform, normal or integers."""
    s = target._spec
    if s.dtype.is_half:  # as float32, rounded; uniform numbers with as many bits as they have, so that none becomes 1
        low, high = parameters
        fresh = empty_of_spec(spec_of(dtypes.float32, s.device, s.shape), name)
        fresh = _draw(fresh, draw, (0.0, 1.0) if draw == "uniform" else parameters, generator, name)
        if draw == "uniform":
            steps = 2048.0 if s.dtype is dtypes.float16 else 256.0
            fresh = (fresh * steps).floor() * ((high - low) / steps) + low
        write_into(fresh, target, name)
        return target
    if s.dtype.is_complex:  # both parts, each with half of the variance
        low, high = parameters if draw == "uniform" else (parameters[0] / 2**0.5, parameters[1] / 2**0.5)
        _draw(view_as_real(target), draw, (low, high), generator, name)
        return target
    if s.numel:
        with placing(s.device):
            table = pattern(s.device, "random").table(name, draw, "u8" if s.dtype is dtypes.bool else s.dtype.code, s.numel)
        launch(table.address, target._address, *random.generator_of(s.device, generator, name).draw(), *parameters)
    return target


def _fill_in_place(self: Tensor, draw, name: str) -> Tensor:
    check_inplace(self, name)
    if mode.state.enabled and needs_grad(self):  # what it was computed from has no part in it any more
        fresh = empty_of_spec(spec_of(self._spec.dtype, self._spec.device, self._spec.shape), name)
        draw(fresh)
        return self.copy_(fresh)
    if self._spec.contiguous:
        draw(self)
    else:
        fresh = empty_of_spec(spec_of(self._spec.dtype, self._spec.device, self._spec.shape), name)
        draw(fresh)
        with mode.no_grad():
            self.copy_(fresh)
    self._storage.version += 1
    self._storage.writer = name
    return self


def _float_only(op, spec):
    if not spec.dtype.differentiable:
        raise RuntimeError(f"{op}: expected a floating-point dtype, got {spec.dtype.name}")
    return spec


def _uniform(t, low, high, generator, name):
    return _draw(t, "uniform", (float(low), float(high)), generator, name)


def _normal(t, mean, std, generator, name):
    return _draw(t, "normal", (float(mean), float(std)), generator, name)


def _integers(t, low, high, generator, name):
    if low >= high:
        raise RuntimeError(f"{name}: expects 'low' < 'high', got {low} >= {high}")
    bounds = dtypes.iinfo(dtypes.uint8 if t.dtype is dtypes.bool else t.dtype)
    if low < bounds.min or high - 1 > bounds.max:
        raise RuntimeError(f"{name}: the range [{low}, {high}) is out of bounds for {t.dtype.name}, which holds {bounds.min} to {bounds.max}")
    return _draw(t, "integers", (int(low), int(high)), generator, name)


@composite(creation=True, random=True)
def rand(*size, generator=None, dtype=None, device=None, requires_grad=False, out=None, layout=None, **rare):
    "Numbers uniform in [0, 1)."
    if rare or out is not None:
        return rarely(rand, size, out, dtype, device, requires_grad, rare, generator=generator)
    spec = _float_only("rand", _spec("rand", sizes_of("rand", size), dtype, device))
    return _finish(_uniform(empty_of_spec(spec, "rand"), 0, 1, generator, "rand"), requires_grad)


@composite(creation=True, random=True)
def randn(*size, generator=None, dtype=None, device=None, requires_grad=False, out=None, layout=None, **rare):
    "Numbers of the normal distribution with mean 0 and variance 1."
    if rare or out is not None:
        return rarely(randn, size, out, dtype, device, requires_grad, rare, generator=generator)
    spec = _float_only("randn", _spec("randn", sizes_of("randn", size), dtype, device))
    return _finish(_normal(empty_of_spec(spec, "randn"), 0, 1, generator, "randn"), requires_grad)


@composite(creation=True, random=True)
def randint(low, high=None, size=None, *, generator=None, dtype=None, device=None, requires_grad=False, out=None, layout=None, **rare):
    "Integers uniform in [low, high), or in [0, low) for randint(low, size)."
    if rare or out is not None:
        return rarely(randint, (low, high, size), out, dtype, device, requires_grad, rare, generator=generator)
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint() missing required argument: 'size'")
    spec = _spec("randint", sizes_of("randint", (size,)), dtypes.int64 if dtype is None else dtype, device)
    if spec.dtype.is_floating_point:
        whole = empty_of_spec(spec_of(dtypes.int64, spec.device, spec.shape), "randint")
        return _finish(_integers(whole, low, high, generator, "randint").to(spec.dtype), requires_grad)
    return _finish(_integers(empty_of_spec(spec, "randint"), low, high, generator, "randint"), requires_grad)


@composite(creation=True, random=True)
def randperm(n, *, generator=None, dtype=None, device=None, requires_grad=False, out=None, layout=None, **rare):
    "The integers below n in random order."
    if rare or out is not None:
        return rarely(randperm, (n,), out, dtype, device, requires_grad, rare, generator=generator)
    where = _spec("randperm", (n,), dtypes.int64, device).device
    out = empty_of_spec(spec_of(dtypes.int64, cpu, (n,)), "randperm")
    if n:  # one swap after another: the host's work, wherever the result goes
        table = pattern(cpu, "random").permutation(n)
        launch(table.address, out._address, *random.generator_of(where, generator, "randperm").draw())
    return _finish(out.to(where, dtype), requires_grad)


@composite(creation=True, random=True)
def rand_like(input, *, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None, generator=None):
    "Numbers uniform in [0, 1), in the shape and dtype of `input`."
    spec = _float_only("rand_like", _like_spec("rand_like", input, dtype, device))
    return _finish(rand(*spec.shape, dtype=spec.dtype, device=spec.device, generator=generator), requires_grad)


@composite(creation=True, random=True)
def randn_like(input, *, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None, generator=None):
    "Normal numbers in the shape and dtype of `input`."
    spec = _float_only("randn_like", _like_spec("randn_like", input, dtype, device))
    return _finish(randn(*spec.shape, dtype=spec.dtype, device=spec.device, generator=generator), requires_grad)


@composite(creation=True, random=True)
def randint_like(input, low, high=None, *, dtype=None, device=None, requires_grad=False, layout=None, memory_format=None):
    "Integers uniform in [low, high), in the shape and dtype of `input`."
    low, high = (0, low) if high is None else (low, high)
    tensor_of("randint_like", input)
    kind, where = input.dtype if dtype is None else dtype, input.device if device is None else device
    return randint(low, high, tuple(input.shape), dtype=kind, device=where, requires_grad=requires_grad)


def uniform_(self, from_=0.0, to=1.0, *, generator=None, **kwargs):
    """Fill with numbers uniform in [from, to)."""
    from_ = kwargs.pop("from", from_)
    _float_only("uniform_", self._spec)
    if from_ > to:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}")
    return _fill_in_place(self, lambda t: _uniform(t, from_, to, generator, "uniform_"), "uniform_")


def normal_(self, mean=0.0, std=1.0, *, generator=None):
    """Fill with normal numbers of this mean and standard deviation."""
    _float_only("normal_", self._spec)
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _fill_in_place(self, lambda t: _normal(t, mean, std, generator, "normal_"), "normal_")


def random_(self, from_=0, to=None, *, generator=None):
    """Fill with integers uniform in [from, to); without bounds, over the dtype's whole numbers."""
    kind = self._spec.dtype
    if to is None and from_ == 0:
        to = 2**24 if kind is dtypes.float32 else 2**53 if kind is dtypes.float64 else 2 if kind is dtypes.bool else dtypes.iinfo(kind).max
    elif to is None:
        from_, to = 0, from_
    if kind.is_floating_point:
        return self.copy_(randint(from_, to, tuple(self.shape), device=self.device, generator=generator))
    return _fill_in_place(self, lambda t: _integers(t, from_, to, generator, "random_"), "random_")


def bernoulli_(self, p=0.5, *, generator=None):
    """Fill with ones of probability p (a number, or a tensor broadcast to this one) and zeros."""
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    kind = self._spec.dtype if self._spec.dtype.is_floating_point else dtypes.float32
    draw = rand(*self.shape, dtype=kind, device=self.device, generator=generator)
    return self.copy_(draw < p)


@composite(random=True)
def bernoulli(input, p=None, *, generator=None, out=None):
    "Ones with the probabilities given by the elements (or by p), else zeros."
    tensor_of("bernoulli", input)
    if p is None and not input.is_cuda and builtins.bool(((input < 0) | (input > 1)).any()):  # on a card it would have to be waited for
        raise RuntimeError("bernoulli: expected probabilities in [0, 1]")
    result = bernoulli_(input.detach().clone(), input if p is None else p, generator=generator)
    return result if out is None else into("bernoulli", result, out)


@composite(random=True)
def normal(mean=0.0, std=1.0, size=None, *, generator=None, dtype=None, device=None, out=None):
    "Normal numbers; mean and std are numbers or tensors."
    if out is not None:
        kind, where = out._spec.dtype, out._spec.device
        return into("normal", normal(mean, std, size, generator=generator, dtype=kind, device=where) if size is not None else normal(mean, std, generator=generator), out)
    if size is not None:
        return normal_(empty_of_spec(_spec("normal", sizes_of("normal", (size,)), dtype, device), "normal"), mean, std, generator=generator)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        raise TypeError(f"normal(): expected a tensor as mean or std, or sizes, got {type(mean).__name__} and {type(std).__name__}")
    shape = (mean + std if isinstance(mean, Tensor) or isinstance(std, Tensor) else rand(1)).shape
    kind = mean.dtype if isinstance(mean, Tensor) else std.dtype
    where = mean.device if isinstance(mean, Tensor) else std.device
    return randn(*shape, dtype=kind, device=where, generator=generator) * std + mean
