"""What the suite `ops` calls of products, linear algebra and neural networks; see `op_calls`."""

from __future__ import annotations

from typing import Any

from numtape.bench.suites.op_calls import BIG, IMAGES, MATRIX, SMALL, VECTOR, add, f, holes, ints, mask, pos, spd

__all__ = ["VECTOR", "holes"]

# ------------------------------------------------------------------------------------------------ products
A, B = f(256, 256), f(256, 256, seed=1)
add("matmul", lambda m, x, y: x @ y, A, B, backward=True)
add("matmul", lambda m, x, y: x @ y, f(8, 8, 128, 64), f(8, 8, 64, 128), label="heads", backward=True)
add("matmul", lambda m, x, y: x @ y, SMALL, f(8, 8, seed=1), label="small", backward=True)
add("mm", lambda m, x, y: m.mm(x, y), A, B)
add("bmm", lambda m, x, y: m.bmm(x, y), f(64, 64, 64), f(64, 64, 64, seed=1), backward=True)
add("mv", lambda m, x, v: m.mv(x, v), MATRIX, f(1024), backward=True)
add("dot", lambda m, x, y: m.dot(x, y), f(BIG), f(BIG, seed=1), backward=True)
add("vdot", lambda m, x, y: m.vdot(x, y), f(BIG), f(BIG, seed=1))
add("inner", lambda m, x, y: m.inner(x, y), A, B)
add("outer", lambda m, x, y: m.outer(x, y), f(1024), f(1024, seed=1), backward=True)
add("addmm", lambda m, c, x, y: m.addmm(c, x, y), f(256), A, B, backward=True)
add("addmv", lambda m, c, x, v: m.addmv(c, x, v), f(1024, seed=1), MATRIX, f(1024))
add("addr", lambda m, c, x, y: m.addr(c, x, y), MATRIX, f(1024), f(1024, seed=1))
add("addbmm", lambda m, c, x, y: m.addbmm(c, x, y), f(64, 64), f(64, 64, 64), f(64, 64, 64, seed=1))
add("baddbmm", lambda m, c, x, y: m.baddbmm(c, x, y), f(64, 64, 64), f(64, 64, 64, seed=1), f(64, 64, 64, seed=2))
add("linear", lambda m, x, w, b: m.nn.functional.linear(x, w, b), f(64, 784), f(256, 784), f(256), backward=True)
add("einsum", lambda m, x, y: m.einsum("bhid,bhjd->bhij", x, y), f(8, 8, 128, 64), f(8, 8, 128, 64, seed=1), backward=True)
add("einsum", lambda m, x, y: m.einsum("ij,jk->ik", x, y), SMALL, f(8, 8, seed=1), label="small")
add("tensordot", lambda m, x, y: m.tensordot(x, y, 1), A, B)
add("kron", lambda m, x, y: m.kron(x, y), f(32, 32), f(32, 32, seed=1))
add("kron", lambda m, x, y: m.kron(x, y), f(4, 4), f(4, 4, seed=1), label="small")
add("chain_matmul", lambda m, *t: m.linalg.multi_dot(t), f(128, 256), f(256, 64), f(64, 256))
add("cross", lambda m, x, y: m.cross(x, y, dim=1), f(1 << 16, 3), f(1 << 16, 3, seed=1))
add("cross", lambda m, x, y: m.cross(x, y, dim=0), f(3, 4), f(3, 4, seed=1), label="small")
add("cdist", lambda m, x, y: m.cdist(x, y), f(256, 64), f(256, 64, seed=1), backward=True)
add("cov", lambda m, x: m.cov(x), f(64, 1024))
add("corrcoef", lambda m, x: m.corrcoef(x), f(64, 1024))
add("vander", lambda m, x: m.vander(x), pos(512))
add("vander", lambda m, x: m.vander(x, 8), pos(1 << 14), label="narrow")

# ------------------------------------------------------------------------------------------------ linear algebra
add("linalg_det", lambda m, x: m.linalg.det(x), spd(32, 32))
add("linalg_slogdet", lambda m, x: m.linalg.slogdet(x), spd(128, 128))
add("linalg_inv", lambda m, x: m.linalg.inv(x), spd(128, 128))
add("linalg_pinv", lambda m, x: m.linalg.pinv(x), f(64, 32))
add("linalg_solve", lambda m, x, y: m.linalg.solve(x, y), spd(128, 128), f(128, 16))
add("linalg_solve_triangular", lambda m, x, y: m.linalg.solve_triangular(x.tril(), y, upper=False), spd(128, 128), f(128, 16))
add("linalg_lstsq", lambda m, x, y: m.linalg.lstsq(x, y).solution, f(256, 32), f(256, 4))
add("linalg_cholesky", lambda m, x: m.linalg.cholesky(x), spd(128, 128))
add("linalg_qr", lambda m, x: m.linalg.qr(x)[1].abs(), f(128, 64))
add("linalg_svd", lambda m, x: m.linalg.svd(x, full_matrices=False)[1], f(128, 64))
add("linalg_eigh", lambda m, x: m.linalg.eigh(x)[0], spd(64, 64))
add("linalg_eig", lambda m, x: m.linalg.eig(x)[0].abs().sum(), spd(32, 32), exact=False)
add("linalg_matrix_power", lambda m, x: m.linalg.matrix_power(x, 5), spd(128, 128))
add("linalg_matrix_exp", lambda m, x: m.linalg.matrix_exp(x), spd(64, 64))

