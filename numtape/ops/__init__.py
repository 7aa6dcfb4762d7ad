"""The definitions of all ops, by subject; importing this files them in the table and puts them on `Tensor`."""

from numtape.ops import (
    activation,
    along,
    arithmetic,
    compare,
    copy,
    creation,
    exponential,
    index,
    linalg,
    loss,
    masks,
    methods,
    norm,
    optimize,
    part,
    random,
    reduce,
    scan,
    scatter,
    select,
    subscript,
    trigonometric,
    view,
)

PUBLIC = methods.install() | {"_fused_sgd_": optimize._fused_sgd_, "_fused_adam_": optimize._fused_adam_}
