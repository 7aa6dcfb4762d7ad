"""nn: modules, parameters, containers, hooks and state dicts, against PyTorch where it is installed."""

import copy
import doctest
import importlib
import pickle
import pkgutil
import re
from collections import OrderedDict

import numpy as np
import pytest

import numtape as nt
from numtape import nn


def torch_or_skip():
    return pytest.importorskip("torch")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.scale = nn.Parameter(nt.ones(3))
        self.register_buffer("mean", nt.zeros(3))
        self.register_buffer("scratch", nt.zeros(2), persistent=False)

    def forward(self, x):
        return self.body(x) * self.scale + self.mean


@pytest.mark.parametrize("package", ["nn", "optim", "utils"])
def test_docstring_examples(package):
    top = importlib.import_module(f"numtape.{package}")
    names = [top.__name__, *(m.name for m in pkgutil.walk_packages(top.__path__, top.__name__ + "."))]
    tried = 0
    for name in names:
        result = doctest.testmod(importlib.import_module(name), extraglobs={"nt": nt})
        assert not result.failed, name
        tried += result.attempted
    assert tried > 10


def test_every_public_name_has_a_docstring():
    for module in (nn, nn.functional, nt.optim, nt.utils.data):
        for name in module.__all__:
            assert getattr(module, name).__doc__, name


# ---- Parameter ----


def test_parameter_shares_storage():
    data = nt.zeros(3)
    p = nn.Parameter(data)
    data.fill_(2.0)
    assert p.tolist() == [2.0, 2.0, 2.0]
    assert isinstance(p, nt.Tensor) and isinstance(p, nn.Parameter) and not isinstance(data, nn.Parameter)
    assert p.requires_grad and p.is_leaf and not data.requires_grad
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    with nt.no_grad():
        assert nn.Parameter(data).requires_grad


def test_parameter_results_are_plain_tensors():
    assert type(nn.Parameter(nt.ones(2)) * 2) is nt.Tensor


def test_parameter_copies():
    p = nn.Parameter(nt.ones(2))
    for q in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(q) is nn.Parameter and q.requires_grad and q.tolist() == [1.0, 1.0]
        with nt.no_grad():
            q.add_(1)
    assert p.tolist() == [1.0, 1.0]
    both = copy.deepcopy([p, p])
    assert both[0] is both[1]


def test_parameter_refuses():
    with pytest.raises(RuntimeError):
        nn.Parameter(nt.tensor([1]))
    with pytest.raises((TypeError, AttributeError)):
        nn.Parameter(3)


def test_parameter_repr():
    assert repr(nn.Parameter(nt.zeros(2))) == "Parameter containing:\ntensor([0., 0.], requires_grad=True)"


# ---- Module: attributes ----