# ------------------------------------------------------------------------------------------------ normalisation, attention, losses, distances
add("layer_norm", lambda m, x, w, b: m.layer_norm(x, (512,), w, b), f(1024, 512), f(512), f(512, seed=1), backward=True)
add("rms_norm", lambda m, x, w: m.rms_norm(x, (512,), w), f(1024, 512), f(512), backward=True)
add("group_norm", lambda m, x, w, b: m.group_norm(x, 8, w, b), f(*IMAGES), f(64), f(64, seed=1), backward=True)
add("instance_norm", lambda m, x: m.nn.functional.instance_norm(x), f(*IMAGES), backward=True)
add("batch_norm", lambda m, x, w, b: m.nn.functional.batch_norm(x, None, None, w, b, training=True), f(*IMAGES), f(64), f(64, seed=1), backward=True)
add("batch_norm", lambda m, x, w, b, c, d: m.nn.functional.batch_norm(x, w, b, c, d), f(*IMAGES), f(64), pos(64), f(64, seed=1), f(64, seed=2), label="eval")
add("scaled_dot_product_attention", lambda m, q, k, v: m.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
    f(4, 8, 128, 64), f(4, 8, 128, 64, seed=1), f(4, 8, 128, 64, seed=2), backward=True)  # fmt: skip
add("cross_entropy_rows", lambda m, x, i: m.nn.functional.cross_entropy(x, i), f(512, 1000), ints(1000, 512), backward=True)
add("cross_entropy_rows", lambda m, x, i: m.nn.functional.cross_entropy(x, i), f(8, 21, 64, 64), ints(21, 8, 64, 64), label="images", backward=True)
add("cosine_similarity", lambda m, x, y: m.cosine_similarity(x, y), f(1024, 512), f(1024, 512, seed=1), backward=True)
add("pairwise_distance", lambda m, x, y: m.pairwise_distance(x, y), f(1024, 512), f(1024, 512, seed=1), backward=True)
add("pdist", lambda m, x: m.pdist(x), f(256, 64))
add("bilinear", lambda m, x, y, w: m.bilinear(x, y, w), f(64, 32), f(64, 32, seed=1), f(16, 32, 32), backward=True)
add("embedding", lambda m, w, i: m.nn.functional.embedding(i, w), f(10000, 256), ints(10000, 64, 32), backward=True)


def _loss(name: str, *arrays: Any, **options: Any) -> None:
    add(LOSSES[name], lambda m, x, y: getattr(m.nn.functional, name)(x, y, **options), *arrays, label="" if LOSSES[name].startswith("_") else name, backward=True)


LOSSES = {"smooth_l1_loss": "_smooth_l1", "huber_loss": "_huber", "kl_div": "_divergence", "mse_loss": "square", "binary_cross_entropy_with_logits": "softplus"}
for _name in LOSSES:
    _loss(_name, f(BIG), pos(BIG, seed=1), reduction="mean")


def _ctc(m: Any, x: Any, classes: Any) -> Any:
    lengths = m.full((16,), 100, dtype=m.int64), m.full((16,), 20, dtype=m.int64)
    return m.nn.functional.ctc_loss(x.log_softmax(2), classes, *lengths)


add("_alignment_step", _ctc, f(100, 16, 32), lambda: ints(31, 16, 20)() + 1, label="ctc_loss", backward=True)
add("_gated", lambda m, x: m.nn.functional.glu(x), f(1024, 1024), label="glu", backward=True)

