"""nn: the loss functions, values, gradients and errors against PyTorch's."""

import numpy as np
import pytest

import numtape as nt

torch = pytest.importorskip("torch")
F, TF = nt.nn.functional, torch.nn.functional
RNG = np.random.default_rng(0)


def both(name, arrays, grads=(0,), tol=1e-12, **options):
    "Call one loss of both libraries on the same float64 data; compare value, dtype and gradients."
    results = []
    for lib in (nt, torch):
        tensors = [lib.tensor(a, requires_grad=i in grads) for i, a in enumerate(arrays)]
        given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        loss = getattr(lib.nn.functional, name)(*tensors, **given)
        (loss * lib.arange(1, loss.numel() + 1).reshape(loss.shape)).sum().backward()
        results.append((loss, [tensors[i].grad for i in grads]))
    (loss, ours), (torch_loss, theirs) = results
    assert tuple(loss.shape) == tuple(torch_loss.shape)
    np.testing.assert_allclose(loss.detach().numpy(), torch_loss.detach().numpy(), rtol=tol, atol=tol)
    for g, h in zip(ours, theirs):
        np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=max(tol, 1e-11), atol=tol)


SHAPES = [((5,), ()), ((4, 5), (4,)), ((2, 5, 3), (2, 3)), ((2, 5, 3, 2), (2, 3, 2))]


@pytest.mark.parametrize("ignored", [None, -100, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape, target_shape", SHAPES)
def test_cross_entropy_of_classes(shape, target_shape, reduction, weighted, smoothing, ignored):
    target = RNG.integers(0, 5, target_shape)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if weighted:
        options["weight"] = np.arange(1.0, 6.0)
    if ignored is not None:
        options["ignore_index"] = ignored
        if target.ndim:
            target.flat[0] = ignored
    both("cross_entropy", [RNG.normal(size=shape), target], **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [s for s, _ in SHAPES])
def test_cross_entropy_of_probabilities(shape, reduction, weighted, smoothing):
    target = RNG.uniform(size=shape)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if weighted:
        options["weight"] = np.arange(1.0, 6.0)
    both("cross_entropy", [RNG.normal(size=shape), target], grads=(0, 1), **options)


def test_cross_entropy_everyday_call_in_float32():
    x, y = RNG.normal(size=(64, 10)).astype(np.float32) * 30, RNG.integers(0, 10, 64)
    both("cross_entropy", [x, y], tol=2e-6)


def test_cross_entropy_all_ignored_is_nan():
    x, y = nt.zeros(2, 3), nt.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(x, y).item()) and F.cross_entropy(x, y, reduction="sum").item() == 0.0


def test_ignored_index_is_no_negative_index():
    both("cross_entropy", [RNG.normal(size=(3, 200)), np.array([5, -100, 7])])
    both("cross_entropy", [RNG.normal(size=(3, 4)), np.array([0, 3, -1])], ignore_index=-1)


def test_ignored_target_with_infinite_loss_counts_nothing():
    logp = np.log(np.array([[0.0, 1.0], [0.5, 0.5]]) + 0.0, where=[[False, True], [True, True]], out=np.full((2, 2), -np.inf))
    both("nll_loss", [logp, np.array([0, 1])], ignore_index=0)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape, target_shape", SHAPES)
def test_nll_loss(shape, target_shape, reduction):
    both("nll_loss", [RNG.normal(size=shape), RNG.integers(0, 5, target_shape)], reduction=reduction, weight=np.arange(1.0, 6.0))


def fails_alike(name, make, **options):
    kinds = []
    for lib in (nt, torch):
        with pytest.raises((ValueError, RuntimeError, IndexError)) as caught:
            getattr(lib.nn.functional, name)(*make(lib), **options)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1], kinds


