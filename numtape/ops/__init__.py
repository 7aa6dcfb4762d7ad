"""The definitions of all ops, by subject; importing this files them in the table and puts them on `Tensor`."""

from numtape.ops import (
    activation,
    arithmetic,
    ask,
    bits,
    compare,
    copy,
    creation,
    exponential,
    index,
    linalg,
    loss,
    methods,
    norm,
    optimize,
    part,
    pointwise,
    random,
    reduce,
    reduce_more,
    scan,
    select,
    special,
    trigonometric,
    view,
)

PUBLIC = methods.install() | ask.PUBLIC | {"_fused_sgd_": optimize._fused_sgd_, "_fused_adam_": optimize._fused_adam_}