def test_registration_and_order():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_parameters(prefix="net")][1] == "net.body.0.weight"
    assert [n for n, _ in net.named_buffers()] == ["mean", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2"]
    assert [n for n, _ in net.named_children()] == ["body"]
    assert list(net._parameters) == ["scale"] and list(net._modules) == ["body"] and list(net._buffers) == ["mean", "scratch"]


def test_shared_parameters_come_once():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    both = nn.Sequential(a, b, a)
    assert [n for n, _ in both.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(list(both.named_parameters(remove_duplicate=False))) == 6
    assert len(list(both.children())) == 2 and len(list(both.modules())) == 3
    assert len(both.state_dict()) == 6


def test_reassignment_keeps_place_and_kind():
    m = nn.Module()
    m.a, m.b = nn.Parameter(nt.zeros(1)), nn.Parameter(nt.zeros(1))
    new = m.a = nn.Parameter(nt.ones(1))
    assert [n for n, _ in m.named_parameters()] == ["a", "b"] and m.a is new and m.__dict__["a"] is new
    m.a = None
    assert m.a is None and [n for n, _ in m.named_parameters()] == ["b"] and list(m._parameters) == ["a", "b"]
    m.a = nn.Parameter(nt.ones(1))
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'a'"):
        m.a = nt.zeros(1)
    m.a = nn.ReLU()  # a module takes the name over
    assert list(m._parameters) == ["b"] and list(m._modules) == ["a"]
    with pytest.raises(TypeError, match="as child module 'a'"):
        m.a = 3
    m.a = nn.Parameter(nt.zeros(1))  # and back
    assert list(m._modules) == [] and list(m._parameters) == ["b", "a"]
    m.c = 5
    m.c = nn.Parameter(nt.zeros(1))
    assert list(m._parameters) == ["b", "a", "c"]


def test_deletion():
    net = Net()
    for name in ("scale", "mean", "body"):
        delattr(net, name)
        assert not hasattr(net, name)
    assert list(net.state_dict()) == []
    with pytest.raises(AttributeError):
        del net.scale
    net.scale = 3  # now an ordinary attribute
    assert list(net.parameters()) == []


def test_buffers():
    m = nn.Module()
    m.register_buffer("mean", None)
    m.mean = nt.ones(2)
    assert list(m._buffers) == ["mean"] and list(m.state_dict()) == ["mean"]
    with pytest.raises(TypeError, match="as buffer 'mean'"):
        m.mean = 3
    m.plain = nt.zeros(1)
    assert list(m._buffers) == ["mean"]


def test_registries_are_read_only():
    with pytest.raises(TypeError):
        nn.Linear(1, 1)._parameters["weight"] = None


def test_names_refused():
    m = nn.Module()
    m.taken = 1
    for name in ("a.b", "", "taken", "forward"):
        with pytest.raises(KeyError):
            m.register_parameter(name, nn.Parameter(nt.zeros(1)))
        with pytest.raises(KeyError):
            m.register_buffer(name, nt.zeros(1))
        with pytest.raises(KeyError):
            m.add_module(name, nn.ReLU())
    with pytest.raises(TypeError, match="not a Module subclass"):
        m.add_module("x", 3)
    with pytest.raises(TypeError):
        m.register_parameter("x", nt.zeros(1))
    with pytest.raises(TypeError):
        m.register_buffer("x", 3)


@pytest.mark.parametrize("value, what", [("parameter", "parameters"), ("module", "module")])
def test_init_not_called(value, what):
    class Forgetful(nn.Module):
        def __init__(self):
            self.x = nn.Parameter(nt.zeros(1)) if value == "parameter" else nn.ReLU()

    with pytest.raises(AttributeError, match=re.escape(f"cannot assign {what} before Module.__init__() call")):
        Forgetful()


def test_missing_attribute_and_forward():
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        _ = nn.Linear(1, 1).wieght
    with pytest.raises(NotImplementedError, match=re.escape('Module [Module] is missing the required "forward" function')):
        nn.Module()(1)


def test_call_passes_everything_on():
    class Echo(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    m = Echo()
    assert m() == ((), {}) and m(1) == ((1,), {}) and m(1, 2, k=3) == ((1, 2), {"k": 3}) and m(input=4) == ((), {"input": 4})
    m.forward = lambda x: -x
    assert m(1) == -1


def test_getters():
    net = Net()
    assert net.get_submodule("body.0") is net.body[0] and net.get_submodule("") is net
    assert net.get_parameter("body.0.weight") is net.body[0].weight and net.get_buffer("mean") is net.mean
    for kind, name in [("submodule", "body.9"), ("submodule", "scale"), ("parameter", "mean"), ("buffer", "body.0.weight")]:
        with pytest.raises(AttributeError):
            getattr(net, f"get_{kind}")(name)


def test_train_eval_apply_requires_grad():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    assert net.eval() is net and not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    with pytest.raises(ValueError):
        net.train("yes")
    order = []
    net.apply(lambda m: order.append(type(m).__name__))
    assert order == ["Dropout", "Dropout", "Sequential", "Sequential"]
    assert not any(p.requires_grad for p in Net().requires_grad_(False).parameters())


def test_zero_grad():
    layer = nn.Linear(2, 1)
    layer(nt.ones(1, 2)).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0.0, 0.0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_conversion_keeps_the_parameter_objects():
    net = Net()
    net.register_buffer("steps", nt.zeros(1, dtype=nt.int64))
    net(nt.zeros(1, 4)).sum().backward()
    before = list(net.parameters())
    assert net.double() is net
    assert all(a is b and a.dtype == nt.float64 for a, b in zip(before, net.parameters()))
    assert net.scale.grad.dtype == nt.float64 and net.mean.dtype == nt.float64 and net.steps.dtype == nt.int64
    net.to("cpu").to("cpu", nt.float32)
    assert net.scale.dtype == nt.float32
    assert net.to(nt.zeros(1, dtype=nt.float64)).scale.dtype == nt.float64
    assert net.float().scale.dtype == nt.float32
    assert net(nt.zeros(2, 4)).shape == (2, 3)
    with pytest.raises(TypeError, match="only accepts floating point"):
        net.to(nt.int64)


def test_deepcopy_and_pickle():
    net = Net()
    net.tied = net.body[0].weight
    x = nt.randn(2, 4)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(x).detach().numpy(), net(x).detach().numpy())
        assert repr(other) == repr(net) and list(other.state_dict()) == list(net.state_dict())
        assert other.body[0].weight is not net.body[0].weight
    twin = copy.deepcopy(net)
    assert twin.tied is twin.body[0].weight
    with nt.no_grad():
        twin.scale.fill_(0.0)
    assert net.scale.tolist() == [1.0, 1.0, 1.0]


# ---- state dicts ----


def test_state_dict_keys_and_sharing():
    net = Net()
    state = net.state_dict()
    assert isinstance(state, OrderedDict)
    assert list(state) == ["scale", "mean", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]
    assert not state["scale"].requires_grad and net.state_dict(keep_vars=True)["scale"] is net.scale
    assert next(iter(net.state_dict(prefix="net."))) == "net.scale"
    with nt.no_grad():
        net.scale.fill_(7.0)
    assert state["scale"].tolist() == [7.0] * 3


def test_load_state_dict_errors():
    torch = torch_or_skip()
    ours, theirs = nn.Sequential(nn.Linear(2, 3)), torch.nn.Sequential(torch.nn.Linear(2, 3))

    def message(model, zeros):
        state = {"0.weight": zeros(5, 2), "more": zeros(1), "other": zeros(1)}
        with pytest.raises(RuntimeError) as caught:
            model.load_state_dict(state)
        return str(caught.value)

    assert message(ours, nt.zeros).replace("numtape.", "torch.") == message(theirs, torch.zeros)
    result = ours.load_state_dict({"more": nt.zeros(1)}, strict=False)
    assert result.missing_keys == ["0.weight", "0.bias"] and result.unexpected_keys == ["more"]
    assert repr(result) == repr(theirs.load_state_dict({"more": torch.zeros(1)}, strict=False)).replace("_Inc", "Inc")
    with pytest.raises(TypeError):
        ours.load_state_dict(3)
    with pytest.raises(RuntimeError, match="expected a Tensor"):
        ours.load_state_dict({"0.weight": 3, "0.bias": nt.zeros(3)})


def test_load_state_dict_copies_or_assigns():
    layer, state = nn.Linear(2, 2), {"weight": nt.ones(2, 2), "bias": nt.ones(2)}
    weight = layer.weight
    layer.load_state_dict(state)
    state["weight"].zero_()
    assert layer.weight is weight and layer.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]] and layer.weight.requires_grad
    layer.load_state_dict(state, assign=True)
    state["weight"].fill_(5.0)
    assert layer.weight is not weight and layer.weight.tolist() == [[5.0, 5.0], [5.0, 5.0]]
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.requires_grad


