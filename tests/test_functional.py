"""`nn.functional` beyond the table of ops: losses, in-place activations, running statistics, bags, clipping, against PyTorch's."""

import numpy as np
import pytest
from compare import equal, outcome

import numtape as nt

rng = np.random.default_rng(0)
X, Y, P = rng.standard_normal((4, 5)), rng.standard_normal((4, 5)), rng.uniform(0.05, 0.95, (4, 5))
SIGN, CLASSES = np.where(rng.random(4) > 0.5, 1.0, -1.0), rng.integers(0, 5, 4)
W5 = rng.uniform(0.5, 1.5, 5)
DENSE = rng.standard_normal((2, 5, 3, 2))
pytestmark = pytest.mark.filterwarnings("ignore:reduction. .mean. divides", "ignore:.*deprecated", "ignore:Using a target size")


def run(m, call, arrays, first=False):
    """What a call gives, and the gradients of its floating inputs, or of the first alone."""
    tensors = [m.from_numpy(np.array(a)) for a in arrays]
    leaves = [t.requires_grad_() for t in tensors[: 1 if first else None] if t.is_floating_point()]
    out = call(m.nn.functional, *tensors)
    outs = [o for o in (out if isinstance(out, (tuple, list)) else [out]) if o is not None]
    total = sum((o * o.detach().cos()).sum() for o in outs if o.requires_grad)
    found = m.autograd.grad(total, leaves, allow_unused=True) if isinstance(total, m.Tensor) else []
    return outs + [m.zeros_like(t) if g is None else g for t, g in zip(leaves, found)]


def agree(torch, call, arrays, what="", first=False):
    equal(outcome(lambda: run(nt, call, arrays, first)), outcome(lambda: run(torch, call, arrays, first)), what, (1e-9, 1e-11), memory=False)


LOSSES = {
    "smooth_l1_loss": [((X, Y), {}), ((X, Y), {"beta": 0.5}), ((X, Y), {"beta": 0.0}), ((X, Y), {"beta": -1.0})],
    "huber_loss": [((X, Y), {}), ((X, Y), {"delta": 0.5}), ((X, Y), {"delta": 0.0})],
    "kl_div": [((np.log(P), P), {}), ((np.log(P), np.log(P)), {"log_target": True}), ((X, np.where(P > 0.5, P, 0.0)), {})],
    "poisson_nll_loss": [((X, abs(Y) * 3), {}), ((X, abs(Y) * 3), {"full": True}), ((P, P), {"log_input": False})],
    "gaussian_nll_loss": [((X, Y, P), {}), ((X, Y, P[:, :1]), {"full": True}), ((X, Y, P[:, 0]), {}), ((X, Y, -P), {}), ((X, Y, P[:2]), {}), ((X, Y, P * 1e-9), {})],
    "hinge_embedding_loss": [((X[:, 0], SIGN), {}), ((X[:, 0], SIGN), {"margin": 0.3})],
    "margin_ranking_loss": [((X[:, 0], Y[:, 0], SIGN), {"margin": 0.2}), ((X, Y, SIGN), {})],
    "cosine_embedding_loss": [((X, Y, SIGN), {}), ((X, Y, SIGN), {"margin": 0.4}), ((X[0], Y[0], SIGN[0]), {}), ((X[0], Y[0], SIGN), {})],
    "soft_margin_loss": [((X, np.sign(Y)), {}), ((X * 100, np.sign(Y)), {})],
    "multi_margin_loss": [((X, CLASSES), {}), ((X, CLASSES), {"p": 2, "margin": 0.5}), ((X, CLASSES + 5), {}), ((X[0], CLASSES[0]), {}), ((X, CLASSES), {"p": 3}), ((X, CLASSES[:2]), {})],
    "multilabel_margin_loss": [((X, np.array([[3, 0, -1, 1, 2], [-1, 0, 0, 0, 0], [0, 1, 2, 3, 4], [4, 4, -1, 0, 0]])), {}), ((X[0], np.array([1, 2, -1, 0, 0])), {}), ((X, np.full((4, 5), 7)), {})],
    "multilabel_soft_margin_loss": [((X, P), {}), ((X, P, W5), {})],
    "triplet_margin_loss": [((X, Y, P), {}), ((X, Y, P), {"swap": True, "margin": 2.0, "p": 1}), ((X[0], Y[0], P[0]), {}), ((X, Y, P), {"margin": -1.0}), ((X, Y[0], P), {})],
    "triplet_margin_with_distance_loss": [((X, Y, P), {}), ((X, Y, P), {"swap": True, "margin": 2.0})],
    "cross_entropy": [
        ((X, CLASSES), {}), ((X, CLASSES, W5), {}), ((X, CLASSES, W5), {"label_smoothing": 0.1}), ((X, CLASSES), {"ignore_index": int(CLASSES[0])}), ((X, P), {}), ((X, P, W5), {"label_smoothing": 0.2}),
        ((DENSE, rng.integers(0, 5, (2, 3, 2)), W5), {"label_smoothing": 0.1, "ignore_index": 2}), ((DENSE, abs(DENSE)), {}), ((X[0], CLASSES[0]), {}), ((X, CLASSES + 5), {}), ((X, CLASSES[:2]), {}),
    ],
    "nll_loss": [((np.log(P), CLASSES), {}), ((np.log(P), CLASSES, W5), {"ignore_index": int(CLASSES[1])}), ((DENSE, rng.integers(0, 5, (2, 3, 2)), W5), {})],
    "binary_cross_entropy": [((P, (P > 0.4) * 1.0), {}), ((P, P, W5), {})],
    "binary_cross_entropy_with_logits": [((X, P), {}), ((X, P, W5), {}), ((X, P), {"pos_weight": W5})],
}  # fmt: skip


