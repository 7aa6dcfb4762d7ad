"""The definitions of all ops, by subject; importing this files them in the table and puts them on `Tensor`."""

from numtape.ops import (
    activation,
    arithmetic,
    compare,
    copy,
    creation,
    exponential,
    index,
    linalg,
    loss,
    methods,
    part,
    random,
    reduce,
    scan,
    select,
    trigonometric,
    view,
)

PUBLIC = methods.install()
