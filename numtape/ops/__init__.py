"""The definitions of all ops, by subject; importing this files them in the table and puts them on `Tensor`."""

from numtape.ops import (
    activation,
    activation_units,
    arithmetic,
    attention,
    batch_norm,
    compare,
    convolution,
    copy,
    counting,
    creation,
    exponential,
    index,
    linalg,
    loss,
    methods,
    norm,
    optimize,
    padding,
    part,
    pooling,
    random,
    reduce,
    resampling,
    running,
    sampling,
    scan,
    select,
    sort,
    shaping,
    trigonometric,
    view,
)

PUBLIC = methods.install() | {"_fused_sgd_": optimize._fused_sgd_, "_fused_adam_": optimize._fused_adam_}
PUBLIC |= shaping.FUNCTIONS
