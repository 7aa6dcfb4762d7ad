"""Products of vectors and matrices."""

from __future__ import annotations

from math import prod

from numtape import dtypes, layout
from numtape.autograd import mode
from numtape.autograd.tape import needs_grad
from numtape.dispatch import elementwise
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded, wanted
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.calls import remembering
from numtape.kernels.cpu.driver import launch, launch_new
from numtape.op import TABLE
from numtape.ops.complex import adjoint_of, conj, imag, real, times_i, view_as_complex, view_as_real
from numtape.ops.copy import alike, contiguous, tensor_of
from numtape.ops.creation import zeros
from numtape.ops.define import composite
from numtape.ops.index import cat, stack
from numtape.ops.part import part
from numtape.ops.view import expanded, unsqueeze
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, make

_plans: dict = {}
SMALL = 8192  # products of so many complex numbers are summed one by one


def _plan(a, b):
    """The launch of a product of (..., m, k) by (..., k, n) of equal dtype and batch shape, and the result's spec."""
    batch = a.shape[:-2]
    m, k = a.shape[-2:]
    n = b.shape[-1]
    spec = spec_of(a.dtype, a.device, (*batch, m, n))
    if not spec.numel:
        return None, spec
    sizes, (c_steps, a_steps, b_steps) = layout.coalesce(batch, spec.strides[:-2], a.strides[:-2], b.strides[:-2])
    strides = [*a.strides[-2:], *b.strides[-2:], n]
    with placing(a.device):
        return pattern(a.device, "matmul_plan").table(a.dtype.code, m, n, k, strides, sizes, c_steps, a_steps, b_steps, spec.nbytes), spec


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product over equal batch shapes; not recorded."""
    if a._spec.dtype.is_complex:
        with mode.no_grad():
            return alias(_complex_product(a, b))  # no view of what it was made of
    found = _plans.get((a._spec, b._spec))
    if found is None:
        if len(_plans) > 4096:
            _plans.clear()
        found = _plans[a._spec, b._spec] = _plan(a._spec, b._spec)
    table, spec = found
    if table is None:
        from numtape.tensor import empty

        return empty(spec, "matmul")
    try:
        return make(launch_new(table.address, a._address, b._address), spec)
    except MemoryError:
        raise MemoryError(f"matmul: cannot allocate {spec.nbytes:,} bytes for the result of shape {spec.shape}") from None


def _complex_product(a: Tensor, b: Tensor) -> Tensor:
    """The product of complex matrices as one real product of twice or four times the size, whose operand or result is seen as pairs.

    With a as rows (re, im, re, im, ...), b is needed as pairs of rows, of b and of i b. Where b is the larger one, the real and the imaginary
    parts of a are multiplied by b apart, as more rows, and brought together after.
    """
    m, k, n = *a._spec.shape[-2:], b._spec.shape[-1]
    batch = a._spec.shape[:-2]
    if not m * k * n * prod(batch):
        return zeros(*batch, m, n, dtype=a._spec.dtype, device=a._spec.device)
    if m * k * n * prod(batch) <= SMALL:
        return (unsqueeze(a, -1) * unsqueeze(b, -3)).sum(-2)
    if k * n > m * (k + n):
        parts = cat([real(a), imag(a)], -2)
        found = view_as_complex(_product(parts, view_as_real(contiguous(b)).reshape(*batch, k, 2 * n)).reshape(*batch, 2 * m, n, 2))
        return found[..., :m, :] + times_i(found[..., m:, :])
    pairs = view_as_real(stack([b, times_i(b)], -2)).reshape(*batch, 2 * k, 2 * n)
    return view_as_complex(_product(view_as_real(contiguous(a)).reshape(*batch, m, 2 * k), pairs).reshape(*batch, m, n, 2))


def _pull_product(node, g):
    a, b = node.unpack()
    left, right = node.inputs
    product = matmul if mode.state.layers else matrix_product  # of batches of `vmap`
    return (
        product(g, adjoint_of(b)) if left is not None else None,
        product(adjoint_of(a), g) if right is not None else None,
    )


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """The recorded product over equal batch shapes; of halves as float32, rounded at the end."""
    if a._spec.dtype.is_half:
        return matrix_product(a.float(), b.float()).to(a._spec.dtype)
    out = _known_product(a, b)
    if out is None:
        out = _product(a, b)
        table, spec = _plans.get((a._spec, b._spec), (None, None))
        if table is not None:
            _learn_product((a, b), spec, table, table=table.address, direct=True)
    else:
        out._requires_grad = False
    if wanted(a, b):
        recorded(out, "matmul", (a, b), _pull_product, save=_kept(a, b))
    return out


def _kept(a: Tensor, b: Tensor) -> tuple:
    """Each operand, if the derivative of the other needs it."""
    if not mode.state.enabled:
        return (None, None)
    return (a if b._requires_grad or needs_grad(b) else None, b if a._requires_grad or needs_grad(a) else None)


def _check(name: str, *tensors):
    for label, t in zip(("input", "other"), tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): argument '{label}' must be Tensor, not {type(t).__name__}")
    a, b = tensors
    elementwise.same_device(name, a, b)
    if a._spec.dtype is not b._spec.dtype:
        raise RuntimeError(f"{name}: expected both operands to have the same dtype, but got: {a._spec.dtype.name} and {b._spec.dtype.name}")


def _inner(name, x, y, k, n):
    if k != n:
        raise RuntimeError(
            f"{name}: inner sizes differ: input is {tuple(x.shape)}, other is {tuple(y.shape)}; "
            f"mat1 and mat2 shapes cannot be multiplied, expected other to have {k} rows"
        )


_known_product, _learn_product = remembering(2, completes=True)
_known_linear, _learn_linear = remembering(3, completes=True)


def _complete(out: Tensor, name: str, inputs: tuple, pull, save: tuple) -> None:
    """Record a known call that found an operand to require grad."""
    out._requires_grad = False
    recorded(out, name, inputs, pull, save)


@composite(domain="matmul")
def matmul(input, other, *, out=None):
    "The matrix product, batched over leading dims, which broadcast; vectors count as rows or columns."
    if out is None:
        result = _known_product(input, other)
        if result is not None:
            if result._requires_grad:
                _complete(result, "matmul", (input, other), _pull_product, save=_kept(input, other))
            return result
    _check("matmul", input, other)
    if out is not None:
        return into("matmul", matmul(input, other), out)
    x, y = input, other
    nx, ny = x._spec.ndim, y._spec.ndim
    if nx == 2 and ny == 2:
        _inner("matmul", x, y, x._spec.shape[1], y._spec.shape[0])
        if x._spec.dtype is dtypes.bool:
            return matmul(x.to(dtypes.int64), y.to(dtypes.int64)) != 0
        return matrix_product(x, y)
    if not nx or not ny:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {nx}D and {ny}D")
    if x._spec.dtype is dtypes.bool:
        return matmul(x.to(dtypes.int64), y.to(dtypes.int64)) != 0
    _inner("matmul", x, y, x._spec.shape[-1], y._spec.shape[-2 if ny > 1 else 0])
    if ny <= 2 and nx > 2:  # one product of all rows
        rows = x.reshape(-1, x._spec.shape[-1])
        result = matrix_product(rows, y if ny == 2 else y.unsqueeze(1))
        return result.reshape((*x._spec.shape[:-1], y._spec.shape[1]) if ny == 2 else x._spec.shape[:-1])
    a = x.unsqueeze(0) if nx == 1 else x
    b = y.unsqueeze(1) if ny == 1 else y
    batch = layout.broadcast_shapes("matmul", a._spec.shape[:-2], b._spec.shape[:-2])
    a, b = expanded(a, (*batch, *a._spec.shape[-2:])), expanded(b, (*batch, *b._spec.shape[-2:]))
    result = matrix_product(a, b)
    if nx == 1:
        result = result.squeeze(-2)
    return result.squeeze(-1) if ny == 1 else result


def _of_dims(name: str, x, y, nx, ny):
    _check(name, x, y)
    if x._spec.ndim != nx or y._spec.ndim != ny:
        raise RuntimeError(f"{name}: expected a {nx}D and a {ny}D tensor, got {tuple(x.shape)} and {tuple(y.shape)}")


@composite(domain="matmul")
def mm(input, mat2, *, out=None):
    "The product of two matrices."
    _of_dims("mm", input, mat2, 2, 2)
    return matmul(input, mat2, out=out)


@composite(domain="matmul")
def bmm(input, mat2, *, out=None):
    "The products of two batches of matrices."
    _of_dims("bmm", input, mat2, 3, 3)
    if input._spec.shape[0] != mat2._spec.shape[0]:
        raise RuntimeError(f"bmm: batch sizes differ: {tuple(input.shape)} and {tuple(mat2.shape)}")
    return matmul(input, mat2, out=out)


@composite(domain="matmul")
def mv(input, vec, *, out=None):
    "The product of a matrix and a vector."
    _of_dims("mv", input, vec, 2, 1)
    return matmul(input, vec, out=out)


@composite(domain="matmul")
def dot(input, tensor, *, out=None):
    "The inner product of two vectors."
    _of_dims("dot", input, tensor, 1, 1)
    return matmul(input, tensor, out=out)


@composite(domain="matmul", aliases=("ger",))
def outer(input, vec2, *, out=None):
    "The matrix of all products of the elements of two vectors."
    if tensor_of("outer", input)._spec.ndim != 1 or tensor_of("outer", vec2, "vec2")._spec.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D arguments, got {tuple(input.shape)} and {tuple(vec2.shape)}")
    result = input.unsqueeze(1) * vec2.unsqueeze(0)
    return result if out is None else into("outer", result, out)


def _added(name, input, product, beta, alpha, out):
    x, s = tensor_of(name, input)._spec, product._spec
    if x.dtype is not s.dtype and name != "addr":
        raise RuntimeError(f"{name}: expected input and the matrices to have the same dtype, but got {x.dtype.name} and {s.dtype.name}")
    if x.shape != s.shape and (len(x.shape) > len(s.shape) or layout.broadcast_shapes(name, x.shape, s.shape) != s.shape):
        raise RuntimeError(f"{name}: input of shape {list(x.shape)} cannot be expanded to the shape of the product, {list(s.shape)}")
    if alpha != 1:
        product = product * alpha
    result = product if beta == 0 else product + (input if beta == 1 else input * beta)
    return result if out is None else into(name, result, out)


@composite(domain="matmul")
def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    "beta * input + alpha * mat1 @ mat2."
    return _added("addmm", input, mm(mat1, mat2), beta, alpha, out)


@composite(domain="matmul")
def addmv(input, mat, vec, *, beta=1, alpha=1, out=None):
    "beta * input + alpha * mat @ vec."
    return _added("addmv", input, mv(mat, vec), beta, alpha, out)


@composite(domain="matmul")
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    "beta * input + alpha * batch1 @ batch2, for each of the batch."
    return _added("baddbmm", input, bmm(batch1, batch2), beta, alpha, out)


@composite(domain="matmul", functional=True)
def linear(input, weight, bias=None):
    "input @ weight.T + bias: input (..., k), weight (n, k), bias (n,)."
    result = None if bias is None else _known_linear(input, weight, bias)
    if result is not None:
        if result._requires_grad:
            _complete(result, "linear", (input, weight, bias), _pull_linear, save=_kept(input, weight))
        return result
    if not isinstance(input, Tensor) or not isinstance(weight, Tensor) or bias is not None and not isinstance(bias, Tensor):
        label, t = next((n, t) for n, t in (("input", input), ("weight", weight), ("bias", bias)) if not isinstance(t, Tensor))
        raise TypeError(f"linear(): argument '{label}' must be Tensor, not {type(t).__name__}")
    x, shape = input, input._spec.shape
    if x._spec.ndim != 2 or weight._spec.ndim != 2:
        if weight._spec.ndim > 2:
            raise RuntimeError(f"linear: weight: expected at most 2 dims, got shape {list(weight.shape)}")
        if weight._spec.ndim != 2 or not x._spec.ndim:
            result = matmul(x, weight.transpose(-2, -1) if weight._spec.ndim > 1 else weight)
            return result if bias is None else result + bias
        return linear(x.reshape(-1, shape[-1]), weight, bias).reshape(*shape[:-1], weight._spec.shape[0])
    if x._spec.dtype is not weight._spec.dtype or x._spec.device is not weight._spec.device or shape[1] != weight._spec.shape[1]:
        _check("linear", x, weight)
        _inner("linear", x, weight.t(), shape[1], weight._spec.shape[1])
    if bias is not None and bias._spec.dtype is not x._spec.dtype:
        alike("linear", x, bias)
    if bias is not None and (bias._spec.shape != weight._spec.shape[:1] or bias._spec.dtype is not x._spec.dtype or bias._spec.device is not x._spec.device):
        return matmul(x, weight.transpose(0, 1)) + bias
    if x._spec.dtype.is_half:
        return linear(x.float(), weight.float(), None if bias is None else bias.float()).to(x._spec.dtype)
    result = _product(x, _transposed(weight))
    if bias is not None:
        args = (result, bias)
        key = (result._spec, result._spec, bias._spec)
        plan = _add.plans.get(key)
        if plan is None:
            plan = _add.plans[key] = elementwise.make_plan(_add, args, result._spec)
        if plan.table:
            launch(plan.table, result._address, result._address, bias._address)
            table, spec = _plans.get((x._spec, _turned[weight._spec]), (None, None))
            if table is not None:
                _learn_linear((x, weight, bias), spec, (table, plan), table=table.address, second=plan.table, direct=True)
    operands = (x, weight) if bias is None else (x, weight, bias)
    return recorded(result, "linear", operands, _pull_linear, save=_kept(x, weight))


def _transposed(w: Tensor) -> Tensor:
    s = w._spec
    spec = _turned.get(s)
    if spec is None:
        spec = _turned[s] = spec_of(s.dtype, s.device, s.shape[::-1], s.strides[::-1])
    return alias(w, spec)


_turned: dict = {}
_add = TABLE["add"]


def _pull_linear(node, g):
    x, weight = node.unpack()
    left, right, *bias = node.inputs
    product = matmul if mode.state.layers else matrix_product
    return (
        product(g, conj(weight)) if left is not None else None,
        product(g.transpose(0, 1), conj(x)) if right is not None else None,
        *([g.sum(0) if bias[0] is not None else None] if bias else []),
    )


def _push_product(node, tangents):
    a, b = node.unpack()
    parts = [matmul(t, b) if k == 0 else matmul(a, t) for k, t in enumerate(tangents) if t is not None]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _push_linear(node, tangents):
    x, weight = node.unpack()
    total = None
    for k, t in enumerate(tangents):
        if t is not None:
            part = t.expand(node.spec.shape) if k == 2 else matmul(t, weight.t()) if k == 0 else matmul(x, t.t())
            total = part if total is None else total + part
    return total


_pull_product.push, _pull_linear.push = _push_product, _push_linear


# ------------------------------------------------------------------------------------------------ einsum
@composite(domain="matmul")
def einsum(equation, *operands):
    "Sums of products by Einstein's convention: 'ij,jk->ik' is a matrix product. '...' stands for broadcast dims."
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    inputs, _, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(f"einsum: the equation {equation!r} has {len(terms)} operands, but {len(operands)} were given")
    labels, named = _labels(equation, terms, operands)
    if "->" not in equation:
        counts = {c: sum(t.count(c) for t in terms) for c in set("".join(terms)) - {"."}}
        output = ("..." if any("..." in t for t in terms) else "") + "".join(sorted(c for c, n in counts.items() if n == 1))
    rank = max((len(lab) - len(t.replace("...", "")) for lab, t in zip(labels, terms) if "..." in t), default=0)
    dots = tuple(f".{i}" for i in range(rank - 1, -1, -1))
    wanted_labels = _expand(output, dots)
    for c in wanted_labels:
        if c not in named or wanted_labels.count(c) > 1:
            raise RuntimeError(f"einsum: output subscript {c} of {equation!r} does not appear in the equation for any input operand, or appears twice")
    result, have = operands[0], labels[0]
    result, have = _diagonals(result, have)
    for index, (other, lab) in enumerate(zip(operands[1:], labels[1:]), 1):
        other, lab = _diagonals(other, lab)
        later = {c for rest in labels[index + 1 :] for c in rest} | set(wanted_labels)
        result, have = _contract(result, have, other, lab, later)
    gone = [i for i, c in enumerate(have) if c not in wanted_labels]
    if gone:
        result = result.sum(gone)
        have = [c for c in have if c in wanted_labels]
    return result.permute([have.index(c) for c in wanted_labels]) if have else result


def _expand(term, dots):
    head, ellipsis, tail = term.partition("...")
    return [*head, *(dots if ellipsis else ()), *tail]


def _labels(equation, terms, operands):
    labels, sizes = [], {}
    for term, operand in zip(terms, operands):
        tensor_of("einsum", operand)
        letters = term.replace("...", "")
        if not all(c.isalpha() for c in letters):
            raise RuntimeError(f"einsum: subscripts must be letters, got {term!r} in {equation!r}")
        rank = operand.ndim - len(letters)
        if rank < 0 or rank > 0 and "..." not in term:
            raise RuntimeError(f"einsum: operand of shape {tuple(operand.shape)} does not match the subscripts {term!r}")
        lab = _expand(term, tuple(f".{i}" for i in range(rank - 1, -1, -1)))
        labels.append(lab)
        for c, n in zip(lab, operand.shape):
            if sizes.setdefault(c, n) != n:
                if 1 not in (sizes[c], n):
                    raise RuntimeError(f"einsum: subscript {c} has size {sizes[c]} and {n} in {equation!r}")
                sizes[c] = max(sizes[c], n)
    return labels, sizes


def _diagonals(x, lab):
    """Repeated subscripts of one operand: keep the diagonal."""
    lab = list(lab)
    while len(set(lab)) < len(lab):
        i = next(k for k, c in enumerate(lab) if lab.count(c) > 1)
        j = lab.index(lab[i], i + 1)
        x = _diagonal(x, i, j)
        del lab[j]
    return x, lab


def _diagonal(x, i, j):
    """The elements whose indices in dims i and j are equal; dim j disappears."""
    s = x._spec
    keep = [d for d in range(s.ndim) if d != j]
    strides = [s.strides[d] + (s.strides[j] if d == i else 0) for d in keep]
    return part(x, [s.shape[d] for d in keep], strides, 0, "diagonal", lambda z: _diagonal(z, i, j))


def _contract(x, a, y, b, later):
    """The product of two operands, summed over the subscripts that nothing later needs: one batched matrix product."""
    for c in [c for c in a if c not in b and c not in later]:
        x, a = x.sum(a.index(c)), [d for d in a if d != c]
    for c in [c for c in b if c not in a and c not in later]:
        y, b = y.sum(b.index(c)), [d for d in b if d != c]
    shared = [c for c in a if c in b]
    summed = [c for c in shared if c not in later]
    batch = [c for c in shared if c in later]
    rows, columns = [c for c in a if c not in shared], [c for c in b if c not in shared]
    size = {}
    for lab, t in ((a, x), (b, y)):
        for c, n in zip(lab, t.shape):
            size[c] = n if size.get(c, 1) == 1 else size[c]
    x = x.permute([a.index(c) for c in batch + rows + summed]).expand([size[c] for c in batch + rows + summed])
    y = y.permute([b.index(c) for c in batch + summed + columns]).expand([size[c] for c in batch + summed + columns])
    shape = [size[c] for c in batch]
    m, k, n = prod(size[c] for c in rows), prod(size[c] for c in summed), prod(size[c] for c in columns)
    x, y = x.reshape(*shape, m, k), y.reshape(*shape, k, n)
    result = x * y if k == 1 else matmul(x, y)
    return result.reshape(*shape, *(size[c] for c in rows), *(size[c] for c in columns)), batch + rows + columns