# PyTorch has no derivative, or NaN, for their targets or weights.
ONE = {"kl_div", "soft_margin_loss", "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(torch, name):
    for k, (arrays, options) in enumerate(LOSSES[name]):
        for reduction in ("mean", "sum", "none"):

            def call(F, *t, options=options, reduction=reduction):
                m = nt if F is nt.nn.functional else torch
                given = {key: m.from_numpy(v) if isinstance(v, np.ndarray) else v for key, v in options.items()}
                return getattr(F, name)(*t, reduction=reduction, **given)

            agree(torch, call, arrays, f"{name} {k} {reduction}", name in ONE)
    if name == "kl_div":
        agree(torch, lambda F, a, b: F.kl_div(a, b, reduction="batchmean"), (X, P))


CALLS = {
    "relu6": (lambda F, x: F.relu6(x * 4), (X,)),
    "glu": (lambda F, x: F.glu(x, 0), (X,)),
    "glu of odd": (lambda F, x: F.glu(x), (X,)),
    "softmin": (lambda F, x: F.softmin(x, 1), (X,)),
    "rrelu": (lambda F, x: F.rrelu(x), (X,)),
    "normalize": (lambda F, x: F.normalize(x), (X,)),
    "normalize p": (lambda F, x: F.normalize(x, 1.0, 0), (X,)),
    "normalize zeros": (lambda F, x: F.normalize(x * 0), (X,)),
    "local_response_norm": (lambda F, x: F.local_response_norm(x, 3, 0.1), (DENSE,)),
    "local_response_norm even": (lambda F, x: F.local_response_norm(x, 2), (DENSE[0],)),
    "local_response_norm of rows": (lambda F, x: F.local_response_norm(x, 2), (X,)),
    "batch_norm of one": (lambda F, x: F.batch_norm(x[:1], None, None, training=True), (X,)),
    "batch_norm without statistics": (lambda F, x: F.batch_norm(x, None, None), (X,)),
    "batch_norm of another size": (lambda F, x, w: F.batch_norm(x, None, None, w[:2], training=True), (X, W5)),
    "group_norm of 2 in 5": (lambda F, x: F.group_norm(x, 2), (X,)),
    "instance_norm of one": (lambda F, x: F.instance_norm(x[..., None]), (X,)),
    "celu of 0": (lambda F, x: F.celu(x, 0), (X,)),
    "softshrink below 0": (lambda F, x: F.softshrink(x, -1.0), (X,)),
    "prelu of another size": (lambda F, x, w: F.prelu(x, w[:2]), (X, W5)),
    "dropout2d off": (lambda F, x: F.dropout2d(x, 0.5, False), (DENSE,)),
    "dropout of 2": (lambda F, x: F.dropout3d(x, 2.0), (DENSE,)),
    "alpha_dropout of everything": (lambda F, x: F.alpha_dropout(x, 1.0, True), (X,)),
}
for _name in ("relu", "leaky_relu", "elu", "celu", "selu", "hardtanh", "rrelu"):
    CALLS[f"{_name}_"] = (lambda F, x, n=_name: (lambda y: (getattr(F, f"{n}_")(y), y))(x * 1), (X,))
for _name in ("relu6", "leaky_relu", "elu", "celu", "selu", "hardtanh", "hardsigmoid", "hardswish", "mish", "silu"):
    if _name != "hardsigmoid":  # PyTorch's slope is 1/6 in float32
        CALLS[f"{_name} in place"] = (lambda F, x, n=_name: (lambda y: (getattr(F, n)(y, inplace=True), y))(x * 1), (X,))
CALLS["threshold in place"] = (lambda F, x: F.threshold(x * 1, 0.1, 2.0, True), (X,))


@pytest.mark.parametrize("name", CALLS)
def test_calls(torch, name):
    call, arrays = CALLS[name]
    agree(torch, call, arrays, name)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 2)])
