"""Distances and similarities of vectors, and the elementwise parts of losses."""

from __future__ import annotations

from numtape import dtypes
from numtape.dispatch.elementwise import same_device
from numtape.op import refuse_complex
from numtape.ops.arithmetic import zero
from numtape.ops.arrange import triu_indices
from numtape.ops.copy import alike, tensor_of
from numtape.ops.define import composite, formula
from numtape.ops.index import index_select
from numtape.ops.linalg import matmul
from numtape.ops.reduce import float_operand, norm, sum
from numtape.ops.select import where
from numtape.tensor import Tensor

FUNCTION_ONLY = {"cosine_similarity", "pairwise_distance", "pdist", "bilinear"}


@formula(
    vjp=(
        lambda g, x, y, beta: g * _huber_slope(x - y, beta) / beta,
        lambda g, x, y, beta: -g * _huber_slope(x - y, beta) / beta,
        None,
    ),
    inplace=False,
    method=False,
)
def _smooth_l1(x, y, beta):
    "(x - y)**2 / (2 * beta) where |x - y| is below beta, else |x - y| - beta / 2. Girshick 2015."
    d = (x - y).abs()
    return where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta)


@formula(
    vjp=(lambda g, x, y, delta: g * _huber_slope(x - y, delta), lambda g, x, y, delta: -g * _huber_slope(x - y, delta), None),
    inplace=False,
    method=False,
)
def _huber(x, y, delta):
    "(x - y)**2 / 2 where |x - y| is at most delta, else delta * (|x - y| - delta / 2). Huber 1964."
    d = (x - y).abs()
    return where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def _huber_slope(d, delta):
    return where(d < -delta, zero(d) - delta, where(d > delta, zero(d) + delta, d))


@formula(
    vjp=(lambda g, y: -g * y, lambda g, x, y: where(y == 0, zero(g), g * (y.log() + 1.0 - x))),
    inplace=False,
    method=False,
)
def _divergence(x, y):
    "y * (log(y) - x), 0 where y is 0: an element of the divergence of a distribution y from one whose logarithm is x."
    return where(y == 0, zero(y), y * (y.log() - x))


@composite(domain="norm")
def cosine_similarity(x1, x2, dim=1, eps=1e-08):
    "x1 . x2 / (|x1| * |x2|) over `dim`; lengths are at least eps."
    a, b = tensor_of("cosine_similarity", x1), tensor_of("cosine_similarity", x2)
    kind = dtypes.promote_types(a._spec.dtype, b._spec.dtype)
    a, b = (float_operand("cosine_similarity", t.to(kind)) for t in (a, b))
    same_device("cosine_similarity", a, b)
    for t in (a, b):
        refuse_complex("cosine_similarity", t._spec.dtype)
    lengths = [norm(t, 2, dim, True).clamp_min(eps) for t in (a, b)]
    return sum((a / lengths[0]) * (b / lengths[1]), dim)


@composite(domain="norm")
def pairwise_distance(x1, x2, p=2.0, eps=1e-06, keepdim=False):
    "The p-norm of x1 - x2 + eps over the last dim."
    a, b = tensor_of("pairwise_distance", x1), tensor_of("pairwise_distance", x2)
    return norm(a - b + eps, p, -1, keepdim)


@composite(domain="norm")
def pdist(input, p=2.0):
    "The p-norm distances of all pairs of rows (i, j), i < j, in that order."
    x = float_operand("pdist", input)
    if x.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {x.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n = x.shape[0]
    count = n * (n - 1) // 2
    if not count:
        return x.new_zeros((0,))
    first, second = triu_indices(n, n, 1, device=x.device).unbind(0)
    return norm(index_select(x, 0, first) - index_select(x, 0, second), p, 1)


@composite
def bilinear(input1, input2, weight, bias=None):
    "x1 @ weight[k] @ x2 for each k, plus bias; weight: (out, in1, in2)."
    for name, t in (("input1", input1), ("input2", input2), ("weight", weight)):
        if not isinstance(t, Tensor):
            raise TypeError(f"bilinear(): argument '{name}' must be Tensor, not {type(t).__name__}")
    if bias is not None and not isinstance(bias, Tensor):
        raise TypeError(f"bilinear(): argument 'bias' must be Tensor, not {type(bias).__name__}")
    alike("bilinear", input1, input2, weight, bias)
    if input1.ndim != input2.ndim or input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {tuple(input1.shape)} and {tuple(input2.shape)}")
    if weight.ndim != 3 or input1.shape[-1] != weight.shape[1] or input2.shape[-1] != weight.shape[2]:
        raise RuntimeError(
            f"bilinear(): the last sizes of the inputs, {input1.shape[-1]} and {input2.shape[-1]}, do not match weight of shape {tuple(weight.shape)}"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise RuntimeError(f"bilinear(): bias size does not match weight size: got {tuple(bias.shape)} but expected {(weight.shape[0],)}")
    lead, (out, in1, in2) = tuple(input1.shape[:-1]), weight.shape
    left = matmul(input1.reshape(-1, in1), weight.permute(1, 0, 2).reshape(in1, out * in2)).reshape(-1, out, in2)
    result = matmul(left, input2.reshape(-1, in2, 1)).reshape(*lead, out)
    return result if bias is None else result + bias
