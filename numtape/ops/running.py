"""Running products, extrema and logarithms of sums along a dim; differences, and areas under sampled curves."""

from __future__ import annotations

from numtape import dtypes, layout
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded, wanted
from numtape.kernels import pattern, walks
from numtape.op import accumulating
from numtape.ops import scan
from numtape.ops.complex import conj, real
from numtape.ops.copy import copied, tensor_of
from numtape.ops.creation import zeros_like
from numtape.ops.define import composite
from numtape.ops.index import cat, gather, scatter_into_zeros
from numtape.ops.part import narrow, select
from numtape.ops.scan import _given, run_lines, values_indices
from numtape.ops.select import where
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, check_inplace, empty


def _walk(name: str, body: str, outputs, inputs, d: int, *, reverse=False, imports="") -> None:
    """Launch a body of `walks` along dim d."""
    x = inputs[-1]._spec
    if not x.numel:
        return
    lines, kind = pattern(x.device, "lines"), outputs[0]._spec.dtype
    accumulate = "c128" if kind.is_complex else "f64" if kind.is_floating_point else "i64"
    body = lines.in_order(body.format(accumulate=accumulate, code=kind.code, sign=">" if name == "cummax" else "<"))
    codes = [tuple(t._spec.dtype.code for t in group) for group in (outputs, inputs)]
    text = lines.text(name, f"{x.dtype.name} -> {kind.name}", *codes, body, imports=imports)
    run_lines(name, text, (*outputs, *map(alias, inputs)), d, x.shape[d], reverse=reverse)


def _shifted(x: Tensor, d: int, fill: float, back: bool = False) -> Tensor:
    """x moved one place on along d (or back), `fill` standing where it left; differentiable."""
    n = x._spec.shape[d]
    if not n:
        return x
    edge = x.new_full((*x._spec.shape[:d], 1, *x._spec.shape[d + 1 :]), fill)
    return cat([narrow(x, d, 1, n - 1), edge], d) if back else cat([edge, narrow(x, d, 0, n - 1)], d)


def recurrence(a: Tensor, b: Tensor, d: int, reverse: bool = False) -> Tensor:
    """s[i] = b[i] + a[i] * s[i - 1] along d (or from the end); differentiable to any order, without a division."""
    same_device("recurrence", a, b)
    out = empty(spec_of(b._spec.dtype, b._spec.device, b._spec.shape), "recurrence")
    _walk("recurrence", walks.RECURRENCE, (out,), (a, b), d, reverse=reverse)

    def pull(node, g):
        a, b = node.unpack()
        slope = recurrence(conj(_shifted(a, d, 0.0, not reverse)), g, d, not reverse)
        return slope * conj(_shifted(recurrence(a, b, d, reverse), d, 0.0, reverse)), slope

    return recorded(out, "recurrence", (a, b), pull, save=(a, b))


# ------------------------------------------------------------------------------------------------ scans
@composite
def cumprod(input, dim, *, dtype=None, out=None):
    "The running product along a dim; integers and bools multiply in int64."
    x = tensor_of("cumprod", input)
    d = layout.dim_of("cumprod", dim, x._spec.ndim)
    if dtype is not None:
        x = x.to(dtype)
    result = _cumprod(x.to(accumulating(x._spec.dtype)), d)
    result = result if dtype is None else result.to(dtype)
    return result if out is None else into("cumprod", result, out)


def _cumprod(x: Tensor, d: int) -> Tensor:
    if not x._spec.ndim:
        return x.clone()
    out = empty(spec_of(x._spec.dtype, x._spec.device, x._spec.shape), "cumprod")
    _walk("cumprod", walks.CUMPROD, (out,), (x,), d)

    def pull(node, g):
        (x,) = node.unpack()
        before = _cumprod(_shifted(x, d, 1.0), d)
        return (conj(before) * recurrence(conj(_shifted(x, d, 0.0, True)), g, d, True),)

    return recorded(out, "cumprod", (x,), pull, save=(x,))


@composite
def logcumsumexp(input, dim, *, out=None):
    "log(cumsum(e**x)) along a dim, without leaving the range of the dtype."
    x = tensor_of("logcumsumexp", input)
    if not x._spec.dtype.differentiable:
        raise RuntimeError(f"logcumsumexp: not supported for {x._spec.dtype.name} tensors; convert to floating point first")
    d = layout.dim_of("logcumsumexp", dim, x._spec.ndim)
    result = _complex_logcumsumexp(x, d) if x._spec.dtype.is_complex else _logcumsumexp(x, d)
    return result if out is None else into("logcumsumexp", result, out)


def _complex_logcumsumexp(x: Tensor, d: int) -> Tensor:
    """Of numbers scaled by the element of the largest real part so far, as a recurrence: what was added before is scaled anew where that grows."""
    if not x._spec.numel:
        return x.clone()
    if not x._spec.ndim:
        return x.clone()
    top = gather(x.detach(), d, cummax(real(x.detach()), d).indices)
    top = where(real(top).isfinite(), top, 0.0)
    before = _shifted(top, d, 0.0)
    grown = where(real(before) > real(top), 0.0, (before - top).exp())  # what was before -inf counts for nothing
    return recurrence(grown, (x - top).exp(), d).log() + top


def _logcumsumexp(x: Tensor, d: int) -> Tensor:
    if not x._spec.ndim:
        return x.clone()
    out = empty(spec_of(x._spec.dtype, x._spec.device, x._spec.shape), "logcumsumexp")
    _walk("logcumsumexp", walks.LOGCUMSUMEXP, (out,), (x,), d, imports="from numtape.kernels.vecmath import exp_f64, log_f64\n")

    def pull(node, g):  # the sum of g[k] * exp(x[i] - out[k]) over k >= i, with no exponential above 1
        (x,) = node.unpack()
        out = _logcumsumexp(x, d)
        following = _shifted(out, d, float("inf"), True)
        empty_yet = out == float("-inf")
        shrink = where(empty_yet, float("-inf"), out - following).exp()
        return (where(empty_yet, float("-inf"), x - out).exp() * recurrence(shrink, g, d, True),)

    return recorded(out, "logcumsumexp", (x,), pull, save=(x,))