def test_running_statistics(torch, shape):
    given = rng.standard_normal(shape)

    def values(m):
        F, x = m.nn.functional, m.from_numpy(given)
        mean, var = m.zeros(3, dtype=m.float64), m.ones(3, dtype=m.float64)
        found = [F.batch_norm(x, mean, var, training=True, momentum=0.3), mean, var, F.batch_norm(x, mean, var)]
        if len(shape) > 2:
            found.append(F.instance_norm(x, mean, var, momentum=0.2))
        return [*found, mean, var]

    equal(values(nt), values(torch), tolerance=(1e-9, 1e-11))


BAGS = [
    (np.array([0, 2, 1, 3, 3, 0, 1]), np.array([0, 0, 3, 5]), {}), (np.array([0, 2, 1, 3, 3, 0, 1]), np.array([0, 3, 7]), {"include_last_offset": True}), (rng.integers(0, 4, (3, 4)), None, {}),
    (np.array([0, 2, 1, 3, 3, 0, 1]), np.array([0, 2, 5]), {"padding_idx": 3}), (np.array([1, 1, 2]), np.array([0, 1, 3]), {}), (rng.integers(0, 4, (3, 4)), np.array([0]), {}), (np.array([1, 2]), np.array([1]), {}),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(torch, mode):
    for k, (index, offsets, options) in enumerate(BAGS):

        def call(F, w, i, o=None, options=options):
            return F.embedding_bag(i, w, o, mode=mode, **options)

        agree(torch, call, (X, index) if offsets is None else (X, index, offsets), f"{mode} {k}")
    if mode == "sum":
        agree(torch, lambda F, w, i, s: F.embedding_bag(i, w, mode="sum", per_sample_weights=s), (X, rng.integers(0, 4, (3, 4)), rng.random((3, 4))))


def test_embedding(torch):
    agree(torch, lambda F, w, i: F.embedding(i, w, padding_idx=-1), (X, np.array([[0, 3], [3, 1]])))
    agree(torch, lambda F, w, i: F.embedding(i, w), (X, np.array([0, 4])))
    agree(torch, lambda F, w, i: F.embedding(i, w), (X, np.zeros((0, 2), int)))

    def shortened(m):
        w = m.from_numpy(X.copy())
        return [m.nn.functional.embedding(m.tensor([0, 2, 2]), w, max_norm=1.0), w]

    equal(shortened(nt), shortened(torch), tolerance=(1e-6, 0))


def test_dropout_family():
    nt.manual_seed(1)
    F, ones = nt.nn.functional, nt.ones(50, 20, 3, 4)
    for f, x in ((F.dropout1d, ones[..., 0]), (F.dropout2d, ones), (F.dropout3d, ones.unsqueeze(-1))):
        out = f(x, 0.25).reshape(50, 20, -1)
        assert (out.amax(2) == out.amin(2)).all() and abs((out == 0).float().mean().item() - 0.25) < 0.06
        assert {round(v, 4) for v in out.reshape(-1).tolist()} == {0.0, 1.3333}
    normal = nt.randn(200, 500)
    for f in (F.alpha_dropout, F.feature_alpha_dropout):
        out = f(normal, 0.3, True)
        assert abs(out.mean().item()) < 0.02 and abs(out.var().item() - 1) < 0.03
    assert F.dropout1d(nt.ones(4, 6), 0.5).shape == (4, 6)
    slopes = F.rrelu(-nt.ones(1000), 0.1, 0.3, True)
    assert slopes.min() >= -0.3 and slopes.max() <= -0.1 and slopes.std() > 0.03


def test_gumbel_softmax():
    logits = nt.tensor([0.0, 1.0, 2.0]).expand(20000, 3).clone().requires_grad_()
    hard = nt.nn.functional.gumbel_softmax(logits, hard=True)
    share = hard.detach().mean(0)
    assert (share - nt.softmax(logits[0].detach(), 0)).abs().max() < 0.02
    hard[:, 0].sum().backward()
    assert logits.grad.abs().sum() > 0
    assert set(hard.detach().round().reshape(-1).tolist()) == {0.0, 1.0}


def test_attention_dropout_and_errors():
    F = nt.nn.functional
    q, k, v = nt.zeros(1, 4), nt.zeros(1000, 4), nt.ones(1000, 1)
    assert abs(F.scaled_dot_product_attention(q, k, v, dropout_p=0.5).item() - 1) < 0.1
    nothing = F.scaled_dot_product_attention(q, k, v, nt.zeros(1, 1000, dtype=nt.bool))
    assert nothing.item() == 0
    for problem, call in [
        ("is_causal", lambda: F.scaled_dot_product_attention(q, k, v, nt.zeros(1, 1000), is_causal=True)), ("same dtype", lambda: F.scaled_dot_product_attention(q, k.double(), v)),
        ("at least 2", lambda: F.scaled_dot_product_attention(q[0], k, v)), ("attn_mask dtype", lambda: F.scaled_dot_product_attention(q, k, v, nt.zeros(1, 1000, dtype=nt.int64))),
    ]:  # fmt: skip
        with pytest.raises(RuntimeError, match=problem):
            call()


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("kind", ["plain", "masks", "bias", "separate", "unbatched"])
def test_multi_head_attention(torch, kind, need_weights):
    E, H, L, S, N = 4, 2, 3, 5, 2
    draw = np.random.default_rng(3).standard_normal
    arrays = [draw(s) for s in ((L, N, E), (S, N, E), (S, N, E), (3 * E, E), (3 * E,), (E, E), (E,), (1, 1, E), (1, 1, E))]

    def call(F, q, k, v, w, b, ow, ob, bk, bv):
        m = nt if F is nt.nn.functional else torch
        options = {"need_weights": need_weights}
        bias = (bk, bv) if kind == "bias" else (None, None)
        if kind == "masks":
            options["attn_mask"] = m.from_numpy(np.triu(np.ones((L, S), bool), 2))
            options["key_padding_mask"] = m.from_numpy(np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], bool))
        if kind == "separate":
            options |= {"use_separate_proj_weight": True, "q_proj_weight": w[:E], "k_proj_weight": w[E : 2 * E], "v_proj_weight": w[2 * E :], "average_attn_weights": False}
        if kind == "unbatched":
            q, k, v = (t[:, 0] for t in (q, k, v))
        return F.multi_head_attention_forward(q, k, v, E, H, None if kind == "separate" else w, b, *bias, kind == "bias", 0.0, ow, ob, **options)

    agree(torch, call, arrays, kind)