@pytest.mark.parametrize(
    "make, options",
    [
        (lambda lib: (lib.zeros(3, 4), lib.tensor([0, 1])), {}),
        (lambda lib: (lib.zeros(3, 4), lib.tensor([0, 1, 7])), {}),
        (lambda lib: (lib.zeros(3, 4), lib.tensor([0, 1, -1])), {}),
        (lambda lib: (lib.zeros(3, 4), lib.tensor([0, 1, -1])), {"reduction": "sum"}),
        (lambda lib: (lib.zeros(3, 4), lib.zeros(3)), {}),
        (lambda lib: (lib.zeros(3, 4), lib.zeros(3, 3)), {}),
        (lambda lib: (lib.zeros(3, 4, 5), lib.zeros(3, 4, dtype=lib.int64)), {}),
        (lambda lib: (lib.zeros(3, 4), lib.tensor([0, 1, 2]), lib.ones(3)), {}),
        (lambda lib: (lib.zeros(3, 4), lib.tensor([0, 1, 2])), {"label_smoothing": 2.0}),
        (lambda lib: (lib.zeros(3, 4), lib.tensor([0, 1, 2])), {"reduction": "max"}),
    ],
)
def test_cross_entropy_refuses(make, options):
    fails_alike("cross_entropy", make, **options)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_regression(name, shape, reduction):
    both(name, [RNG.normal(size=shape), RNG.normal(size=shape)], grads=(0, 1), reduction=reduction)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_regression_warns_where_it_broadcasts(name):
    with pytest.warns(UserWarning, match="different to the input size"):
        getattr(F, name)(nt.zeros(3, 1), nt.zeros(3))
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        getattr(F, name)(nt.zeros(3), nt.zeros(3), reduction="max")
    with pytest.warns(UserWarning, match="reduction='sum'"):
        assert getattr(F, name)(nt.zeros(3), nt.ones(3), False).item() == 3.0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy(weighted, reduction):
    p, t = RNG.uniform(0.01, 0.99, (4, 3)), RNG.uniform(size=(4, 3))
    options = {"weight": np.array([1.0, 2.0, 3.0])} if weighted else {}
    both("binary_cross_entropy", [p, t], grads=(0, 1), reduction=reduction, **options)
    both("binary_cross_entropy_with_logits", [p * 4 - 2, t], grads=(0, 1), reduction=reduction, **options)
    both("binary_cross_entropy_with_logits", [p, t], reduction=reduction, pos_weight=np.array([1.0, 2.0, 3.0]), **options)


def test_binary_cross_entropy_at_the_ends():
    p, t = np.array([0.0, 1.0, 0.0, 1.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    both("binary_cross_entropy", [p, t], tol=1e-8)  # PyTorch's 1e-12 is a float32
    logits = np.array([0.0, 25.0, -25.0, 1000.0, -1000.0])
    both("binary_cross_entropy_with_logits", [logits, t], grads=(0,))
    both("logsigmoid", [logits])


def test_binary_cross_entropy_refuses():
    fails_alike("binary_cross_entropy", lambda lib: (lib.tensor([1.5]), lib.tensor([1.0])))
    fails_alike("binary_cross_entropy", lambda lib: (lib.tensor([0.5, 0.2]), lib.tensor([1.0])))
    fails_alike("binary_cross_entropy_with_logits", lambda lib: (lib.tensor([0.5, 0.2]), lib.tensor([1.0])))


MODULES = {
    "CrossEntropyLoss": ({"weight": np.arange(1.0, 6.0), "label_smoothing": 0.1, "ignore_index": 1}, "classes"),
    "NLLLoss": ({"weight": np.arange(1.0, 6.0), "reduction": "sum"}, "classes"),
    "MSELoss": ({"reduction": "sum"}, "same"),
    "L1Loss": ({}, "same"),
    "BCELoss": ({"weight": np.arange(1.0, 6.0)}, "same"),
    "BCEWithLogitsLoss": ({"pos_weight": np.arange(1.0, 6.0), "reduction": "none"}, "same"),
}


@pytest.mark.parametrize("name", MODULES)
def test_loss_modules(name):
    options, kind = MODULES[name]
    x = RNG.uniform(0.1, 0.9, (4, 5))
    y = RNG.integers(0, 5, 4) if kind == "classes" else RNG.uniform(size=(4, 5))
    values = []
    for lib in (nt, torch):
        module = getattr(lib.nn, name)(**{k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()})
        values.append((module(lib.tensor(x), lib.tensor(y)).numpy(), list(module.state_dict()), repr(module)))
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-12)
    assert values[0][1:] == values[1][1:]