def _running_extremum(name: str, input, dim, out):
    x = tensor_of(name, input)
    d = layout.dim_of(name, dim, x._spec.ndim)
    s = x._spec
    values = copied(x, s) if not s.ndim else empty(spec_of(s.dtype, s.device, s.shape), name)
    indices = empty(spec_of(dtypes.int64, s.device, s.shape), name)
    if not s.ndim:
        recorded(values, name, (x,), lambda node, g: (g,))
        return _given(name, values_indices(values, indices.zero_()), out)
    _walk(name, walks.RUNNING_EXTREMUM, (values, indices), (x,), d)
    recorded(values, name, (x,), lambda node, g: (scatter_into_zeros(g, d, *node.unpack(), s),), save=(indices,))
    return _given(name, values_indices(values, indices), out)


@composite
def cummax(input, dim, *, out=None):
    "The largest element so far along a dim and where it stands, the last of equals: (values, indices). A NaN stays."
    return _running_extremum("cummax", input, dim, out)


@composite
def cummin(input, dim, *, out=None):
    "The smallest element so far along a dim and where it stands, the last of equals: (values, indices). A NaN stays."
    return _running_extremum("cummin", input, dim, out)


def _before(self: Tensor) -> Tensor:
    """What is about to be overwritten, for an op that may keep its input."""
    return self.clone() if wanted(self) else self.detach()


def cumsum_(self, dim, *, dtype=None):
    """The running sum along a dim, in place."""
    check_inplace(self, "cumsum_")
    return self.copy_(scan.cumsum(_before(self), dim, dtype=dtype))


def cumprod_(self, dim, *, dtype=None):
    """The running product along a dim, in place."""
    check_inplace(self, "cumprod_")
    return self.copy_(cumprod(_before(self), dim, dtype=dtype))


# ------------------------------------------------------------------------------------------------ differences and areas
@composite
def diff(input, n=1, dim=-1, prepend=None, append=None, *, out=None):
    "The differences of neighbours along a dim, n times over; for bools, whether they differ."
    x = tensor_of("diff", input)
    if not x._spec.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    d = layout.dim_of("diff", dim, x._spec.ndim)
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    for name, t in (("prepend", prepend), ("append", append)):
        if t is not None and t._spec.ndim != x._spec.ndim:
            raise RuntimeError(f"diff expects prepend or append to be the same dimension as input; {name} has {t._spec.ndim} dims, input {x._spec.ndim}")
    parts = [t for t in (prepend, x, append) if t is not None]
    x = cat(parts, d) if len(parts) > 1 else x
    result = x.clone() if n == 0 else x
    for _ in range(min(n, max(x._spec.shape[d], 1))):
        size = max(result._spec.shape[d] - 1, 0)
        left, right = narrow(result, d, 0, size), narrow(result, d, result._spec.shape[d] - size, size)
        result = right != left if x._spec.dtype is dtypes.bool else right - left
    return result if out is None else into("diff", result, out)


def _halves(name: str, y: Tensor, x, dx, dim: int):
    """Neighbouring values of y and the steps between their places (None: all dx)."""
    y = tensor_of(name, y)
    if x is not None and dx is not None:
        raise TypeError(f"{name}() received an invalid combination of arguments: give x or dx, not both")
    d = layout.dim_of(name, dim, y._spec.ndim)
    if not y._spec.ndim:
        raise IndexError(f"{name}: expected y to have dims, got a tensor without")
    for t, what in ((y, "y"), (x, "x")):
        if t is not None and t._spec.dtype is dtypes.bool:
            raise RuntimeError(f"{name}: received a bool input for `{what}`, but bool is not supported")
    n = y._spec.shape[d]
    steps = 1 if dx is None else dx
    if x is not None:
        if x._spec.ndim == 1:
            if x._spec.shape[0] != n and x._spec.shape[0] != 1:
                raise RuntimeError(f"{name}: There must be one `x` value for each sample point: got {x._spec.shape[0]} for {n}")
            x = x.reshape(*(-1 if k == d else 1 for k in range(y._spec.ndim)))
        elif x._spec.ndim < y._spec.ndim:
            x = x.reshape(*(1,) * (y._spec.ndim - x._spec.ndim), *x.shape)
        size = max(x._spec.shape[d] - 1, 0)
        steps = narrow(x, d, x._spec.shape[d] - size, size) - narrow(x, d, 0, size)
    size = max(n - 1, 0)
    return d, narrow(y, d, 0, size) + narrow(y, d, n - size, size), steps


@composite(aliases=("trapz",))
def trapezoid(y, x=None, *, dx=None, dim=-1):
    "The area under the samples y along a dim by the trapezoidal rule: at the places x, or dx apart."
    d, pairs, steps = _halves("trapezoid", y, x, dx, dim)
    if not y._spec.shape[d]:
        return zeros_like(select(y.sum(d, True), d, 0))
    return (pairs * steps).sum(d) / 2.0


@composite
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    "The areas under the samples y up to each but the first, by the trapezoidal rule."
    d, pairs, steps = _halves("cumulative_trapezoid", y, x, dx, dim)
    return (pairs * steps).cumsum(d) / 2.0


METHODS = {"cumsum_": cumsum_, "cumprod_": cumprod_}
FUNCTION_ONLY = {"trapezoid", "trapz", "cumulative_trapezoid"}
