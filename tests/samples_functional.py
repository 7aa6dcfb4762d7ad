"""Samples of activations, normalisations, losses and embeddings: what `nn.functional` is made of."""

import numpy as np

from numtape.op import TABLE


def data(*shape, seed=0, domain=None):
    rng = np.random.default_rng([seed, *shape])
    return rng.uniform(0.3, 3.0, shape) if domain == "positive" else rng.integers(-3, 3, shape) + rng.uniform(0.15, 0.85, shape)


def F(m):
    return m.nn.functional


def of(name, *args, **options):
    """A call of numtape's op, and of the function of PyTorch's nn.functional with its name; the latter for floating point alone."""

    def call(m, *tensors):
        if m.__name__ == "numtape":
            return TABLE[name].public(*tensors, *args, **options)
        if not any(t.is_floating_point() for t in tensors):
            raise RuntimeError(f"{name} is asked for floating point")
        return getattr(F(m), name)(*tensors, *args, **options)

    return call


def private(name, theirs):
    """A call of numtape's op without a public name, and what it is in PyTorch."""
    return lambda m, *tensors: TABLE[name].public(*tensors) if m.__name__ == "numtape" else theirs(m, *tensors)


def floating(result, given):
    """`result`, where PyTorch's function takes floating point alone."""
    if not given.is_floating_point():
        raise RuntimeError("floating point alone")
    return result


x, y = data(4, 5), data(4, 5, seed=1)
SAMPLES = {
    "hardtanh": [("default", of("hardtanh"), (x,)), ("ends", of("hardtanh", -2.0, 0.5), (x,))],
    "hardsigmoid": [("", private("hardsigmoid", lambda m, t: floating(t + 3.0, t).clamp(0, 6) / 6), (x * 2,))],  # PyTorch's slope is 1/6 in float32
    "hardswish": [("", of("hardswish"), (x * 2,))],
    "hardshrink": [("default", of("hardshrink"), (x,)), ("lambd", of("hardshrink", 1.0), (x,))],
    "softshrink": [("default", of("softshrink"), (x,)), ("lambd", of("softshrink", 1.0), (x,))],
    "threshold": [("", lambda m, t: F(m).threshold(t, 1, 2), (x,)), ("below zero", lambda m, t: m.threshold(t, -1, 20), (x,))],
    "celu": [("default", of("celu"), (x,)), ("alpha", of("celu", 0.5), (x,))],
    "selu": [("", of("selu"), (x,))],
    "mish": [("", of("mish"), (x,))],
    "softsign": [("", lambda m, t: F(m).softsign(t), (x,))],
    "tanhshrink": [("", lambda m, t: F(m).tanhshrink(t), (x,))],
    "_gated": [("two", private("_gated", lambda m, a, b: a * b.sigmoid()), (x, y))],
    "_prelu": [("two", private("_prelu", lambda m, a, b: m.where(a > 0, a, a * b)), (x, y))],
    "prelu": [
        ("channels", lambda m, t, w: m.prelu(t, w), (x, data(5))),
        ("images", lambda m, t, w: F(m).prelu(t, w), (data(2, 3, 2, 2), data(3))),
        ("one", lambda m, t, w: m.prelu(t, w), (x, data(1))),
        ("vector", lambda m, t, w: t.prelu(w), (data(4), data(1))),
    ],
}

# ------------------------------------------------------------------------------------------------ normalisation
images, w3, b3 = data(4, 3, 2, 5), data(3), data(3, seed=1)
square = data(4, 4, 4)


def stats(m, channels, like):
    return m.zeros(channels, dtype=like.dtype) + 0.5, m.ones(channels, dtype=like.dtype) * 2


def batch_norm(m, t, *affine, training=True, **options):
    return F(m).batch_norm(t, *(stats(m, t.shape[1], t) if not training else (None, None)), *affine, training=training, **options)


