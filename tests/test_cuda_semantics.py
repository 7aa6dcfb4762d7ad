"""What PyTorch programs do with tensors on a card: moving them, mixing devices, gradients, state, errors. Kernels are tiny."""

import copy
import gc
import pickle

import numpy as np
import pytest

import numtape as nt
from numtape import interop, nn
from numtape.nn import functional as F

pytestmark = pytest.mark.gpu
CARD = nt.device("cuda", 0)


def on_card(*values, **options):
    return nt.tensor(list(values), device="cuda", **options)


@pytest.mark.parametrize("where", ["cuda", "cuda:0", CARD, nt.device("cuda"), 0])
def test_moving(where):
    t = nt.arange(6.0).reshape(2, 3).t()
    moved = t.to(where)
    assert moved.device == CARD and moved.is_cuda and moved.stride() == t.stride() and moved.tolist() == t.tolist()
    assert moved.to(where) is moved and moved.cpu().device.type == "cpu" and moved.get_device() == 0
    assert nt.ones(1).new_zeros(2, device=where).is_cuda and nt.zeros(2, device=where).is_cuda and nt.tensor([1], device=where).is_cuda
    assert t.to(where, nt.float64).dtype is nt.float64 and t.to(moved.double()).dtype is nt.float64
    assert repr(moved) == "tensor([[0., 3.],\n        [1., 4.],\n        [2., 5.]], device='cuda:0')"


def test_state_travels():
    model = nn.Linear(3, 2).to("cuda")
    again = pickle.loads(pickle.dumps(model))
    deep = copy.deepcopy(model)
    host = nn.Linear(3, 2)
    host.load_state_dict(model.state_dict())
    for other in (again, deep, host):
        assert all((a.cpu() == b.cpu()).all() for a, b in zip(model.parameters(), other.parameters()))
    assert again.weight.is_cuda and deep.weight.is_cuda and not host.weight.is_cuda


def test_types_name_the_device():
    c = on_card(1.0)
    assert c.type() == "numtape.cuda.FloatTensor" and nt.ones(1).type_as(c).is_cuda and nt.ones(1).type("torch.cuda.DoubleTensor").is_cuda
    with pytest.raises(ValueError, match="HalfTensor"):
        c.type("HalfTensor")
    same = nt.ones(1)
    assert same.to(nt.float32, False, True).data_ptr() != same.data_ptr()


TWO = "same device"


@pytest.mark.parametrize(
    "call",
    [
        lambda c, h: c + h,
        lambda c, h: h.add_(c),
        lambda c, h: h[0].add_(c.sum()),
        lambda c, h: nt.tensor(0.0).add_(c.sum()),
        lambda c, h: nt.exp(c, out=nt.empty(2)),
        lambda c, h: nt.exp(c.sum(), out=nt.empty(())),
        lambda c, h: nt.sum(c, dim=0, out=nt.empty(())),
        lambda c, h: nt.cat([c, h]),
        lambda c, h: nt.stack([h, c]),
        lambda c, h: c @ h,
        lambda c, h: nt.where(h > 0, c, c),
        lambda c, h: c.gather(0, nt.tensor([0])),
        lambda c, h: c.index_select(0, nt.tensor([0])),
        lambda c, h: F.mse_loss(c, h),
        lambda c, h: F.linear(c, h.unsqueeze(0)),
        lambda c, h: F.layer_norm(c, (2,), h, h),
        lambda c, h: nt._fused_sgd_([h, h.clone(), c], 0.1, 0.9),
    ],
)
def test_mixed_devices_are_refused(call):
    host = nt.ones(2)
    with pytest.raises(RuntimeError, match=TWO):
        call(on_card(1.0, 2.0), host)
    assert host.tolist() == [1, 1]


