"""Products of more kinds: of tensors over chosen dims, Kronecker, cross, distances between rows, covariances."""

from __future__ import annotations

import itertools
import math

from numtape import dtypes, layout
from numtape.ops.arrange import given
from numtape.ops.complex import _complex_of, conj, imag, real
from numtape.ops.copy import alike, tensor_of
from numtape.ops.creation import zeros
from numtape.ops.define import composite
from numtape.ops.index import cat
from numtape.ops.linalg import _added, _check, addmm, addmv, baddbmm, bmm, matmul, outer
from numtape.ops.part import narrow
from numtape.ops.reduce import amax, sum
from numtape.ops.reinterpret import written
from numtape.ops.select import where
from numtape.ops.view import expanded, reshape, transpose, unsqueeze
from numtape.tensor import Tensor


# ------------------------------------------------------------------------------------------------ matrix products
@composite(domain="matmul")
def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    "beta * input + alpha * the sum of the products of two batches of matrices."
    return _added("addbmm", input, sum(bmm(batch1, batch2), 0), beta, alpha, out)


@composite(domain="matmul")
def addr(input, vec1, vec2, *, beta=1, alpha=1, out=None):
    "beta * input + alpha * the outer product of two vectors."
    return _added("addr", input, outer(vec1, vec2), beta, alpha, out)


@composite(domain="matmul")
def inner(input, other, *, out=None):
    "The products of the last dims, summed: for vectors their inner product."
    x, y = tensor_of("inner", input), tensor_of("inner", other)
    if not x.ndim or not y.ndim:
        return given("inner", x * y, out)
    _check("inner", x, y)
    if x.shape[-1] != y.shape[-1]:
        raise RuntimeError(f"inner() the last dimension must match on both input tensors but got shapes {list(x.shape)} and {list(y.shape)}")
    return given("inner", tensordot(x, y, ([-1], [-1])), out)


@composite(domain="matmul")
def vdot(input, other, *, out=None):
    "The inner product of two vectors, of which the first is conjugated."
    from numtape.ops.linalg import dot

    return dot(conj(tensor_of("vdot", input)), other, out=out)


@composite(domain="matmul")
def tensordot(a, b, dims=2, out=None):
    "The products of two tensors, summed over the last dims of a and the first of b (a number of them), or over two lists of dims."
    x, y = tensor_of("tensordot", a), tensor_of("tensordot", b)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot: expects dims >= 0, but got dims={dims}")
        if dims > min(x.ndim, y.ndim):
            raise RuntimeError(f"tensordot: expects dims < ndim_a or ndim_b, but got dims={dims} for shapes {tuple(x.shape)} and {tuple(y.shape)}")
        over_x, over_y = list(range(x.ndim - dims, x.ndim)), list(range(dims))
    else:
        over_x, over_y = ([d] if isinstance(d, int) else list(d) for d in dims)
        over_x, over_y = [layout.dim_of("tensordot", d, x.ndim) for d in over_x], [layout.dim_of("tensordot", d, y.ndim) for d in over_y]
    if len(over_x) != len(over_y):
        raise RuntimeError(f"tensordot: both dimension lists should have same length, got {over_x} and {over_y}")
    if len(set(over_x)) != len(over_x) or len(set(over_y)) != len(over_y):
        raise RuntimeError(f"tensordot: a dim appears multiple times in {over_x} or {over_y}")
    if x.dtype is not y.dtype:
        raise RuntimeError(f"tensordot: both inputs should have same dtype, got {x.dtype} and {y.dtype}")
    for i, j in zip(over_x, over_y):
        if x.shape[i] != y.shape[j] and 1 not in (x.shape[i], y.shape[j]):
            raise RuntimeError(f"tensordot: contracted dimensions need to match, but first has size {x.shape[i]} in dim {i} and second has size {y.shape[j]} in dim {j}")
        if x.shape[i] != y.shape[j]:  # a size of 1 is repeated: its partner may be summed first
            x, y = (x, sum(y, j, True)) if x.shape[i] == 1 else (sum(x, i, True), y)
    left, right = [d for d in range(x.ndim) if d not in over_x], [d for d in range(y.ndim) if d not in over_y]
    shape = [*(x.shape[d] for d in left), *(y.shape[d] for d in right)]
    k = math.prod(x.shape[d] for d in over_x)
    rows, columns = math.prod(x.shape[d] for d in left), math.prod(y.shape[d] for d in right)
    result = matmul(reshape(x.permute([*left, *over_x]), rows, k), reshape(y.permute([*over_y, *right]), k, columns))
    return given("tensordot", reshape(result, shape), out)


