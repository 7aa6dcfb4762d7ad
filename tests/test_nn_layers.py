"""nn: layers, functions and first values, against PyTorch where it is installed."""

import numpy as np
import pytest

import numtape as nt
from numtape import nn


def torch_or_skip():
    return pytest.importorskip("torch")


def same(a, b, tol=1e-6):
    "An nt tensor and a torch tensor hold the same numbers in the same shape."
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def copy_into(model, torch_model):
    "Give an nt model the numbers of a torch model."
    state = {key: nt.tensor(value.detach().numpy()) for key, value in torch_model.state_dict().items()}
    assert repr(model.load_state_dict(state)) == "<All keys matched successfully>"


# ---- layers ----

LAYERS = {
    "Linear": lambda nn: nn.Linear(4, 3),
    "LinearNoBias": lambda nn: nn.Linear(4, 3, bias=False),
    "Identity": lambda nn: nn.Identity(),
    "ReLU": lambda nn: nn.ReLU(),
    "LeakyReLU": lambda nn: nn.LeakyReLU(0.2),
    "ELU": lambda nn: nn.ELU(1.5),
    "GELU": lambda nn: nn.GELU(),
    "GELUtanh": lambda nn: nn.GELU("tanh"),
    "SiLU": lambda nn: nn.SiLU(),
    "Softplus": lambda nn: nn.Softplus(2.0, 3.0),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "Softmax": lambda nn: nn.Softmax(-1),
    "LogSoftmax": lambda nn: nn.LogSoftmax(-1),
    "Flatten": lambda nn: nn.Flatten(0),
    "Unflatten": lambda nn: nn.Unflatten(-1, (2, -1)),
    "Dropout0": lambda nn: nn.Dropout(0.0),
}


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_values_and_gradients(name, shape):
    torch = torch_or_skip()
    if name == "Unflatten" and 0 in shape:
        pytest.skip("a size of -1 is ambiguous for an empty tensor")
    theirs, ours = LAYERS[name](torch.nn), LAYERS[name](nn)
    copy_into(ours, theirs)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 2
    a, b = nt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out_a, out_b = ours(a), theirs(b)
    same(out_a, out_b)
    (out_a * out_a).sum().backward()
    (out_b * out_b).sum().backward()
    same(a.grad, b.grad, 1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        same(p.grad, q.grad, 1e-5)


def test_mlp_trains_like_torch():
    torch = torch_or_skip()
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    ours = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    copy_into(ours, theirs)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(16, 4)).astype(np.float32), rng.integers(0, 3, 16)
    a, b = nt.optim.SGD(ours.parameters(), lr=0.5), torch.optim.SGD(theirs.parameters(), lr=0.5)
    for _ in range(10):
        for lib, model, optimizer in ((nt, ours, a), (torch, theirs, b)):
            optimizer.zero_grad()
            loss = lib.nn.functional.cross_entropy(model(lib.tensor(x)), lib.tensor(y))
            loss.backward()
            optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters()):
        same(p, q, 1e-4)


def test_linear_starts_in_its_bounds():
    layer = nn.Linear(16, 64)
    assert layer.weight.shape == (64, 16) and layer.bias.shape == (64,)
    for p in layer.parameters():
        largest = p.detach().abs().max().item()
        assert 0.2 < largest <= 0.25
    assert nn.Linear(3, 2, dtype=nt.float64).weight.dtype == nt.float64
    assert nn.Linear(3, 2, bias=False).bias is None and list(nn.Linear(3, 2, bias=False).state_dict()) == ["weight"]
    assert nn.Linear(0, 2)(nt.zeros(1, 0)).shape == (1, 2)


def test_inplace_activations():
    x = nt.tensor([-1.0, 2.0])
    cases = [(nn.ReLU(True), [0.0, 2.0]), (nn.LeakyReLU(0.5, True), [-0.5, 2.0]), (nn.ELU(inplace=True), [np.expm1(-1), 2.0])]
    for layer, expected in cases:
        y = x.clone()
        assert layer(y) is y and y.tolist() == pytest.approx(expected)


