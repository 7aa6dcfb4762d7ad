"""PyTorch's names of recorded operations, for printing and `grad_fn.name()`."""

from __future__ import annotations

import re

# Nodes whose PyTorch name is not their own in capitals.
_NAMES = {
    "as_strided_scatter": "CopySlices", "copy_": "CopyBackwards", "to": "ToCopyBackward0", "add_scaled": "AddBackward0",
    "clamp_both": "ClampBackward1", "rint": "RoundBackward0", "norm2": "LinalgVectorNormBackward0", "truncate_divide": "DivBackward2",
    "softplus_unit": "SoftplusBackward0", "_upper": "TriuBackward0", "_lower": "TrilBackward0", "_finite": "NanToNumBackward0",
    "_prelu": "PreluKernelBackward0", "selu": "EluBackward0", "standard": "NativeLayerNormBackward0", "layer_norm": "NativeLayerNormBackward0",
    "batch_norm": "NativeBatchNormBackward0", "cross_entropy": "NllLossBackward0", "conv_transpose": "ConvolutionBackward0",
    "det": "LinalgDetBackward0", "slogdet": "LinalgSlogdetBackward0", "inv": "LinalgInvExBackward0", "pinv": "LinalgPinvBackward0",
    "solve": "LinalgSolveExBackward0", "cholesky": "LinalgCholeskyExBackward0", "qr": "LinalgQrBackward0", "svd": "LinalgSvdBackward0",
    "eigh": "LinalgEighBackward0", "eig": "LinalgEigBackward0", "_complex_of": "ComplexBackward0", "real": "SelectBackward0",
    "imag": "SelectBackward0", "fft_c2c": "FftC2CBackward0", "fft_r2c": "FftR2CBackward0", "fft_c2r": "FftC2RBackward0",
}  # fmt: skip
_NUMBERED = {"sum", "mean", "prod"}  # the form with dims is number 1


def name_of(node) -> str:
    """The name PyTorch gives a recorded operation: mul is MulBackward0."""
    spec = node.spec[-1] if isinstance(node.spec, tuple) else node.spec  # of the result
    shape = getattr(spec, "shape", ())
    name = node.label.removeprefix("row_")
    if name in ("matmul", "linear") and len(shape) == 2:
        return "AddmmBackward0" if name == "linear" and len(node.inputs) > 2 and node.inputs[2] is not None else "MmBackward0"
    if name in _NAMES:
        return _NAMES[name]
    number = 1 if name in _NUMBERED and shape or name == "pow" and node.saved and hasattr(node.saved[1], "_requires_grad") else 0
    joined = "".join(part.capitalize() for part in name.strip("_").split("_"))
    return re.sub(r"(?<=\d)[a-z]", lambda found: found[0].upper(), joined) + f"Backward{number}"
