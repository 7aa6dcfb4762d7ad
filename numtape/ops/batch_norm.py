"""Normalisation over batches, groups and channels.

Channels are dim 1, and what is reduced for each of them lies apart in memory. So sums over a batch are taken in two steps, over the
positions of a channel first (rows of memory), then over the batch, and the results meet the elements in one elementwise kernel.
"""

from __future__ import annotations

from math import prod

from numtape import dtypes
from numtape.autograd import mode
from numtape.dispatch import rows
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.record import recorded, wanted
from numtape.ops.copy import alike
from numtape.ops.define import composite, formula, row
from numtape.ops.norm import row_standard
from numtape.ops.reduce import float_operand, row_mean_of, sum
from numtape.tensor import Tensor

FUNCTION_ONLY = {"batch_norm", "group_norm", "instance_norm", "rms_norm"}


@formula(inplace=False, method=False)
def _affine(x, scale, shift):
    "x * scale + shift."
    return x * scale + shift


@formula(inplace=False, method=False)
def _affine_about(x, centre, scale, shift):
    "(x - centre) * scale + shift."
    return (x - centre) * scale + shift


@formula(inplace=False, method=False)
def _affine_of_two(x, y, centre, scale, factor, shift):
    "x * scale + (y - centre) * factor + shift."
    return x * scale + (y - centre) * factor + shift


@row(reduces=True, per_row=("shift",), empty=0)
def row_moment(x, y, shift, dim):
    "The sum of x * (y - shift) over `dim`."
    return sum(x * (y - shift), dim, True)


# ------------------------------------------------------------------------------------------------ statistics of channels
def _dims(x):
    return tuple(d for d in range(x._spec.ndim) if d != 1)


def _wide(t, x):
    """One number per channel, in the shape that meets x."""
    return t.reshape((1, -1) + (1,) * (x._spec.ndim - 2))


def _sum(x):
    """The sum for each channel."""
    return (x.sum(tuple(range(2, x._spec.ndim))) if x._spec.ndim > 2 else x).sum(0)


def _moment(g, x, mean):
    """The sum of g * (x - mean) for each channel, `mean` being one number per channel."""
    if mode.state.enabled or x._spec.ndim == 2:
        return _sum(g * (x - _wide(mean, x)))
    dims = tuple(range(2, x._spec.ndim))
    shift = _wide(mean, x)
    return rows.run(row_moment, (g, x, shift, None), dims, False, (0, 0, 1, 0)).sum(0)


def _statistics(x):
    """The mean and the variance (over n) of each channel."""
    n = x._spec.numel // x._spec.shape[1]
    mean = _sum(x) / n
    return mean, _moment(x - _wide(mean, x) if mode.state.enabled else x, x, mean) / n


def _statistics_now(x):
    """The same for batches in memory: of each image's channel by itself, then these put together (Chan et al. 1979)."""
    if x._spec.ndim == 2:
        mean = x.mean(0)
        return mean, (x - mean).square().mean(0)
    dims = tuple(range(2, x._spec.ndim))
    means, variances = x.mean(dims), x.var(dims, correction=0)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


# ------------------------------------------------------------------------------------------------ batch norm
def _check_channels(name: str, x: Tensor, **given) -> None:
    channels = x._spec.shape[1]
    for what, t in given.items():
        if t is None:
            continue
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(t).__name__}")
        if t._spec.numel != channels:
            raise RuntimeError(f"{name}: {what} should contain {channels} elements not {t._spec.numel}")
        same_device(name, x, t)


