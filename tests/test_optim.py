"""optim: twenty steps against PyTorch's optimizers, settings, state dicts and errors."""

import copy
import pickle

import numpy as np
import pytest

import numtape as nt

SGDS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
    {"weight_decay": 0.1},
    {"momentum": 0.8, "weight_decay": 0.1, "nesterov": True, "maximize": True},
    {"maximize": True},
]
ADAMS = [
    {},
    {"betas": (0.5, 0.9), "eps": 1e-3},
    {"weight_decay": 0.1},
    {"amsgrad": True},
    {"amsgrad": True, "weight_decay": 0.1, "maximize": True},
]
CASES = [("SGD", o) for o in SGDS] + [("Adam", o) for o in ADAMS] + [("AdamW", o) for o in ADAMS]


def run(lib, name, options, dtype, steps=20, optimizer_hook=None):
    "A least-squares problem with a parameter that has no gradient; returns the parameters after the steps."
    rng = np.random.default_rng(3)
    make = lambda *shape: rng.normal(size=shape).astype(dtype)
    x, y = lib.tensor(make(8, 4)), lib.tensor(make(8, 3))
    params = [lib.tensor(make(4, 3), requires_grad=True), lib.tensor(make(3), requires_grad=True), lib.tensor(make(2), requires_grad=True)]
    optimizer = getattr(lib.optim, name)(params, lr=0.05, **options)
    for step in range(steps):
        optimizer.zero_grad()
        ((x @ params[0] + params[1] - y) ** 2).mean().backward()
        optimizer.step()
        if optimizer_hook:
            optimizer = optimizer_hook(step, optimizer, params)
    return [p.detach().numpy() for p in params]


@pytest.mark.parametrize("dtype, tol", [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("name, options", CASES)
def test_twenty_steps(name, options, dtype, tol):
    torch = pytest.importorskip("torch")
    for ours, theirs in zip(run(nt, name, options, dtype), run(torch, name, options, dtype)):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=tol, atol=tol)


@pytest.mark.parametrize("name, options", [("Adam", {}), ("AdamW", {"amsgrad": True})])
def test_capturable_counts_in_a_tensor(name, options):
    expected = run(nt, name, options, np.float64)
    for ours, theirs in zip(run(nt, name, {**options, "capturable": True}, np.float64), expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_lr_as_a_tensor(name):
    torch = pytest.importorskip("torch")

    def tensor_lr(lib):
        p = lib.tensor([1.0, -2.0], requires_grad=True)
        optimizer = getattr(lib.optim, name)([p], lr=lib.tensor(0.1))
        for _ in range(3):
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()
        return p.tolist()

    assert tensor_lr(nt) == pytest.approx(tensor_lr(torch), rel=1e-5)


@pytest.mark.parametrize("name, options", [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {})])
def test_resuming_from_a_state_dict(name, options):
    def resume(step, optimizer, params):
        if step != 7:
            return optimizer
        state = pickle.loads(pickle.dumps(optimizer.state_dict()))
        fresh = getattr(nt.optim, name)(params, lr=99.0)
        fresh.load_state_dict(state)
        return fresh

    for ours, expected in zip(run(nt, name, options, np.float64, optimizer_hook=resume), run(nt, name, options, np.float64)):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("name, options", [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {"amsgrad": True})])
def test_state_dict_layout_is_torchs(name, options):
    torch = pytest.importorskip("torch")
    states = []
    for lib in (nt, torch):

        def keep(step, optimizer, params):
            states.append(optimizer.state_dict())
            return optimizer

        run(lib, name, options, np.float64, steps=1, optimizer_hook=keep)
    ours, theirs = states
    assert ours.keys() == theirs.keys() and ours["state"].keys() == theirs["state"].keys()
    assert ours["param_groups"][0]["params"] == [0, 1, 2]
    missing = theirs["param_groups"][0].keys() - ours["param_groups"][0].keys()
    assert missing <= {"foreach", "fused", "differentiable"} | ({"capturable"} if name == "SGD" else set())
    for i, remembered in theirs["state"].items():
        assert list(ours["state"][i]) == list(remembered)
        for key, value in remembered.items():
            np.testing.assert_allclose(np.asarray(ours["state"][i][key]), value.numpy(), rtol=1e-12)


def test_a_step_count_in_a_tensor_is_taken_over():
    p = nt.ones(2, requires_grad=True)
    optimizer = nt.optim.Adam([p])
    state = optimizer.state_dict()
    state["state"] = {0: {"step": nt.tensor(5.0), "exp_avg": nt.zeros(2), "exp_avg_sq": nt.zeros(2)}}
    optimizer.load_state_dict(state)
    p.sum().backward()
    optimizer.step()
    assert optimizer.state_dict()["state"][0]["step"] == 6


def test_load_state_dict_refuses():
    a = nt.optim.SGD([nt.zeros(1, requires_grad=True)])
    b = nt.optim.SGD([nt.zeros(1, requires_grad=True), nt.zeros(1, requires_grad=True)])
    with pytest.raises(ValueError, match="doesn't match the size"):
        a.load_state_dict(b.state_dict())
    b.add_param_group({"params": nt.zeros(1, requires_grad=True)})
    with pytest.raises(ValueError, match="different number of parameter groups"):
        a.load_state_dict(b.state_dict())


