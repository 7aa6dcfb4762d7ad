"""Samples of convolutions, pooling, padding, resampling and shuffles."""

import numpy as np
from samples import data


def _f(name, *extra, **options):
    return lambda m, *tensors: getattr(m.nn.functional, name)(*tensors, *extra, **options)


def _top(name, *extra, **options):
    return lambda m, *tensors: getattr(m, name)(*tensors, *extra, **options)


def _unpool(nd, **options):
    """PyTorch's derivative takes contiguous positions only."""
    return lambda m, t, at: getattr(m.nn.functional, f"max_unpool{nd}d")(t, at.contiguous(), 2, **options)


IMAGES = {1: data(2, 4, 7), 2: data(2, 4, 6, 5), 3: data(2, 2, 4, 3, 5)}
SMALL = {1: data(1, 2, 5), 2: data(1, 2, 3, 4), 3: data(1, 1, 3, 2, 3)}
KERNELS = {1: (3,), 2: (3, 2), 3: (2, 2, 3)}
SAMPLES: dict = {}

for nd in (1, 2, 3):
    x, tiny, kernel = IMAGES[nd], SMALL[nd], KERNELS[nd]
    channels, few = x.shape[1], tiny.shape[1]
    weight, bias = data(6, channels, *kernel, seed=1), data(6, seed=2)
    grouped = data(4, channels // 2, *kernel, seed=3)
    SAMPLES[f"conv{nd}d"] = [
        ("small", _top(f"conv{nd}d"), (tiny, data(2, few, *(2,) * nd))),
        ("small, steps", _top(f"conv{nd}d", stride=2, padding=1), (tiny, data(1, few, *(2,) * nd), data(1))),
        ("bias", _f(f"conv{nd}d"), (x, weight, bias)),
        ("stride, padding", _f(f"conv{nd}d", stride=2, padding=1), (x, weight, bias)),
        ("dilation", _f(f"conv{nd}d", padding=kernel, dilation=2), (x, weight)),
        ("groups", _f(f"conv{nd}d", groups=2, padding=1), (x, grouped, data(4))),
        ("same", _f(f"conv{nd}d", padding="same", dilation=2), (x, weight)),
        ("valid", _f(f"conv{nd}d", padding="valid"), (x, weight)),
        ("pointwise", _f(f"conv{nd}d"), (x, data(3, channels, *(1,) * nd))),
        ("unbatched", _f(f"conv{nd}d", padding=1), (x[0], weight, bias)),
    ]
    back, grouped = data(channels, 3, *kernel, seed=4), data(channels, 2, *kernel, seed=5)
    SAMPLES[f"conv_transpose{nd}d"] = [
        ("small", _top(f"conv_transpose{nd}d"), (tiny, data(few, 1, *(2,) * nd))),
        ("small, steps", _top(f"conv_transpose{nd}d", stride=2, output_padding=1), (tiny, data(few, 1, *(2,) * nd), data(1))),
        ("bias", _f(f"conv_transpose{nd}d"), (x, back, data(3))),
        ("stride, padding", _f(f"conv_transpose{nd}d", stride=3, padding=1, output_padding=2), (x, back)),
        ("groups", _f(f"conv_transpose{nd}d", groups=2), (x, grouped, data(4))),
        ("dilation", _f(f"conv_transpose{nd}d", dilation=2, output_padding=1), (x, back)),
        ("unbatched", _f(f"conv_transpose{nd}d"), (x[0], back)),
    ]
    pooled = [
        ("small", (2, 1), {}, tiny),
        ("2", (2,), {}, x),
        ("3, 2, 1", (3, 2, 1), {}, x),
        ("ceil", (2, 3), {"ceil_mode": True}, x),
        ("unbatched", (2,), {"stride": 1}, x[0]),
    ]
    SAMPLES[f"max_pool{nd}d"] = [(label, _top(f"max_pool{nd}d", *a, **k), (t,)) for label, a, k, t in pooled]
    SAMPLES[f"max_pool{nd}d"] += [("dilation", _f(f"max_pool{nd}d", 2, 1, dilation=2), (x,))]
    SAMPLES[f"max_pool{nd}d_with_indices"] = [
        (label, _f(f"max_pool{nd}d", *a, return_indices=True, **k), (t,)) for label, a, k, t in pooled
    ]
    SAMPLES[f"avg_pool{nd}d"] = [(label, _f(f"avg_pool{nd}d", *a, **k), (t,)) for label, a, k, t in pooled]
    SAMPLES[f"avg_pool{nd}d"] += [("without pad", _f(f"avg_pool{nd}d", 3, 2, 1, True, False), (x,))]
    SAMPLES[f"avg_pool{nd}d"] += [("divisor", _f(f"avg_pool{nd}d", 2, divisor_override=5), (x,))] if nd > 1 else []
    SAMPLES[f"lp_pool{nd}d"] = [("3", _f(f"lp_pool{nd}d", 3.0, 2), (abs(tiny),)), ("2", _f(f"lp_pool{nd}d", 2, 2, 1), (x,)), ("inf", _f(f"lp_pool{nd}d", float("inf"), 2), (x,))]
    for kind in ("avg", "max"):
        more = {"return_indices": True} if kind == "max" else {}
        SAMPLES[f"adaptive_{kind}_pool{nd}d"] = [
            (f"{label} {size}", _f(f"adaptive_{kind}_pool{nd}d", size, **more), (t,))
            for label, size, t in [("small", 2, tiny), ("", 1, x), ("", 3, x), ("", 9, x), ("unbatched", 2, x[0])]
        ]
    places = np.random.default_rng(nd).permuted(np.tile(np.arange(2 ** (2 * nd)), (2, 2, 1)), axis=2)[..., : 2**nd].reshape(2, 2, *(2,) * nd)
    values = data(2, 2, *(2,) * nd)
    SAMPLES[f"max_unpool{nd}d"] = [
        ("", _unpool(nd), (values, places)),
        ("size", _unpool(nd, output_size=(5,) * nd), (values, places)),
        ("unbatched", _unpool(nd), (values[0], places[0])),
    ]

SAMPLES["im2col"] = [
    ("small", _f("unfold", 2), (SMALL[2],)),
    ("all", _f("unfold", (3, 2), dilation=(1, 2), padding=1, stride=2), (IMAGES[2],)),
    ("unbatched", _f("unfold", 2), (IMAGES[2][0],)),
]
SAMPLES["col2im"] = [
    ("small", _f("fold", (3, 3), 2), (data(1, 4, 4),)),
    ("all", _f("fold", (6, 5), (3, 2), dilation=(1, 2), padding=1, stride=2), (data(2, 12, 9),)),
    ("unbatched", _f("fold", (3, 4), 2), (data(8, 6),)),
]

PADS = [(1, 2), (-1, 2), (1, 2, 0, 1), (2, -1, -1, 1)]
SAMPLES["constant_pad_nd"] = [(f"{p}", _top("constant_pad_nd", p, 1.5), (IMAGES[2],)) for p in [*PADS, (1, 0, 0, 1, 1, 1, 2, 0), (-1, -2)]]
SAMPLES["pad"] = [
    ("plain", _f("pad", (1, 1)), (data(2, 3),)),
    *[(f"{mode} {p}", _f("pad", p, mode), (IMAGES[2] if len(p) == 4 else IMAGES[1],)) for mode in ("reflect", "replicate", "circular") for p in PADS],
    ("reflect 3d", _f("pad", (1, 1, 0, 1, 2, 0), "reflect"), (IMAGES[3],)),
    ("unbatched", _f("pad", (2, 1), "circular"), (IMAGES[1][0],)),
    ("value", _f("pad", (1, 0, 2, 1), value=3), (data(4, 5),)),
]

SIZES = {"nearest": 1, "nearest-exact": 1, "area": 1, "linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
SAMPLES["interpolate"] = [("small", _f("interpolate", scale_factor=2.0), (SMALL[1],)), ("small linear", _f("interpolate", size=7, mode="linear"), (SMALL[1],))]
for mode, nd in SIZES.items():
    SAMPLES["interpolate"] += [
        (f"{mode} {options}", _f("interpolate", mode=mode, **options), (IMAGES[nd],))
        for options in ({"size": 4}, {"scale_factor": 1.6}, {"scale_factor": 0.7}, {"scale_factor": 2, "recompute_scale_factor": True})
    ]
    if mode.endswith(("linear", "cubic")):
        SAMPLES["interpolate"].append((f"{mode} corners", _f("interpolate", mode=mode, size=9, align_corners=True), (IMAGES[nd],)))
SAMPLES["interpolate"] += [(f"{mode} antialias", _f("interpolate", mode=mode, size=(3, 2), antialias=True), (IMAGES[2],)) for mode in ("bilinear", "bicubic")]
SAMPLES["interpolate"] += [("nearest 2d", _f("interpolate", scale_factor=2), (IMAGES[2],)), ("nearest 3d", _f("interpolate", size=(2, 5, 3)), (IMAGES[3],))]

GRID, GRID3 = data(2, 3, 4, 2) * 0.4, data(2, 2, 2, 3, 3) * 0.4
SAMPLES["grid_sampler"] = [
    ("small", _top("grid_sampler", 0, 0, False), (SMALL[2], data(1, 1, 2, 2, domain="unit"))),
    *[
        (f"{mode} {padding} {align}", _f("grid_sample", mode=mode, padding_mode=padding, align_corners=align), (IMAGES[2], GRID))
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for align in (False, True)
    ],
    ("3d", _f("grid_sample", align_corners=False), (IMAGES[3], GRID3)),
]
SAMPLES["affine_grid_generator"] = [
    ("2d", _f("affine_grid", (2, 1, 3, 4), align_corners=False), (data(2, 2, 3),)),
    ("corners", _f("affine_grid", (2, 1, 3, 4), align_corners=True), (data(2, 2, 3),)),
    ("3d", _f("affine_grid", (2, 1, 3, 4, 2), align_corners=False), (data(2, 3, 4),)),
]
SAMPLES["pixel_shuffle"] = [("", _f("pixel_shuffle", 2), (data(2, 8, 3, 2),)), ("top", _top("pixel_shuffle", 3), (data(9, 2, 2),))]
SAMPLES["pixel_unshuffle"] = [("", _f("pixel_unshuffle", 2), (data(2, 2, 6, 4),)), ("top", _top("pixel_unshuffle", 3), (data(1, 3, 6),))]
SAMPLES["channel_shuffle"] = [("", _f("channel_shuffle", 2), (data(2, 4, 3),)), ("top", _top("channel_shuffle", 3), (data(1, 6, 2, 2),))]