# ------------------------------------------------------------------------------------------------ windows
F32 = f(32, 32, 3, 3)
add("conv1d", lambda m, x, w, b: m.conv1d(x, w, b, padding=1), f(8, 64, 512), f(64, 64, 3), f(64), backward=True)
add("conv2d", lambda m, x, w, b: m.conv2d(x, w, b, padding=1), f(4, 32, 56, 56), F32, f(32), backward=True)
add("conv2d", lambda m, x, w: m.conv2d(x, w), f(4, 64, 56, 56), f(64, 64, 1, 1), label="pointwise", backward=True)
add("conv2d", lambda m, x, w: m.conv2d(x, w, padding=1, groups=64), f(4, 64, 56, 56), f(64, 1, 3, 3), label="depthwise", backward=True)
add("conv2d", lambda m, x, w: m.conv2d(x, w, stride=2, padding=3), f(2, 3, 112, 112), f(64, 3, 7, 7), label="stem", backward=True)
add("conv3d", lambda m, x, w, b: m.conv3d(x, w, b, padding=1), f(2, 8, 16, 28, 28), f(16, 8, 3, 3, 3), f(16), backward=True)
add("conv_transpose1d", lambda m, x, w: m.conv_transpose1d(x, w, stride=2), f(8, 64, 256), f(64, 64, 4), backward=True)
add("conv_transpose2d", lambda m, x, w: m.conv_transpose2d(x, w, stride=2), f(4, 32, 28, 28), f(32, 32, 2, 2), backward=True)
add("conv_transpose3d", lambda m, x, w: m.conv_transpose3d(x, w, stride=2), f(1, 8, 8, 14, 14), f(8, 8, 2, 2, 2), backward=True)
SIGNALS = {1: f(8, 64, 2048), 2: f(8, 32, 56, 56), 3: f(2, 16, 16, 28, 28)}
for _nd, _x in SIGNALS.items():
    add(f"max_pool{_nd}d", lambda m, x, nd=_nd: getattr(m.nn.functional, f"max_pool{nd}d")(x, 2), _x, backward=True)
    add(f"max_pool{_nd}d_with_indices", lambda m, x, nd=_nd: getattr(m.nn.functional, f"max_pool{nd}d")(x, 2, return_indices=True), _x)
    add(f"avg_pool{_nd}d", lambda m, x, nd=_nd: getattr(m.nn.functional, f"avg_pool{nd}d")(x, 2), _x, backward=True)
    add(f"lp_pool{_nd}d", lambda m, x, nd=_nd: getattr(m.nn.functional, f"lp_pool{nd}d")(x, 2.0, 2), _x)
    for _kind in ("max", "avg"):
        add(f"adaptive_{_kind}_pool{_nd}d", lambda m, x, nd=_nd, kind=_kind: getattr(m.nn.functional, f"adaptive_{kind}_pool{nd}d")(x, 7), _x, backward=True)
    add(f"max_unpool{_nd}d", lambda m, x, nd=_nd: getattr(m.nn.functional, f"max_unpool{nd}d")(*getattr(m.nn.functional, f"max_pool{nd}d")(x, 2, return_indices=True), 2), _x)
add("max_pool2d", lambda m, x: m.nn.functional.max_pool2d(x, 3, 2, 1), f(8, 64, 56, 56), label="3-2-1", backward=True)
add("avg_pool2d", lambda m, x: m.nn.functional.avg_pool2d(x, 3, 2, 1), f(8, 64, 56, 56), label="3-2-1", backward=True)
add("adaptive_avg_pool2d", lambda m, x: m.nn.functional.adaptive_avg_pool2d(x, 1), f(8, 512, 7, 7), label="1", backward=True)
add("im2col", lambda m, x: m.nn.functional.unfold(x, 3, padding=1), f(4, 32, 56, 56), backward=True)
add("col2im", lambda m, x: m.nn.functional.fold(x, (56, 56), 3, padding=1), f(4, 288, 3136))
add("constant_pad_nd", lambda m, x: m.constant_pad_nd(x, (1, 1, 1, 1)), f(*IMAGES))
for _mode in ("constant", "reflect", "replicate", "circular"):
    add("pad", lambda m, x, mode=_mode: m.nn.functional.pad(x, (1, 1, 1, 1), mode), f(*IMAGES), label=_mode, backward=True)
for _mode in ("nearest", "bilinear", "bicubic"):
    add("interpolate", lambda m, x, mode=_mode: m.nn.functional.interpolate(x, scale_factor=2, mode=mode), f(4, 32, 56, 56), label=_mode, backward=True)
add("affine_grid_generator", lambda m, x: m.nn.functional.affine_grid(x, (8, 3, 112, 112), align_corners=False), f(8, 2, 3), backward=True)
add("grid_sampler", lambda m, x, g: m.nn.functional.grid_sample(x, g.clamp(-0.99, 0.99), align_corners=False), f(8, 32, 56, 56), f(8, 56, 56, 2), backward=True)
add("pixel_shuffle", lambda m, x: m.pixel_shuffle(x, 2), f(8, 64, 56, 56), backward=True)
add("pixel_unshuffle", lambda m, x: m.pixel_unshuffle(x, 2), f(8, 16, 112, 112), backward=True)
add("channel_shuffle", lambda m, x: m.nn.functional.channel_shuffle(x, 4), f(*IMAGES))
add("masked_fill", lambda m, x, k: x.masked_fill_(k, 0.5), f(64, 64), mask(64, 64), label="in-place")
