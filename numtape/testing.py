"""Assertions about tensors, as in `torch.testing`."""

from __future__ import annotations

import cmath
import collections.abc
import math
import numbers
import warnings

import numpy as np

import numtape as nt

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

TOLERANCES = {"float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}  # rtol, atol; everything else must be equal


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses=True,
    rtol=None,
    atol=None,
    equal_nan=False,
    check_device=True,
    check_dtype=True,
    check_layout=True,
    check_stride=False,
    msg=None,
) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Takes tensors, numbers, arrays, and sequences and mappings of them. The tolerances depend on the dtype unless both are given: for float32
    rtol=1.3e-6 and atol=1e-5, for float64 1e-7, for integers 0. `msg` is a message, or a function of the message that would be raised.

    >>> import numtape as nt
    >>> nt.testing.assert_close(nt.tensor([1.0, 2.0]), nt.tensor([1.0, 2.0 + 1e-6]))
    >>> nt.testing.assert_close(nt.tensor([1.0, 2.0]), nt.tensor([1.0, 3.0]))
    Traceback (most recent call last):
    AssertionError: Tensor-likes are not close!
    <BLANKLINE>
    Mismatched elements: 1 / 2 (50.0%)
    Greatest absolute difference: 1.0 at index (1,) (up to 1e-05 allowed)
    Greatest relative difference: 0.3333333432674408 at index (1,) (up to 1.3e-06 allowed)
    """
    if (rtol is None) != (atol is None):
        names = ("atol", "rtol") if atol is None else ("rtol", "atol")
        raise ValueError(f"rtol and atol must both be specified or both be unspecified, but got no {names[0]} and {names[1]}={rtol if atol is None else atol}.")
    checks = {"allow_subclasses": allow_subclasses, "device": check_device, "dtype": check_dtype, "stride": check_stride}
    message = _difference(actual, expected, rtol, atol, equal_nan, checks, ())
    if message is not None:
        raise AssertionError(msg(message) if callable(msg) else msg or message)


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg="") -> None:
    """As `assert_close`, but without looking at dtypes and devices, and with NaN equal to NaN. Deprecated in PyTorch."""
    warnings.warn("assert_allclose is deprecated; use assert_close", FutureWarning, stacklevel=2)
    actual, expected = (x if isinstance(x, nt.Tensor) else nt.tensor(x) for x in (actual, expected))
    if rtol is None and atol is None:
        kinds = {"float32": (1e-4, 1e-5), "float64": (1e-5, 1e-8)}
        (r, a), (s, b) = (kinds.get(x.dtype.name, (0.0, 0.0)) for x in (actual, expected))
        rtol, atol = max(r, s), max(a, b)
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=False, check_dtype=False, check_stride=False, msg=msg or None)


# ------------------------------------------------------------------------------------------------ comparing
def _difference(actual, expected, rtol, atol, equal_nan, checks, place) -> str | None:
    """The message about how the two differ, or None."""
    kinds = (collections.abc.Sequence, collections.abc.Mapping)
    if isinstance(actual, kinds[0]) and isinstance(expected, kinds[0]) and not isinstance(actual, str) and not isinstance(expected, str):
        if len(actual) != len(expected):
            return _at(place, f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        pairs: collections.abc.Iterable = enumerate(zip(actual, expected))
    elif isinstance(actual, kinds[1]) and isinstance(expected, kinds[1]):
        if set(actual) != set(expected):
            missing, extra = sorted(set(expected) - set(actual)), sorted(set(actual) - set(expected))
            return _at(place, f"The keys of the mappings do not match:\nMissing keys in the actual mapping: {missing}\nAdditional keys in the actual mapping: {extra}")
        pairs = ((key, (actual[key], expected[key])) for key in sorted(actual, key=repr))
    else:
        return _at(place, _one(actual, expected, rtol, atol, equal_nan, checks))
    for key, (a, b) in pairs:
        message = _difference(a, b, rtol, atol, equal_nan, checks, (*place, key))
        if message is not None:
            return message
    return None


def _at(place, message):
    if message is None or not place:
        return message
    return f"{message}\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in place)}"


def _one(actual, expected, rtol, atol, equal_nan, checks):
    numeric = (numbers.Number, np.bool_)
    if isinstance(actual, numeric) and isinstance(expected, numeric):
        return _numbers(actual, expected, rtol, atol, equal_nan, checks)
    if actual is None or expected is None:
        return None if actual is expected else f"None mismatch: {actual} is not {expected}"
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if not related or not checks["allow_subclasses"] and type(actual) is not type(expected):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")
    try:
        actual, expected = nt.as_tensor(actual), nt.as_tensor(expected)
    except (TypeError, ValueError):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.") from None
    return _tensors(actual.detach(), expected.detach(), rtol, atol, equal_nan, checks)


def _tolerances(rtol, atol, *kinds):
    if rtol is not None:
        return rtol, atol
    found = [TOLERANCES.get(kind.name, (0.0, 0.0)) for kind in kinds]
    return max(r for r, _ in found), max(a for _, a in found)


def _numbers(actual, expected, rtol, atol, equal_nan, checks):
    if checks["dtype"] and type(actual) is not type(expected):
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    rtol, atol = _tolerances(rtol, atol, *(nt.float64 if isinstance(v, (float, np.floating)) else nt.int64 for v in (actual, expected)))
    if actual == expected or equal_nan and cmath.isnan(actual) and cmath.isnan(expected):
        return None
    distance, allowed = abs(actual - expected), atol + rtol * abs(expected)
    if cmath.isfinite(distance) and distance <= allowed:
        return None
    if not rtol and not atol:
        return f"{'Booleans mismatch' if isinstance(actual, bool) else 'Scalars are not equal!'}" + (
            f": {actual} is not {expected}" if isinstance(actual, bool) else f"\n\nExpected {expected} but got {actual}.\nAbsolute difference: {distance}\nRelative difference: "
            f"{_ratio(distance, expected)}"
        )
    return (
        f"Scalars are not close!\n\nExpected {expected} but got {actual}.\nAbsolute difference: {distance} (up to {atol} allowed)\n"
        f"Relative difference: {_ratio(distance, expected)} (up to {rtol} allowed)"
    )


def _ratio(distance, expected):
    return distance / abs(expected) if expected else math.inf


def _tensors(actual, expected, rtol, atol, equal_nan, checks):
    if actual.shape != expected.shape:
        return f"The values for attribute 'shape' do not match: {_size(actual)} != {_size(expected)}."
    for name in ("device", "dtype"):
        a, b = getattr(actual, name), getattr(expected, name)
        if checks[name] and a != b:
            return f"The values for attribute '{name}' do not match: {a} != {b}."
    if checks["stride"] and actual.stride() != expected.stride():
        return f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}."
    rtol, atol = _tolerances(rtol, atol, actual.dtype, expected.dtype)
    kind = nt.promote_types(actual.dtype, expected.dtype)
    a, b = actual.cpu().to(kind), expected.cpu().to(kind)
    close = nt.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(close.all()):
        return None
    return _mismatch(a, b, close.logical_not(), rtol, atol)


def _size(x):
    return f"numtape.Size({list(x.shape)})"


def _mismatch(a, b, apart, rtol, atol):
    """The message about elements that differ; `apart` says which."""
    count, total = int(apart.sum()), apart.numel()
    a, b = (x.to(nt.int64) if not x.is_floating_point() else x for x in (a, b))
    absolute = (a - b).abs()
    relative = absolute / b.abs()
    scalar = not a.dim()
    exact = not rtol and not atol
    text = [f"{'Scalars' if scalar else 'Tensor-likes'} are not {'equal' if exact else 'close'}!", ""]
    if scalar:
        text.append(f"Expected {b.item()} but got {a.item()}.")
    else:
        text.append(f"Mismatched elements: {count} / {total} ({count / total:.1%})")
    for kind, values, allowed in (("absolute", absolute, atol), ("relative", relative, rtol)):
        bound = "" if exact else f" (up to {allowed} allowed)"
        if scalar:
            text.append(f"{kind.capitalize()} difference: {values.item()}{bound}")
            continue
        among = nt.where(apart, values.to(nt.float64) if not values.is_floating_point() else values, -1.0).reshape(-1)
        first = int(among.argmax())
        index = tuple(int(i) for i in np.unravel_index(first, tuple(a.shape)))
        text.append(f"Greatest {kind} difference: {values.reshape(-1)[first].item()} at index {index}{bound}")
    return "\n".join(text)


# ------------------------------------------------------------------------------------------------ random data
def make_tensor(*shape, dtype, device="cpu", low=None, high=None, requires_grad=False, noncontiguous=False, exclude_zero=False, memory_format=None):
    """A tensor of uniform random numbers: within [-9, 9] for floating point, [-9, 10) for integers ([0, 10) for uint8), unless low and high are given.

    >>> import numtape as nt
    >>> t = nt.testing.make_tensor((2, 3), dtype=nt.float32, low=0, high=1)
    >>> t.shape, bool((t >= 0).all() and (t <= 1).all())
    (numtape.Size([2, 3]), True)
    """
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], collections.abc.Sequence) else shape
    lowest = 0 if dtype in (nt.uint8, nt.bool) else -9
    low = lowest if low is None else low
    high = (2 if dtype is nt.bool else 9 if dtype.is_floating_point else 10) if high is None else high
    if low >= high:
        raise ValueError(f"make_tensor: `low` must be less than `high`, got {low} >= {high}")
    wide = (*shape[:-1], 2 * shape[-1]) if noncontiguous and shape else shape
    if dtype.is_floating_point:
        result = nt.empty(wide, dtype=dtype, device=device).uniform_(low, high)
    else:
        result = nt.randint(math.floor(low), math.ceil(high), wide, dtype=dtype, device=device)
    result = result[..., ::2] if noncontiguous and shape else result
    if exclude_zero:
        result.masked_fill_(result == 0, nt.finfo(dtype).tiny if dtype.is_floating_point else 1)
    return result.requires_grad_() if requires_grad else result
