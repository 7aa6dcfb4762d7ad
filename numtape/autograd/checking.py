"""Derivatives against finite differences, in float64."""

from __future__ import annotations

from numtape import autograd
from numtape.autograd import forward_ad, mode
from numtape.autograd.derivatives import unit_like


class GradcheckError(RuntimeError):
    """Analytical and numerical derivatives differ."""


def _outputs(function, inputs) -> list:
    found = function(*inputs)
    found = list(found) if isinstance(found, (tuple, list)) else [found]
    return [part for t in found if t.dtype.differentiable for part in ((t.real, t.imag) if t.dtype.is_complex else (t,))]


def _in_parts(function, inputs):
    """The function and its inputs with a complex input that requires grad as two real ones; so derivatives are of real numbers by real ones."""
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    split = [getattr(t, "_requires_grad", False) and t.dtype.is_complex for t in inputs]
    if True not in split:
        return function, inputs
    parts = []
    for t, apart in zip(inputs, split):
        parts += [p.clone().requires_grad_() for p in (t.detach().real, t.detach().imag)] if apart else [t]

    def joined(*given):
        rest = iter(given)
        return function(*[next(rest) + next(rest) * 1j if apart else next(rest) for apart in split])

    return joined, tuple(parts)


def _check_inputs(inputs):
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = [t for t in inputs if getattr(t, "_requires_grad", False)]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.")
    for t in checked:
        if t.dtype.itemsize != 8:
            raise ValueError(f"gradcheck: inputs must be float64 for finite differences to be accurate, got {t.dtype.name}; use .double()")
    return inputs, checked


def gradcheck(
    func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, check_forward_ad=False, check_backward_ad=True, fast_mode=False
) -> bool:
    """Whether the derivatives of `func(*inputs)` agree with central differences; inputs are float64 or complex128.

    With `check_forward_ad` those of forward mode, too. `fast_mode` changes nothing: all elements are looked at.

    Raises `RuntimeError` naming input, output and the largest difference, or returns False if `raise_exception` is False.

    >>> import numtape as nt
    >>> nt.autograd.gradcheck(nt.exp, nt.randn(3, dtype=nt.float64, requires_grad=True))
    True
    """
    func, inputs = _in_parts(func, inputs)
    inputs, checked = _check_inputs(inputs)
    outputs = _outputs(func, inputs)
    try:
        for o, output in enumerate(outputs):
            flat_output = output.reshape(-1)
            for t in checked:
                rows = []
                for k in range(flat_output.numel()):
                    row = None
                    if output.requires_grad:
                        row = autograd.grad(flat_output[k], t, retain_graph=True, allow_unused=True)[0]
                    rows.append([0.0] * t.numel() if row is None else row.reshape(-1).tolist())
                numerical, place = _numerical(func, inputs, t, o, eps), next(i for i, a in enumerate(inputs) if a is t)
                if check_backward_ad:
                    _compare(rows, numerical, place, o, atol, rtol)
                if check_forward_ad:
                    _compare(_pushed(func, inputs, t, o), numerical, place, o, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _pushed(func, inputs, t, o):
    """The Jacobian of output o with respect to t by forward mode: rows are outputs."""
    columns = []
    for k in range(t.numel()):
        with forward_ad.dual_level():
            moved = forward_ad.make_dual(t.detach(), unit_like(t, k))
            output = _outputs(func, tuple(moved if a is t else a for a in inputs))[o]
            found = forward_ad.unpack_dual(output).tangent
            columns.append([0.0] * output.numel() if found is None else found.detach().reshape(-1).tolist())
    return [list(row) for row in zip(*columns)] if columns else []


def _numerical(func, inputs, t, o, eps):
    """The Jacobian of output o with respect to t: rows are outputs."""
    columns = []
    with mode.no_grad():
        values = t.detach().contiguous().reshape(-1).tolist()
        for k in range(len(values)):
            ends = []
            for sign in (1, -1):
                moved = list(values)
                moved[k] += sign * eps
                shifted = t.new_tensor(moved).reshape(t.shape)
                ends.append(_outputs(func, tuple(shifted if a is t else a for a in inputs))[o].reshape(-1).tolist())
            columns.append([(a - b) / (2 * eps) for a, b in zip(*ends)])
    return [list(row) for row in zip(*columns)] if columns else []


def _compare(analytical, numerical, i, o, atol, rtol):
    for j, (row, expected) in enumerate(zip(analytical, numerical)):
        for k, (a, n) in enumerate(zip(row, expected)):
            if not abs(a - n) <= atol + rtol * abs(n):
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {i}, element {j} by element {k}: numerical {n:.6g}, analytical {a:.6g}"
                )


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True) -> bool:
    """Whether the second derivatives of `func(*inputs)` agree with central differences of the first."""
    func, inputs = _in_parts(func, inputs)
    inputs, checked = _check_inputs(inputs)
    outputs = _outputs(func, inputs)
    if grad_outputs is not None:
        grad_outputs = [p for g in grad_outputs for p in ((g.real, g.imag) if g.dtype.is_complex else (g,))]
    if grad_outputs is None:
        grad_outputs = [t.new_tensor([0.5 + 0.25 * (k % 5) for k in range(t.numel())]).reshape(t.shape).requires_grad_() for t in outputs]
    count = len(checked)

    def first(*args):
        given = list(args)
        replaced = iter(given[:count])
        arguments = [next(replaced) if any(a is c for c in checked) else a for a in inputs]
        arguments = [a if not any(a is g for g in given) or a._requires_grad else a.detach().requires_grad_() for a in arguments]
        with mode.enable_grad():
            results = [t for t in _outputs(func, tuple(arguments)) if t.requires_grad]
            targets = [a for a, original in zip(arguments, inputs) if any(original is c for c in checked)]
            seeds = given[count : count + len(results)]
            found = autograd.grad(results, targets, seeds, create_graph=True, allow_unused=True)
        return [t.new_zeros(t.shape) * t if g is None else g for t, g in zip(targets, found)]

    return gradcheck(first, (*checked, *grad_outputs), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