def test_a_number_on_the_host_follows():
    scale = nt.tensor(3.0, requires_grad=True)
    x = on_card(1.0, 2.0, requires_grad=True)
    (x * scale).sum().backward()
    assert scale.grad.device.type == "cpu" and scale.grad.item() == 3 and x.grad.tolist() == [3, 3] and x.grad.is_cuda
    assert (x.detach().clone().mul_(nt.tensor(2.0))).tolist() == [2, 4]


def test_gradients_cross_devices():
    x = nt.ones(3, requires_grad=True)
    (x.cuda() * 2).cpu().sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and not x.grad.is_cuda
    y = on_card(1.0, 2.0, requires_grad=True)
    for wrong in (lambda: (y * 2).backward(nt.ones(2)), lambda: nt.autograd.grad(y * 2, y, nt.ones(2)), lambda: setattr(y, "grad", nt.ones(2))):
        with pytest.raises(RuntimeError, match=r"\.to\(\)"):
            wrong()
    y.register_hook(lambda g: g.cpu())
    with pytest.raises(RuntimeError, match="came out on cpu"):
        (y * 2).sum().backward()


def test_training_is_the_same_as_on_the_host():
    losses = []
    x, target = nt.randn(6, 4), nt.tensor([0, 2, 1, 1, 0, 2])
    for where in ("cpu", "cuda"):
        nt.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3)).to(where)
        for optimizer in (nt.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True), nt.optim.AdamW(model.parameters(), 0.01)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x.to(where)), target.to(where))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    np.testing.assert_allclose(losses[:2], losses[2:], rtol=1e-6)


def test_an_index_out_of_range_is_found_later():
    scores = nt.randn(3, 2, device="cuda")
    for call, name in [
        (lambda: scores.index_select(0, on_card(3)), "index_select"),
        (lambda: scores.gather(1, on_card(5).unsqueeze(1)), "gather"),
        (lambda: F.cross_entropy(scores, on_card(0, 2, 1)), "cross_entropy"),
    ]:
        call()
        with pytest.raises(IndexError, match=f"{name}: index .* out of bounds"):
            nt.cuda.synchronize()
        assert scores.isfinite().all().item()
    assert F.cross_entropy(scores, on_card(0, -100, 1)).item() == pytest.approx(F.cross_entropy(scores.cpu(), nt.tensor([0, -100, 1])).item(), rel=1e-6)


def test_random_state():
    state = nt.cuda.get_rng_state()
    first = nt.rand(3, device="cuda")
    nt.cuda.set_rng_state(state)
    assert (nt.rand(3, device="cuda") == first).all()
    with pytest.raises(RuntimeError, match="set_state"):
        nt.Generator("cuda").set_state(nt.zeros(3))
    with pytest.raises(RuntimeError, match="generator"):
        nt.rand(3, device="cuda", generator=nt.Generator())


def test_memory_used_by_another_stream():
    side = nt.cuda.Stream()
    x = nt.full((4,), 7.0, device="cuda")
    side.wait_stream(nt.cuda.current_stream())
    with nt.cuda.stream(side):
        y = x * 1
    x.record_stream(side)
    del x
    nt.zeros(4, device="cuda")
    nt.cuda.synchronize()
    assert y.tolist() == [7, 7, 7, 7]
    with pytest.raises(RuntimeError, match="on the CPU"):
        nt.ones(1).record_stream(side)


def test_a_consumer_that_refuses_gives_the_memory_back():
    before = len(interop._exported)
    with pytest.raises((RuntimeError, BufferError)):
        np.from_dlpack(nt.ones(3, device="cuda"))
    gc.collect()
    assert len(interop._exported) == before


@pytest.mark.parametrize("aliased", [lambda p: (p, p, p.clone()), lambda p: (p[:4], p[4:], p[2:6])])
def test_updates_refuse_shared_memory(aliased):
    with pytest.raises(RuntimeError, match="shares memory"):
        nt._fused_sgd_([*aliased(nt.ones(8))], 0.1, 0.9)
