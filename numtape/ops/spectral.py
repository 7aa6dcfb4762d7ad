"""Short-time Fourier transforms: of windows along a signal, and back by adding them up where they overlap."""

from __future__ import annotations

import warnings

from numtape.ops.complex import view_as_real
from numtape.ops.convolution import col2im
from numtape.ops.copy import tensor_of
from numtape.ops.creation import ones
from numtape.ops.define import composite
from numtape.ops.fourier import fft, ifft, irfft, rfft
from numtape.ops.padding import constant_pad_nd, pad
from numtape.ops.part import narrow
from numtape.ops.reinterpret import unfold_dim
from numtape.ops.view import reshape, transpose, unsqueeze
from numtape.tensor import Tensor


def _window(name: str, window, n_fft: int, win_length: int):
    """The window, as long as the transform: zeros on both sides."""
    if window is None:
        return None
    if not isinstance(window, Tensor) or window._spec.shape != (win_length,):
        got = list(window.shape) if isinstance(window, Tensor) else type(window).__name__
        raise RuntimeError(f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size {got}")
    left = (n_fft - win_length) // 2
    return constant_pad_nd(window, [left, n_fft - win_length - left]) if win_length < n_fft else window


def _sizes(name: str, n_fft: int, hop_length, win_length) -> tuple[int, int]:
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < width <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={width}")
    return hop, width


@composite
def stft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
    align_to_window=None,
):
    "The Fourier transforms of windows of n_fft samples, hop_length apart, of signals (L) or (B, L): (frequencies, windows), or with B in front."
    x = tensor_of("stft", input)
    if window is not None and not isinstance(window, Tensor):
        raise TypeError(f"stft(): argument 'window' must be Tensor, not {type(window).__name__}")
    whole = x.dtype.is_complex or window is not None and window.dtype.is_complex
    if return_complex is None and not whole:
        raise RuntimeError("stft requires the return_complex parameter be given for real inputs; return_complex=False gives pairs of real numbers")
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false.")
    if not x.dtype.differentiable:
        raise RuntimeError(f"stft: expected a tensor of floating point or complex values, got {x.dtype}")
    if x.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {x.ndim}D")
    rows = unsqueeze(x, 0) if x.ndim == 1 else x
    hop, width = _sizes("stft", n_fft, hop_length, win_length)
    if center:
        rows = pad(rows, [n_fft // 2, n_fft // 2], pad_mode)
    elif align_to_window:
        rows = pad(rows, [(width - n_fft) // 2, (width - n_fft) // 2]) if width > n_fft else rows
    if not 0 < n_fft <= rows.shape[1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {rows.shape[1]}, but got n_fft={n_fft}")
    frames, shape = unfold_dim(rows, 1, n_fft, hop), _window("stft", window, n_fft, width)
    frames = frames if shape is None else frames * shape
    if onesided and whole:
        raise RuntimeError("stft: Cannot have onesided output if window or input is complex")
    transform = fft if whole or onesided is False else rfft
    found = transpose(transform(frames, norm="ortho" if normalized else "backward"), 1, 2)
    found = found if x.ndim == 2 else found.squeeze(0)
    return found if return_complex or return_complex is None else view_as_real(found)


@composite
def istft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
):
    "The signals whose `stft` is the input: windows transformed back, added up, and divided by the sum of the squared window."
    z = tensor_of("istft", input)
    if not z.dtype.is_complex:
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with return_complex=True.")
    if z.ndim not in (2, 3) or not z.numel():
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions and elements, but got {tuple(z.shape)}")
    hop, width = _sizes("istft", n_fft, hop_length, win_length)
    rows = transpose(unsqueeze(z, 0) if z.ndim == 2 else z, 1, 2)
    places, count = rows.shape[2], rows.shape[1]
    onesided = places != n_fft if onesided is None else onesided
    expected = n_fft // 2 + 1 if onesided else n_fft
    if places != expected:
        raise RuntimeError(f"istft: expected the frequency dimension (3rd to the last) of the input tensor to be {expected} for onesided={onesided}, but got {places}")
    if return_complex and onesided:
        raise RuntimeError("istft: cannot have onesided input if window or input is complex and return_complex=True")
    if not return_complex and window is not None and window.dtype.is_complex:
        raise RuntimeError("istft: Complex windows are incompatible with return_complex=False")
    norm, kind = "ortho" if normalized else "backward", z.dtype if return_complex else z.dtype.to_real()
    shape = _window("istft", ones(width, dtype=z.dtype.to_real(), device=z.device) if window is None else window, n_fft, width)
    frames = ifft(rows, norm=norm) if return_complex else irfft(narrow(rows, 2, 0, n_fft // 2 + 1), n_fft, norm=norm)
    total = n_fft + hop * (count - 1)
    y, weights = _overlapped((frames * shape).to(kind), total, hop), _overlapped((shape * shape).expand(1, count, n_fft), total, hop)
    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else total - start
    y, weights = (narrow(t, 1, start, max(min(stop, total) - start, 0)) for t in (y, weights))
    if weights.numel() and bool((weights.detach().abs() < 1e-11).any()):
        raise RuntimeError("istft: window overlap add min: the sum of the squared window is zero somewhere, so that the signal there is lost")
    y = y / weights
    if stop > total:
        warnings.warn("The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail.", stacklevel=2)
        y = constant_pad_nd(y, [0, stop - total])
    return y if z.ndim == 3 else y.squeeze(0)


def _overlapped(frames: Tensor, total: int, hop: int) -> Tensor:
    """Frames (B, count, n) added up where they lie in signals (B, total)."""
    b, _, n = frames._spec.shape
    return reshape(col2im(transpose(frames, 1, 2), (1, total), (1, n), stride=(1, hop)), b, total)