CTC = [
    ([[1, 2, 2], [3, 1, 0]], (6, 5), (3, 2), {}), ([1, 2, 2, 3, 1], (6, 5), (3, 2), {}), ([[1, 2, 2], [3, 1, 0]], (3, 6), (3, 2), {}), ([[1, 2, 2], [3, 1, 0]], (3, 6), (3, 2), {"zero_infinity": True}),
    ([[1, 0, 2], [3, 1, 0]], (6, 6), (3, 0), {"blank": 4}), ([[1, 2, 2], [3, 1, 0]], (7, 5), (3, 2), {}), ([[1, 2, 2], [3, 1, 0]], (6,), (3, 2), {}),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ctc_loss(torch, reduction):
    scores = np.random.default_rng(2).standard_normal((6, 2, 5))
    for k, (labels, inputs, lengths, options) in enumerate(CTC):

        def call(F, x, t, inputs=inputs, lengths=lengths, options=options):
            return F.ctc_loss(x.log_softmax(2), t, inputs, lengths, reduction=reduction, **options)

        if k == 2:  # PyTorch's gradient of inf is NaN
            with nt.no_grad(), torch.no_grad():
                equal([call(nt.nn.functional, nt.from_numpy(scores), nt.tensor(labels))], [call(torch.nn.functional, torch.from_numpy(scores), torch.tensor(labels))])
        else:
            agree(torch, call, (scores, np.array(labels)), f"{k}")
    agree(torch, lambda F, x, t: F.ctc_loss(x[:, 0].log_softmax(1), t, (6,), (3,), reduction=reduction), (scores, np.array([1, 2, 3])))


# ------------------------------------------------------------------------------------------------ nn.utils
def test_clipping(torch):
    def values(m, clip):
        parts = [m.from_numpy(a.copy()).requires_grad_() for a in (X, W5)]
        (parts[0].sum() * 2 + (parts[1] ** 3).sum()).backward()
        found = clip(m.nn.utils, [*parts, m.ones(2, requires_grad=True)])
        return [*(t.grad for t in parts), *([found] if found is not None else [])]

    for clip in (
        lambda u, p: u.clip_grad_norm_(p, 1.5), lambda u, p: u.clip_grad_norm_(p, 1.5, 1), lambda u, p: u.clip_grad_norm_(iter(p), 1e9, float("inf")), lambda u, p: u.clip_grad_value_(p, 2.0),
    ):  # fmt: skip
        equal(values(nt, clip), values(torch, clip), tolerance=(1e-9, 0))
    bad = nt.ones(1, requires_grad=True)
    bad.grad = nt.tensor([float("nan")])
    with pytest.raises(RuntimeError, match="non-finite"):
        nt.nn.utils.clip_grad_norm_(bad, 1.0, error_if_nonfinite=True)
    assert nt.nn.utils.clip_grad_norm_([], 1.0).item() == 0


def test_parameters_as_a_vector():
    layer = nt.nn.Linear(3, 2)
    vector = nt.nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,) and vector.requires_grad
    nt.nn.utils.vector_to_parameters(nt.arange(8.0), layer.parameters())
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and layer.bias.tolist() == [6, 7] and layer.weight.requires_grad
