"""Jacobians, Hessians and products with them of functions of one tensor or a tuple of tensors, under the names of `torch.autograd.functional`.

A function of one tensor gives plain results, one of a tuple gives tuples. Results are connected to a graph with `create_graph` alone.
"""

from __future__ import annotations

from numtape import autograd
from numtape.autograd import mode, tape
from numtape.autograd.derivatives import Followed, is_tensor, jacobian_by_columns, jacobian_by_rows

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _listed(name: str, what: str, value) -> tuple[list, bool]:
    """The tensors of a tensor or a tuple of tensors, and whether it was a tuple."""
    several = isinstance(value, tuple)
    values = list(value) if several else [value]
    for i, t in enumerate(values):
        if not is_tensor(t):
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the value at index {i} has type {type(t)}."
            )
    return values, several


class _Call:
    """The function called with its inputs followed."""

    def __init__(self, name: str, func, inputs, create_graph: bool):
        given, self.several_in = _listed(name, "inputs", inputs)
        self.several_out = False

        def run(twins):
            outputs, self.several_out = _listed(name, "outputs of the user-provided function", func(*twins))
            return outputs

        if create_graph:
            with mode.enable_grad():
                self.followed = Followed(run, given, name, record=True)
        else:
            with mode.no_grad():
                self.followed = Followed(run, given, name, record=False)

    def outputs(self):
        return self.as_outputs(self.followed.values())

    def as_outputs(self, values):
        return tuple(values) if self.several_out else values[0]

    def as_inputs(self, values):
        return tuple(values) if self.several_in else values[0]


def _vector(name: str, v, like: list, several: bool) -> list:
    """The vector of a product, checked against what it goes with; ones where that is a single number."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if the {'user-provided function returns' if name in ('vjp', 'vhp') else 'input is'} a single Tensor with a single element.")
        return [like[0].detach().new_ones(like[0].shape)]
    given, _ = _listed(name, "v", v)
    if len(given) != len(like):
        raise RuntimeError(f"{name}: v is a tuple of invalid length: should be {len(like)} but got {len(given)}.")
    for i, (t, e) in enumerate(zip(given, like)):
        if t.shape != e.shape:
            raise RuntimeError(f"{name}: entry {i} of v has invalid size: should be {tuple(e.shape)} but got {tuple(t.shape)}.")
    return given


def _strict(name: str, call: _Call, strict: bool) -> None:
    """With `strict`, refuse outputs that depend on no input and inputs that no output depends on."""
    if not strict:
        return
    for i, output in enumerate(call.followed.outputs):
        if not tape.needs_grad(output):
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in a differentiable manner from the "
                "input when running in strict mode."
            )
        with mode.enable_grad():
            found = autograd.grad(output, call.followed.inputs, output.detach().new_ones(output.shape), retain_graph=True, allow_unused=True)
        for j, g in enumerate(found):
            if g is None:
                raise RuntimeError(f"{name}: Output {i} of the user-provided function is independent of input {j}. This is not allowed in strict mode.")


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The Jacobian of `func`: (*output, *input), or tuples of these, first by output, then by input.

    `strategy` is "reverse-mode" (a backward pass for each element of the output) or "forward-mode" (one for each of the input, with
    `vectorize` alone, as in PyTorch); `vectorize` changes nothing else.

    >>> import numtape as nt
    >>> nt.autograd.functional.jacobian(lambda x: x * x, nt.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs than inputs, "forward-mode" tends to be more performant.')
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError('jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported together')
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError('jacobian: strategy="forward-mode" needs vectorize=True')
    if vectorize and strict:
        raise RuntimeError("jacobian: strict=True and vectorized=True are not supported together")
    call = _Call("jacobian", func, inputs, create_graph)
    _strict("jacobian", call, strict)
    found = (jacobian_by_columns if strategy == "forward-mode" else jacobian_by_rows)(call.followed)
    return call.as_outputs([call.as_inputs(parts) for parts in found])


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The second derivatives of `func`, whose result is one number: (*input, *input), or a tuple of tuples of these.

    >>> import numtape as nt
    >>> nt.autograd.functional.hessian(lambda x: (x**3).sum(), nt.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    def first(*given):
        found = jacobian(lambda *x: _single("hessian", func(*x)), given, create_graph=True)
        return found if len(given) > 1 else found[0]

    given, several = _listed("hessian", "inputs", inputs)
    found = jacobian(first, tuple(given), create_graph, strict, vectorize, outer_jacobian_strategy)
    if not several:
        return found[0]
    return found if len(given) > 1 else (found,)


def _single(name: str, output):
    if not is_tensor(output):
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if output.numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return output.reshape(())


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """func(*inputs), and the product of v, shaped like the outputs, with the Jacobian.

    >>> import numtape as nt
    >>> nt.autograd.functional.vjp(lambda x: x * x, nt.tensor([1.0, 2.0]), nt.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    call = _Call("vjp", func, inputs, create_graph)
    _strict("vjp", call, strict)
    vector = _vector("vjp", v, call.followed.outputs, call.several_out)
    return call.outputs(), call.as_inputs(call.followed.pull(vector, keep=False, record=create_graph))


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """func(*inputs), and the product of the Jacobian with v, shaped like the inputs, in forward mode.

    >>> import numtape as nt
    >>> nt.autograd.functional.jvp(lambda x: x * x, nt.tensor([1.0, 2.0]), nt.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    call = _Call("jvp", func, inputs, create_graph)
    _strict("jvp", call, strict)
    vector = _vector("jvp", v, call.followed.inputs, call.several_in)
    with mode.enable_grad() if create_graph else mode.no_grad():
        found = call.followed.pusher()(vector)
    return call.outputs(), call.as_outputs(found)


def _gradient(name: str, func, inputs, create_graph, strict):
    """The call of func, and its gradient as a followed function of the inputs."""
    given, several = _listed(name, "inputs", inputs)
    values = []

    def first(*twins):
        value = _single(name, func(*twins))
        values.append(value)
        if not tape.needs_grad(value):
            return tuple(t * 0 for t in twins)
        found = autograd.grad(value, list(twins), create_graph=True, allow_unused=True)
        return tuple(t * 0 if g is None else g for t, g in zip(twins, found))

    call = _Call(name, first, tuple(given), create_graph)
    call.several_in, call.several_out = several, several
    _strict(name, call, strict)
    return call, values[0] if create_graph else values[0].detach()


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """func(*inputs), one number, and the product of v, shaped like the inputs, with the matrix of its second derivatives.

    >>> import numtape as nt
    >>> nt.autograd.functional.vhp(lambda x: (x**3).sum(), nt.tensor([1.0, 2.0]), nt.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    call, value = _gradient("vhp", func, inputs, create_graph, strict)
    vector = _vector("vhp", v, call.followed.inputs, call.several_in)
    return value, call.as_inputs(call.followed.pull(vector, keep=False, record=create_graph))


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """func(*inputs), one number, and the product of the matrix of its second derivatives with v, which is shaped like the inputs.

    The matrix is symmetric, so this is `vhp`.

    >>> import numtape as nt
    >>> nt.autograd.functional.hvp(lambda x: (x**3).sum(), nt.tensor([1.0, 2.0]), nt.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return vhp(func, inputs, v, create_graph, strict)