@composite(domain="norm")
def batch_norm(input, weight=None, bias=None, running_mean=None, running_var=None, training=False, momentum=0.1, eps=1e-05, cudnn_enabled=True):
    """The input with mean 0 and variance 1 for each channel (dim 1), times weight plus bias. Ioffe & Szegedy 2015.

    In training by the batch's own statistics, which move the running ones by `momentum`; otherwise by the running ones."""
    x = float_operand("batch_norm", input)
    if x._spec.ndim < 2:
        raise RuntimeError(f"batch_norm: expected an input of at least 2 dims (N, C, ...), got {tuple(x.shape)}")
    alike("batch_norm", x, weight, bias)
    _check_channels("batch_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    x = x.contiguous()
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: Expected running_mean and running_var to be defined when training=False")
        scale = (running_var + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        return _affine_about(x, _wide(running_mean, x), _wide(scale, x), 0.0 if bias is None else _wide(bias, x)).to(x.dtype)
    if not x._spec.numel:
        raise ValueError(f"batch_norm: Expected more than 1 value per channel when training, got input size {list(x.shape)}")
    n = x._spec.numel // x._spec.shape[1]
    with mode.no_grad():
        mean, variance = _statistics_now(x)
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
        if running_var is not None:
            running_var.mul_(1 - momentum).add_(variance, alpha=momentum * (n / (n - 1) if n > 1 else float("inf")))
        inverse = (variance + eps).rsqrt()
        scale = inverse if weight is None else inverse * weight
        out = _affine_about(x, _wide(mean, x), _wide(scale, x), 0.0 if bias is None else _wide(bias, x))
    if not wanted(x, weight, bias):
        return out
    given = [t for t in (weight, bias) if t is not None]
    places = {"x": True, "weight": weight is not None, "bias": bias is not None}

    def pull(node, g):
        x, weight, mean, inverse = node.unpack()
        if mode.state.enabled:  # the statistics are functions of x
            mean, variance = _statistics(x)
            inverse = (variance + eps).rsqrt()
        total, moment = _sum(g), _moment(g, x, mean)
        found = []
        if node.inputs[0] is not None:
            scale = inverse if weight is None else inverse * weight
            factor = -scale * moment * inverse * inverse / n
            centre, shift = _wide(mean, x), _wide(-scale * total / n, x)
            found.append(_affine_of_two(g, x, centre, _wide(scale, x), _wide(factor, x), shift))
        else:
            found.append(None)
        if places["weight"]:
            found.append(moment * inverse)
        if places["bias"]:
            found.append(total)
        return tuple(found)

    return recorded(out, "batch_norm", (x, *given), pull, save=(x, weight, mean, inverse))


# ------------------------------------------------------------------------------------------------ groups and instances
def _scaled(y, weight, bias):
    """y times weight plus bias, one number per channel."""
    if weight is None and bias is None:
        return y
    if bias is None:
        return y * _wide(weight, y)
    return y + _wide(bias, y) if weight is None else _affine(y, _wide(weight, y), _wide(bias, y))


@composite(domain="norm")
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05, cudnn_enabled=True):
    "The input with mean 0 and variance 1 for each group of channels of each item, times weight plus bias. Wu & He 2018."
    x = float_operand("group_norm", input)
    if x._spec.ndim < 2:
        raise RuntimeError(f"group_norm: Expected at least 2 dimensions for input tensor but received {x.ndim}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and not isinstance(t, Tensor):
            raise TypeError(f"group_norm(): argument '{name}' must be Tensor, not {type(t).__name__}")
    alike("group_norm", x, weight, bias)
    channels = x._spec.shape[1]
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            f"group_norm: Expected number of channels in input to be divisible by num_groups, but got input of shape {list(x.shape)} and num_groups={num_groups}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != (channels,):
            raise RuntimeError(
                f"group_norm: Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape {list(t.shape)} "
                f"and input of shape {list(x.shape)}"
            )
    grouped = x.reshape(x.shape[0], num_groups, channels // num_groups * prod(x.shape[2:]))
    return _scaled(rows.call(row_standard, (grouped, None, float(eps)), (2,), True).reshape(x.shape), weight, bias)


@composite(domain="norm")
def instance_norm(
    input, weight=None, bias=None, running_mean=None, running_var=None, use_input_stats=True, momentum=0.1, eps=1e-05, cudnn_enabled=True
):
    "The input with mean 0 and variance 1 for each channel of each item, times weight plus bias. Ulyanov et al. 2016."
    x = float_operand("instance_norm", input)
    if x._spec.ndim < 2:
        raise RuntimeError(f"instance_norm: expected an input of at least 2 dims (N, C, ...), got {tuple(x.shape)}")
    alike("instance_norm", x, weight, bias)
    _check_channels("instance_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("instance_norm: Expected running_mean and running_var to be defined when use_input_stats is false")
        return batch_norm(x, weight, bias, running_mean, running_var, False, momentum, eps)
    dims = tuple(range(2, x._spec.ndim))
    if running_mean is not None or running_var is not None:
        with mode.no_grad():
            if running_mean is not None:
                running_mean.mul_(1 - momentum).add_(x.mean(dims).mean(0), alpha=momentum)
            if running_var is not None:
                running_var.mul_(1 - momentum).add_(x.var(dims).mean(0), alpha=momentum)
    rows_of_positions = x.reshape(*x.shape[:2], prod(x.shape[2:]))
    return _scaled(rows.call(row_standard, (rows_of_positions, None, float(eps)), (2,), True).reshape(x.shape), weight, bias)


# ------------------------------------------------------------------------------------------------ the root of the mean square
def _rms_slope(g, x, dim, eps):
    factor = (row_mean_of(x * x, dim) + eps).rsqrt()
    return factor * (g - x * factor * factor * row_mean_of(g * x, dim))


@row(vjp=(lambda g, x, dim, eps: _rms_slope(g, x, dim, eps), None, None), complex=True)
def row_rms_standard(x, dim, eps):
    "x divided by the root of its mean square over `dim`."
    return x * (row_mean_of(x * x, dim) + eps).rsqrt()


@row(
    vjp=(
        lambda g, x, weight, dim, eps: _rms_slope(g * weight, x, dim, eps),
        lambda g, x, dim, eps: g * x * (row_mean_of(x * x, dim) + eps).rsqrt(),
        None,
        None,
    ),
    complex=True,
)
def row_rms_norm(x, weight, dim, eps):
    "As `row_rms_standard`, times weight."
    return x * (row_mean_of(x * x, dim) + eps).rsqrt() * weight


@composite(domain="norm")
def rms_norm(input, normalized_shape, weight=None, eps=None):
    "The input divided by the root of its mean square over its last dims, `normalized_shape`; then times weight. Zhang & Sennrich 2019."
    x = float_operand("rms_norm", input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    ndim = x._spec.ndim
    if not ndim:
        raise ValueError("rms_norm: Input tensor must have at least 1 dimensions, but got 0")
    if not shape:
        raise RuntimeError("rms_norm: Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []")
    if x._spec.shape[ndim - len(shape) :] != shape or len(shape) > ndim:
        raise RuntimeError(
            f"rms_norm: Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{list(x.shape)}"
        )
    if weight is not None and weight._spec.shape != shape:
        raise RuntimeError(
            f"rms_norm: Expected weight to be of same shape as normalized_shape, but got weight of shape {list(weight.shape)} and normalized_shape = {list(shape)}"
        )
    eps = dtypes.finfo(x.dtype).eps if eps is None else float(eps)
    dims = tuple(range(ndim - len(shape), ndim))
    if weight is None:
        return rows.call(row_rms_standard, (x, None, eps), dims, True)
    same_device("rms_norm", x, weight)
    if weight._spec.dtype is not x._spec.dtype:
        return rows.call(row_rms_standard, (x, None, eps), dims, True) * weight
    return rows.call(row_rms_norm, (x, weight, None, eps), dims, True)
