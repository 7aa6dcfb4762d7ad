"""nn: containers and how modules print, against PyTorch where it is installed."""

from collections import OrderedDict

import pytest

import numtape as nt
from numtape import nn


def torch_or_skip():
    return pytest.importorskip("torch")


# ---- containers and printing ----


def build(lib, n):
    nn = lib.nn
    return [
        nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Sequential(nn.Dropout(0.1), nn.Flatten())),
        nn.Sequential(OrderedDict([("first", nn.Linear(2, 3, bias=False)), ("second", nn.Softmax(dim=1))])),
        nn.Sequential(),
        nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.GELU(), nn.Sequential(nn.ELU(), nn.SiLU())]),
        nn.ModuleDict({"a": nn.LeakyReLU(0.2, True), "b": nn.ModuleList()}),
        nn.Sequential(nn.ParameterList([lib.zeros(2, 3), 3])),
        nn.Sequential(nn.LogSoftmax(1), nn.Softplus(2, 10), nn.Unflatten(1, (2, 5)), nn.Identity(), nn.Tanh(), nn.Sigmoid()),
        nn.Sequential(nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.GELU("tanh"), nn.SiLU(inplace=True)),
    ][n]


@pytest.mark.parametrize("n", range(8))
def test_repr(n):
    torch = torch_or_skip()
    assert repr(build(nt, n)).replace("numtape.", "torch.") == repr(build(torch, n))


def names_after(lib, change):
    nn = lib.nn
    seq = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Identity())
    return repr(change(seq, nn) or seq)


@pytest.mark.parametrize(
    "change",
    [
        lambda s, nn: s[1:3],
        lambda s, nn: s[-1],
        lambda s, nn: s.append(nn.GELU()),
        lambda s, nn: s.insert(1, nn.GELU()),
        lambda s, nn: s.insert(-1, nn.GELU()),
        lambda s, nn: s.extend(nn.Sequential(nn.GELU(), nn.ELU())),
        lambda s, nn: s + nn.Sequential(nn.GELU()),
        lambda s, nn: s * 2,
        lambda s, nn: s.__delitem__(1),
        lambda s, nn: s.__delitem__(slice(0, 3, 2)),
        lambda s, nn: s.__setitem__(-2, nn.GELU()),
        lambda s, nn: s.__imul__(2),
        lambda s, nn: s.pop(0) and None,
    ],
)
def test_sequential_as_a_list(change):
    torch = torch_or_skip()
    assert names_after(nt, change) == names_after(torch, change)


def test_sequential_refuses():
    seq = nn.Sequential(nn.ReLU())
    for index in (1, -2):
        with pytest.raises(IndexError):
            seq[index]
    with pytest.raises(TypeError):
        nn.Sequential(3)
    with pytest.raises(ValueError):
        seq + [nn.ReLU()]
    assert len(seq) == 1 and list(seq) == [seq[0]]


def test_module_list_and_dict():
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    assert len(layers) == 3 and layers[-1] is layers[2] and len(layers[1:]) == 2 and isinstance(layers[1:], nn.ModuleList)
    layers += [nn.ReLU()]
    layers.insert(0, nn.Tanh())
    del layers[1]
    assert [type(m).__name__ for m in layers] == ["Tanh", "Linear", "Linear", "ReLU"]
    assert [n for n, _ in layers.named_parameters()] == ["1.weight", "1.bias", "2.weight", "2.bias"]
    acts = nn.ModuleDict([("a", nn.ReLU()), ("b", nn.Tanh())])
    assert "a" in acts and len(acts) == 2 and list(acts.keys()) == ["a", "b"]
    acts["a"] = nn.GELU()
    assert [type(m).__name__ for m in acts.values()] == ["GELU", "Tanh"] and type(acts.pop("a")) is nn.GELU
    with pytest.raises(KeyError):
        acts["a"]
    acts.clear()
    assert len(acts) == 0


def test_parameter_list_and_dict():
    params = nn.ParameterList([nt.zeros(1), nt.zeros(2)])
    params.append(nt.zeros(3))
    params[0] = nt.zeros(4)
    assert [tuple(p.shape) for p in params] == [(4,), (2,), (3,)] and all(isinstance(p, nn.Parameter) for p in params)
    assert len(params[1:]) == 2 and list(params.state_dict()) == ["0", "1", "2"]
    with pytest.raises(RuntimeError):
        params(1)
    named = nn.ParameterDict({"b": nt.zeros(1), "a": nt.zeros(2)})
    assert list(named) == ["a", "b"]  # PyTorch sorts a plain dict
    named["c"] = nt.zeros(3)
    del named["a"]
    assert [n for n, _ in named.named_parameters()] == ["b", "c"] and named.get("a") is None
    assert list(named | {"d": nt.zeros(1)}) == ["b", "c", "d"]