def test_dropout():
    nt.manual_seed(0)
    x = nt.ones(100, 100, requires_grad=True)
    y = nn.Dropout(0.25)(x)
    kept = (y != 0).numpy()
    assert 0.72 < kept.mean() < 0.78
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / 0.75, rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert nn.Dropout(0.25).eval()(x) is x
    assert nn.Dropout(1.0)(x).sum().item() == 0.0
    z = nt.ones(4)
    assert nn.functional.dropout(z, 1.0, inplace=True) is z and z.sum().item() == 0.0
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            nn.Dropout(p)
        with pytest.raises(ValueError, match="between 0 and 1"):
            nn.functional.dropout(z, p)


def test_softmax_without_dim_warns():
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        y = nn.functional.softmax(nt.zeros(2, 4))
    assert y[0].tolist() == [0.25] * 4
    assert nn.functional.softmax(nt.zeros(2, 4), 1, dtype=nt.float64).dtype == nt.float64


def test_one_hot():
    torch = torch_or_skip()
    x = np.array([[0, 2], [3, 1]])
    for classes in (-1, 6):
        ours, theirs = nn.functional.one_hot(nt.tensor(x), classes), torch.nn.functional.one_hot(torch.tensor(x), classes)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert ours.dtype == nt.int64
    for bad, classes in ((nt.tensor([1.0]), -1), (nt.tensor([-1]), -1), (nt.tensor([3]), 2), (nt.zeros(0, dtype=nt.int64), -1)):
        with pytest.raises(RuntimeError):
            nn.functional.one_hot(bad, classes)


# ---- init ----


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gain_equals_torch(name):
    torch = torch_or_skip()
    assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))


def test_init_spread():
    nt.manual_seed(1)
    w = nt.empty(200, 100)
    std = lambda: w.std().item()
    nn.init.xavier_uniform_(w)
    assert w.abs().max().item() <= (6 / 300) ** 0.5 and std() == pytest.approx((2 / 300) ** 0.5, rel=0.05)
    nn.init.xavier_normal_(w, gain=2.0)
    assert std() == pytest.approx(2 * (2 / 300) ** 0.5, rel=0.05)
    nn.init.kaiming_uniform_(w, nonlinearity="relu")
    assert std() == pytest.approx((2 / 100) ** 0.5, rel=0.05)
    nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
    assert std() == pytest.approx((2 / 200) ** 0.5, rel=0.05)
    nn.init.trunc_normal_(w, std=3.0, a=-1.0, b=2.0)
    assert -1 <= w.min().item() < -0.9 and 1.9 < w.max().item() <= 2
    nn.init.normal_(w, 5.0, 0.1)
    assert w.mean().item() == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (2, 3, 4)])
def test_orthogonal(shape):
    w = nn.init.orthogonal_(nn.Parameter(nt.empty(shape, dtype=nt.float64)), gain=2.0).detach().numpy().reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-13)
    with pytest.raises(ValueError, match="2 or more"):
        nn.init.orthogonal_(nt.empty(3))


def test_init_leaves_no_trace_on_the_tape():
    p = nn.Parameter(nt.empty(3, 3))
    for name in ("uniform_", "normal_", "ones_", "zeros_", "eye_", "xavier_uniform_", "trunc_normal_"):
        assert getattr(nn.init, name)(p) is p and p.is_leaf and p.requires_grad


def test_init_refuses():
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        nn.init.xavier_uniform_(nt.empty(3))
    with pytest.raises(ValueError, match="not supported"):
        nn.init.kaiming_uniform_(nt.empty(3, 3), mode="fan_sideways")
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        nn.init.calculate_gain("bump")
    with pytest.raises(ValueError, match="2 dimensions"):
        nn.init.eye_(nt.empty(3))
    with pytest.warns(UserWarning, match="no-op"):
        nn.init.kaiming_uniform_(nt.empty(0, 3))