@composite
def kron(input, other, *, out=None):
    "The Kronecker product: a block of `other`, scaled, for each element of `input`."
    x, y = tensor_of("kron", input), tensor_of("kron", other)
    n = max(x.ndim, y.ndim)
    p, q = (1,) * (n - x.ndim) + tuple(x.shape), (1,) * (n - y.ndim) + tuple(y.shape)
    left, right = reshape(x, [k for d in p for k in (d, 1)]), reshape(y, [k for d in q for k in (1, d)])
    return given("kron", reshape(left * right, [a * b for a, b in zip(p, q)]), out)


def multiplied(name, matrices, out=None):
    """The product of a chain of matrices in the order that needs the fewest multiplications (Godbole 1973)."""
    n = len(matrices)
    sizes = [matrices[0].shape[0], *(m.shape[1] for m in matrices)]
    for i, (a, b) in enumerate(itertools.pairwise(matrices)):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(f"{name}: tensors {i} and {i + 1} with shapes {list(a.shape)} and {list(b.shape)} cannot be multiplied")
    cost = {(i, i): (0, i) for i in range(n)}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j] = min((cost[i, k][0] + cost[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))

    def product(i, j):
        return matrices[i] if i == j else matmul(product(i, cost[i, j][1]), product(cost[i, j][1] + 1, j))

    return product(0, n - 1)


@composite(domain="matmul")
def chain_matmul(*matrices, out=None):
    "The product of several matrices, in the order that needs the fewest multiplications."
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for m in matrices:
        if tensor_of("chain_matmul", m, "matrices").ndim != 2:
            raise RuntimeError(f"chain_matmul(): Tensor dimension is {m.ndim}, expected 2 instead")
    return given("chain_matmul", multiplied("chain_matmul", matrices), out)


@composite
def cross(input, other, dim=None, *, out=None):
    "The vector product over a dim of size 3: the first such dim unless given."
    x, y = tensor_of("cross", input), tensor_of("cross", other, "other")
    alike("cross", x, y)
    if x.ndim != y.ndim:
        raise RuntimeError(f"cross: inputs must have the same number of dimensions, got {tuple(x.shape)} and {tuple(y.shape)}")
    shape = layout.broadcast_shapes("cross", x._spec.shape, y._spec.shape)
    if dim is None:
        if 3 not in shape:
            raise RuntimeError(f"cross: no dimension of size 3 in input, got {tuple(shape)}")
        dim = shape.index(3)
    d = layout.dim_of("cross", dim, x.ndim)
    if x.shape[d] != 3 or y.shape[d] != 3:
        raise RuntimeError(f"cross: inputs dimension {dim} must have length 3. Got {x.shape[d]} and {y.shape[d]}")

    x, y = expanded(x, shape), expanded(y, shape)
    a, b = [narrow(x, d, k, 1) for k in range(3)], [narrow(y, d, k, 1) for k in range(3)]
    return given("cross", cat([a[k - 2] * b[k - 1] - a[k - 1] * b[k - 2] for k in range(3)], d), out)


# ------------------------------------------------------------------------------------------------ distances
MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@composite
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    "The p-norm distances between all rows of x1 (..., m, k) and of x2 (..., n, k), as (..., m, n)."
    x, y = tensor_of("cdist", x1), tensor_of("cdist", x2)
    for label, t in (("X1", x), ("X2", y)):
        if t.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {label} got: {t.ndim}D")
        if not t.is_floating_point():
            raise RuntimeError(f"cdist only supports floating-point dtypes, {label} got: {t.dtype}")
    alike("cdist", x, y)
    if x.shape[-1] != y.shape[-1]:
        raise RuntimeError(f"cdist: X1 and X2 must have the same number of columns. X1: {x.shape[-1]} X2: {y.shape[-1]}")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    if compute_mode not in MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode; expected one of {', '.join(MODES)}")
    layout.broadcast_shapes("cdist", x._spec.shape[:-2], y._spec.shape[:-2])
    large = compute_mode == MODES[1] or compute_mode == MODES[0] and (x.shape[-2] > 25 or y.shape[-2] > 25)
    if p == 2 and large and x.shape[-1]:
        return _by_products(x, y)
    difference = unsqueeze(x, -2) - unsqueeze(y, -3)
    if p == 0:
        return sum((difference != 0).to(x.dtype) + difference * 0, -1)
    if p == math.inf:
        return amax(difference.abs(), -1) if x.shape[-1] else sum(difference, -1)
    if p == 1:
        return sum(difference.abs(), -1)
    return power_norm(difference, p, (difference._spec.ndim - 1,))


def power_norm(x: Tensor, p: float, dims, keepdim=False) -> Tensor:
    """The p-norm over dims for finite p; where it is zero the gradient is zero."""
    from numtape.ops.reduce import norm

    if p == 2:
        return norm(x, 2, dims, keepdim)
    size = x.abs()
    safe = where(size == 0, 1.0, size) if p < 2 else size
    total = sum(where(size == 0, 0.0, safe**p) if p < 2 else safe**p, dims, keepdim)
    none = total == 0
    return where(none, 0.0, where(none, 1.0, total) ** (1.0 / p))


def _by_products(x, y):
    """The Euclidean distances by one matrix product: |x|² - 2 x y + |y|²; zero distances have zero gradients."""
    squares = sum(x * x, -1, True) + transpose(sum(y * y, -1, True), -2, -1)
    found = (squares - 2 * matmul(x, transpose(y, -2, -1))).clamp_min(0)
    none = found == 0
    return where(none, 0.0, where(none, 1.0, found).sqrt())


# ------------------------------------------------------------------------------------------------ statistics
@composite
def cov(input, *, correction=1, fweights=None, aweights=None):
    "The covariances of the rows (variables) over the columns (observations), which may be counted and weighted."
    x = tensor_of("cov", input)
    if x.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {x.ndim} dimensions")
    if x.dtype is dtypes.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = x if x.ndim == 2 else reshape(x, 1, -1)
    count = rows.shape[1]
    weights = None
    for name, given_weights in (("fweights", fweights), ("aweights", aweights)):
        if given_weights is None:
            continue
        whole = not given_weights.is_floating_point()
        if given_weights.ndim > 1 or given_weights.numel() != count:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions and {count} elements, got {tuple(given_weights.shape)}")
        if whole != (name == "fweights"):
            raise RuntimeError(f"cov(): expected {name} to have {'integral' if name == 'fweights' else 'floating point'} dtype but got {name} with {given_weights.dtype}")
        if count and bool((given_weights.detach() < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
        given_weights = reshape(given_weights, -1)
        weights = given_weights if weights is None else weights * given_weights
    if weights is None:
        total = float(count)
        centre = sum(rows, 1, True) / total if count else sum(rows, 1, True) * math.nan
    else:
        total = sum(weights)
        if count and float(total) == 0:
            raise ZeroDivisionError("cov(): weights sum to zero, can't be normalized")
        centre = sum(rows * weights, 1, True) / total
    if weights is None or aweights is None or not correction:
        freedom = total - correction
    else:
        freedom = total - correction * sum(weights * reshape(aweights, -1)) / total
    freedom = max(freedom, 0.0) if isinstance(freedom, float) else freedom.clamp_min(0)
    centred = rows - centre
    scaled = centred if weights is None else centred * weights
    products = matmul(centred, conj(transpose(scaled, 0, 1).to(centred.dtype)))
    found = products / freedom if not isinstance(freedom, float) or freedom else products * math.inf
    return found if x.ndim == 2 else reshape(found, ())


@composite
def corrcoef(input):
    "The correlation coefficients of the rows (variables) over the columns (observations)."
    x = tensor_of("corrcoef", input)
    if x.ndim > 2:
        raise RuntimeError(f"corrcoef(): expected input to have two or fewer dimensions but got an input with {x.ndim} dimensions")
    found = cov(x)
    if not found.ndim:
        return found / found
    spread = real(found).diagonal().sqrt()
    found = found / unsqueeze(spread, 1) / unsqueeze(spread, 0)
    if found.dtype.is_complex:
        return _complex_of(real(found).clamp(-1.0, 1.0), imag(found).clamp(-1.0, 1.0))
    return found.clamp(-1.0, 1.0)


# ------------------------------------------------------------------------------------------------ sequences
@composite
def vander(x, N=None, *, increasing=False):
    "The powers of a vector's elements as rows: N of them (as many as elements unless given), highest first unless `increasing`."
    t = tensor_of("vander", x)
    if t.ndim < 1:
        raise RuntimeError("vander: input dim must be at least 1")
    if t.ndim > 1:
        raise RuntimeError(f"vander: x must be a one-dimensional tensor, got {tuple(t.shape)}")
    return powers(t, t.numel() if N is None else N, not increasing)


def powers(t: Tensor, n: int, falling: bool) -> Tensor:
    """The powers 0, 1, ..., n - 1 of all elements along a new last dim."""
    from numtape.ops.arrange import flip
    from numtape.ops.running import cumprod

    if n < 0:
        raise RuntimeError(f"vander: N must be non-negative, got {n}")
    kind = t.dtype if t.dtype.differentiable else dtypes.int64
    if not n:
        return zeros(*t.shape, 0, dtype=kind, device=t.device)
    first = zeros(*t.shape, 1, dtype=kind, device=t.device) + 1
    if n == 1:
        return first
    found = cat([first, cumprod(unsqueeze(t.to(kind), -1).expand(*t.shape, n - 1), -1)], -1)
    return flip(found, -1) if falling else found


FUNCTION_ONLY = {"tensordot", "chain_matmul", "cdist", "vander"}
METHOD_ONLY = {f"{f.__name__}_": written(f"{f.__name__}_", f) for f in (addmm, addmv, baddbmm, addbmm, addr)}