def test_load_state_dict_casts_to_the_parameter():
    p, q = nt.ones(2, requires_grad=True), nt.ones(2, dtype=nt.float64, requires_grad=True)
    a, b = nt.optim.SGD([p], momentum=0.9), nt.optim.SGD([q], momentum=0.9)
    p.sum().backward()
    a.step()
    b.load_state_dict(a.state_dict())
    assert b.state[q]["momentum_buffer"].dtype == nt.float64


# ---- groups ----


def test_groups_have_their_own_settings():
    p, q = nt.ones(1, requires_grad=True), nt.ones(1, requires_grad=True)
    optimizer = nt.optim.SGD([{"params": [p]}, {"params": q, "lr": 0.5}], lr=0.1)
    (p + q).sum().backward()
    optimizer.step()
    assert p.item() == pytest.approx(0.9) and q.item() == pytest.approx(0.5)
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    assert p.item() == pytest.approx(-0.1)


def test_named_parameters_are_accepted():
    layer = nt.nn.Linear(2, 1)
    optimizer = nt.optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]


def refused(lib, make):
    with pytest.raises((ValueError, TypeError)) as caught:
        make(lib, lib.zeros(1, requires_grad=True))
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda lib, p: lib.optim.SGD([]),
        lambda lib, p: lib.optim.SGD([3]),
        lambda lib, p: lib.optim.SGD([p * 2]),
        lambda lib, p: lib.optim.SGD([{"params": p}, {"params": p}]),
        lambda lib, p: lib.optim.SGD([{"params": {p}}]),
        lambda lib, p: lib.optim.SGD([p], lr=-1),
        lambda lib, p: lib.optim.SGD([p], momentum=-0.5),
        lambda lib, p: lib.optim.SGD([p], weight_decay=-1),
        lambda lib, p: lib.optim.SGD([p], nesterov=True),
        lambda lib, p: lib.optim.SGD([p], lr=lib.zeros(2)),
        lambda lib, p: lib.optim.Adam([p], lr=-1),
        lambda lib, p: lib.optim.Adam([p], eps=-1),
        lambda lib, p: lib.optim.Adam([p], betas=(1.0, 0.9)),
        lambda lib, p: lib.optim.Adam([p], betas=(0.9, -0.1)),
        lambda lib, p: lib.optim.AdamW([p], weight_decay=-1),
        lambda lib, p: lib.optim.SGD([p]).add_param_group(3),
        lambda lib, p: lib.optim.SGD([("a", p), lib.zeros(2, requires_grad=True)]),
    ],
)
def test_errors_are_torchs(make):
    torch = pytest.importorskip("torch")
    assert refused(nt, make) == refused(torch, make)


def test_a_tensor_is_no_list_of_parameters():
    with pytest.raises(TypeError, match="should be an iterable of Tensors or dicts, but got"):
        nt.optim.SGD(nt.zeros(1, requires_grad=True))


def test_required_settings():
    from numtape.optim.optimizer import required

    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
        nt.optim.Optimizer([nt.zeros(1, requires_grad=True)], {"lr": required})


def test_duplicates_in_a_group_warn():
    p = nt.zeros(1, requires_grad=True)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        nt.optim.SGD([p, p])


def test_repr_is_torchs():
    torch = pytest.importorskip("torch")
    ours = repr(nt.optim.SGD([nt.zeros(1, requires_grad=True)], lr=0.1))
    theirs = repr(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1))
    hidden = ("foreach", "differentiable", "fused")
    assert ours == "\n".join(line for line in theirs.split("\n") if not line.strip().startswith(hidden))


# ---- step and zero_grad ----


def test_step_changes_in_place_and_leaves_no_trace():
    p = nt.ones(2, requires_grad=True)
    view = p.detach()
    p.sum().backward()
    for optimizer in (nt.optim.SGD([p], lr=0.1), nt.optim.SGD([p], lr=0.1, momentum=0.9), nt.optim.Adam([p], lr=0.1)):
        before = view.tolist()
        optimizer.step()
        assert p.is_leaf and p.requires_grad and view.tolist() == p.tolist() != before
    assert p.grad.tolist() == [1.0, 1.0]


def test_zero_grad():
    p = nt.ones(2, requires_grad=True)
    p.sum().backward()
    optimizer = nt.optim.SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert p.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_closure(name):
    p = nt.ones(1, requires_grad=True)
    optimizer = getattr(nt.optim, name)([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with nt.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert p.item() < 1.0


def test_base_class_has_no_step():
    with pytest.raises(NotImplementedError):
        nt.optim.Optimizer([nt.zeros(1, requires_grad=True)], {}).step()


def test_deepcopy_together_with_its_parameters():
    p = nt.ones(2, requires_grad=True)
    optimizer = nt.optim.SGD([p], momentum=0.9)
    p.sum().backward()
    optimizer.step()
    q, twin = copy.deepcopy((p, optimizer))
    assert twin.param_groups[0]["params"][0] is q and list(twin.state) == [q]
    assert twin.state[q]["momentum_buffer"] is not optimizer.state[p]["momentum_buffer"]