SAMPLES |= {
    "_affine": [("three", private("_affine", lambda m, a, b, c: a * b + c), (x, y, data(5)))],
    "_affine_about": [("four", private("_affine_about", lambda m, a, b, c, d: (a - b) * c + d), (x, data(5), data(5, seed=3), data(4, 1)))],
    "_affine_of_two": [("six", private("_affine_of_two", lambda m, a, b, k, c, d, e: a * c + (b - k) * d + e), (x, y, data(5, seed=4), data(4, 1), data(5), data(5, seed=3)))],
    "batch_norm": [
        ("affine", batch_norm, (images, w3, b3)), ("plain", lambda m, t: batch_norm(m, t, eps=0.1), (images,)), ("rows", batch_norm, (x, data(5), data(5, seed=1))),
        ("small", batch_norm, (data(3, 2, 2), data(2), data(2, seed=1))), ("small rows", lambda m, t: batch_norm(m, t), (data(4, 2),)),
        ("running", lambda m, t, w, b: batch_norm(m, t, w, b, training=False), (data(2, 3, 2), w3, b3)), ("running plain", lambda m, t: batch_norm(m, t, training=False), (x,)),
    ],
    "group_norm": [
        ("affine", lambda m, t, w, b: F(m).group_norm(t, 2, w, b), (data(2, 4, 2), data(4), data(4, seed=1))), ("plain", lambda m, t: F(m).group_norm(t, 4, eps=0.1), (square,)),
        ("rows", lambda m, t: F(m).group_norm(t, 2), (data(3, 4),)), ("one group", lambda m, t, w: F(m).group_norm(t, 1, w), (square, data(4))),
    ],
    "instance_norm": [
        ("affine", lambda m, t, w, b: F(m).instance_norm(t, weight=w, bias=b), (data(2, 3, 2, 2), w3, b3)), ("plain", lambda m, t: F(m).instance_norm(t, eps=0.1), (square,)),
        ("running", lambda m, t: F(m).instance_norm(t, *stats(m, 4, t), use_input_stats=False), (square,)),
    ],
    "rms_norm": [
        ("plain", lambda m, t: m.rms_norm(t, (4,)), (square,)), ("weight", lambda m, t, w: F(m).rms_norm(t, (4,), w, 0.1), (square, data(4))), ("two dims", lambda m, t: m.rms_norm(t, (4, 4)), (square,)),
        ("small", lambda m, t, w: F(m).rms_norm(t, (3,), w), (data(4, 3), data(3))),
    ],
    "row_moment": [("", lambda m, t, w: F(m).batch_norm(t, None, None, w, training=True), (data(3, 2, 2), data(2)))],
    "row_rms_norm": [("", lambda m, t, w: F(m).rms_norm(t, (3,), w), (data(4, 3), data(3)))],
    "row_rms_standard": [("", lambda m, t: F(m).rms_norm(t, (3,)), (data(4, 3),))],
}

# ------------------------------------------------------------------------------------------------ attention
def attend(m, *tensors, **options):
    return F(m).scaled_dot_product_attention(*tensors, **options)


q, k, v = data(2, 3, 2), data(2, 4, 2), data(2, 4, 3)
may_look = np.array([[True, False, True, True], [False, True, False, True], [True, True, True, False]])
SAMPLES |= {
    "scaled_dot_product_attention": [
        ("plain", attend, (q, k, v)), ("numbers", attend, (q, k, v, data(3, 4))), ("bool", attend, (q, k, v, may_look)),
        ("causal", lambda m, *t: attend(m, *t, is_causal=True, scale=0.3), (q, k, v)),
        ("groups", lambda m, *t: attend(m, *t, enable_gqa=True), (data(1, 4, 3, 2), data(1, 2, 3, 2), data(1, 2, 3, 2, seed=1))),
    ],
    "row_scaled_softmax": [("", attend, (q, k, v))],
    "row_biased_softmax": [("", attend, (q, k, v, data(3, 4)))],
}

# ------------------------------------------------------------------------------------------------ distances and embeddings
def index(high, *shape):
    return np.random.default_rng([high, *shape]).integers(0, high, shape)


def smooth_l1(m, d, beta):
    return m.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta)


def huber(m, d, delta):
    return m.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


SAMPLES |= {
    "_smooth_l1": [("two", lambda m, a, b: TABLE["_smooth_l1"].public(a, b, 1.5) if m.__name__ == "numtape" else smooth_l1(m, (a - b).abs(), 1.5), (x, y))],
    "_huber": [("two", lambda m, a, b: TABLE["_huber"].public(a, b, 1.5) if m.__name__ == "numtape" else huber(m, (a - b).abs(), 1.5), (x, y))],
    "_divergence": [("two", private("_divergence", lambda m, a, b: m.where(b == 0, m.zeros_like(b), b * (b.log() - a))), (x, data(4, 5, domain="positive")))],
    "cosine_similarity": [("", lambda m, a, b: m.cosine_similarity(a, b), (x, y)), ("dim", lambda m, a, b: F(m).cosine_similarity(a, b, dim=0), (x, y[:, :1].copy()))],
    "pairwise_distance": [("", lambda m, a, b: m.pairwise_distance(a, b), (x, y)), ("p", lambda m, a, b: F(m).pairwise_distance(a, b, 1.0, keepdim=True), (x, y[0].copy()))],
    "pdist": [("", lambda m, t: m.pdist(t), (x,)), ("p", lambda m, t: F(m).pdist(t, 3.0), (data(5, 2),))],
    "bilinear": [
        ("", lambda m, a, b, w, c: F(m).bilinear(a, b, w, c), (data(3, 2), data(3, 4), data(2, 2, 4), data(2))),
        ("more dims", lambda m, a, b, w: m.bilinear(a, b, w), (data(2, 3, 2), data(2, 3, 4), data(2, 2, 4))),
    ],
    "embedding": [
        ("", lambda m, w, i: m.embedding(w, i), (x, index(4, 2, 3))), ("padding", lambda m, w, i: F(m).embedding(i, w, padding_idx=1), (data(9, 5), index(9, 6))),
        ("by frequency", lambda m, w, i: F(m).embedding(i, w, scale_grad_by_freq=True), (data(9, 5), index(9, 7))),  # these are too large for finite differences, which they are not
    ],
}

SAMPLES["_alignment_step"] = [
    ("five", private("_alignment_step", lambda m, a, b, c, d, e: floating(a.exp() + b.exp() + (c + d).exp(), a).log() + e), (x, y, data(4, 5, seed=2), data(5, seed=5), data(4, 1))),
]
