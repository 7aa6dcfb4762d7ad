"""The page to read first: the library at work, in ten lines."""

import numtape as nt


def test_learning_a_line():
    """Fit y = 3x + 2 by descending the gradient of the squared error."""
    x = nt.linspace(-1, 1, 50)
    y = 3 * x + 2
    slope, offset = nt.zeros(1, requires_grad=True), nt.zeros(1, requires_grad=True)
    for _ in range(200):
        loss = ((slope * x + offset - y) ** 2).mean()
        loss.backward()  # the tape knows what loss was computed from
        with nt.no_grad():  # these changes are not to be recorded
            for parameter in (slope, offset):
                parameter -= 0.3 * parameter.grad
                parameter.grad = None
    assert abs(slope.item() - 3) < 1e-3 and abs(offset.item() - 2) < 1e-3


def test_one_op_one_kernel():
    x = nt.randn(4, 5)
    with nt.kernels.log() as launched:
        y = x.softmax(dim=1)
    assert [k.name for k in launched] == ["row_softmax"] and "def kernel" in launched[0].text
    assert (y.sum(1) - 1).abs().max().item() < 1e-6


def test_second_derivative():
    x = nt.tensor(2.0, requires_grad=True)
    (first,) = nt.autograd.grad(x**3, x, create_graph=True)
    (second,) = nt.autograd.grad(first, x)
    assert (first.item(), second.item()) == (12, 12)
