"""The definitions of all ops, by subject; importing this files them in the table and puts them on `Tensor`."""

from numtape.ops import (
    activation,
    activation_units,
    alignment,
    arithmetic,
    attention,
    batch_norm,
    compare,
    copy,
    creation,
    distance,
    embedding,
    exponential,
    index,
    linalg,
    loss,
    methods,
    norm,
    optimize,
    part,
    random,
    reduce,
    scan,
    select,
    trigonometric,
    view,
)

PUBLIC = methods.install() | {"_fused_sgd_": optimize._fused_sgd_, "_fused_adam_": optimize._fused_adam_}