def test_extra_state():
    class Counts(nn.Module):
        n = 0

        def get_extra_state(self):
            return self.n

        def set_extra_state(self, state):
            self.n = state

    a, b = nn.Sequential(Counts()), nn.Sequential(Counts())
    a[0].n = 3
    assert dict(a.state_dict()) == {"0._extra_state": 3}
    b.load_state_dict(a.state_dict())
    assert b[0].n == 3


# ---- hooks ----


def test_forward_hooks():
    layer, seen = nn.Identity(), []
    a = layer.register_forward_pre_hook(lambda m, args: seen.append("pre"))
    layer.register_forward_pre_hook(lambda m, args: args[0] + 1, prepend=True)
    layer.register_forward_hook(lambda m, args, out: seen.append((args[0].item(), out.item())))
    b = layer.register_forward_hook(lambda m, args, out: out * 10)
    assert layer(nt.tensor(1.0)).item() == 20.0 and seen == ["pre", (2.0, 2.0)]
    a.remove()
    b.remove()
    b.remove()
    assert layer(nt.tensor(1.0)).item() == 2.0 and seen[2:] == [(2.0, 2.0)]


def test_forward_hooks_with_kwargs():
    class Add(nn.Module):
        def forward(self, x, y=0):
            return x + y

    m = Add()
    m.register_forward_pre_hook(lambda m, args, kwargs: (args, {"y": kwargs["y"] * 2}), with_kwargs=True)
    m.register_forward_hook(lambda m, args, kwargs, out: out + kwargs["y"], with_kwargs=True)
    assert m(1, y=3) == 13
    m.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        m(1, y=3)


def test_backward_hooks():
    torch = torch_or_skip()

    def run(lib):
        seen = []
        layer = lib.nn.Tanh()
        layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].tolist(), go[0].tolist())))
        layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
        layer.register_full_backward_pre_hook(lambda m, go: (go[0] + 1,))
        x = lib.tensor([0.5, -1.0], requires_grad=True)
        (layer(x) * 3 + x).sum().backward()
        return [*seen[0], x.grad.tolist()]

    for ours, theirs in zip(run(nt), run(torch)):
        assert ours == pytest.approx(theirs, rel=1e-6)


def test_backward_hook_without_gradient_of_the_input():
    layer, seen = nn.Linear(2, 1), []
    handle = layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    layer(nt.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1.0]])]
    handle.remove()
    layer(nt.ones(1, 2)).sum().backward()
    assert len(seen) == 1
    with nt.no_grad():
        layer(nt.ones(1, 2))


def test_hooks_survive_deepcopy_alone():
    layer = nn.Identity()
    handle = layer.register_forward_hook(lambda m, args, out: out + 1)
    twin = copy.deepcopy(layer)
    handle.remove()
    assert layer(1) == 1 and twin(1) == 2
