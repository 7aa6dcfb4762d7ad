"""The training run: a perceptron of 64-64-10 learns to read scikit-learn's handwritten digits.

1797 images of 8x8 pixels, split once and for all into 1437 to learn from and 360 to be tested on, each pixel scaled to mean 0
and variance 1 over the first. The test accuracy must reach `TARGET`. On a card PyTorch runs the same, and without scikit-learn
images of our own making take the place of the digits.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import numtape as nt
from numtape.bench.engines import installed
from numtape.bench.report import Progress

TARGET = 0.96
EPOCHS = 15
BATCH = 32
LEARNING_RATE = 1e-2
TEST = 360

MISSING = (
    'the digits training run needs scikit-learn, which is not installed: pip install "numtape[bench]", '
    "or leave the run out with --suite (for example --suite elementwise,matmul)"
)


@dataclass
class Training:
    """The outcome of a training run. Seconds are wall-clock; `compile_seconds` of them went into compiling kernels."""

    epochs: int
    losses: list[float]
    accuracy: float
    seconds: float
    compile_seconds: float
    compiled: int
    epoch_seconds: list[float] = field(default_factory=list)  # learning and testing
    steps: int = 0  # of an epoch

    @property
    def step_seconds(self) -> float | None:
        """The time of a step in the median epoch but the first, which compiles; loading the batch and testing counted in."""
        return statistics.median(self.epoch_seconds[1:] or self.epoch_seconds) / self.steps if self.steps else None

    @property
    def passed(self) -> bool:
        return self.accuracy >= TARGET

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "target": TARGET, "passed": self.passed}


def available() -> bool:
    """Whether scikit-learn, which has the images, is installed."""
    return installed("sklearn")


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x_train (1437, 64) and x_test (360, 64) as float32, scaled; y_train and y_test as int64."""
    if not available():
        raise ModuleNotFoundError(MISSING)
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(x))
    train, test = order[TEST:], order[:TEST]
    mean, std = x[train].mean(0), x[train].std(0)
    std[std == 0] = 1  # pixels that are never drawn on
    x = ((x - mean) / std).astype(np.float32)
    y = y.astype(np.int64)
    return x[train], y[train], x[test], y[test]


def synthetic() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As `load`: ten random images with noise, as many and as large as the digits."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 1797)
    x = (rng.standard_normal((10, 64))[y] + 0.7 * rng.standard_normal((1797, 64))).astype(np.float32)
    return x[TEST:], y[TEST:], x[:TEST], y[:TEST]


def train(
    *,
    epochs: int = EPOCHS,
    device: str = "cpu",
    library: Any = nt,
    images: Callable[[], Any] = load,
    most: int | None = None,
    quiet: bool = False,
) -> Training:
    """Train and test; progress goes to standard error.

    library: numtape, or PyTorch. most: how many images are learned from, and tested on, at the most. quiet: without a line an epoch.
    """
    x_train, y_train, x_test, y_test = (a[:most] for a in images())
    start, compiling, compiled = time.perf_counter(), nt.kernels.compile_seconds(), nt.kernels.compilations()
    nn, data = library.nn, library.utils.data
    library.manual_seed(0)
    pairs = data.TensorDataset(library.from_numpy(x_train), library.from_numpy(y_train))
    loader = data.DataLoader(pairs, batch_size=BATCH, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)
    optimizer = library.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = nn.CrossEntropyLoss()
    x, y = library.from_numpy(x_test).to(device), library.from_numpy(y_test).to(device)

    losses, accuracy, epoch_seconds = [], 0.0, []
    steps = len(loader)
    with Progress("digits", epochs * steps, "the first step compiles what the cache lacks") as progress:
        for epoch in range(epochs):
            if epoch == epochs // 2:
                for group in optimizer.param_groups:
                    group["lr"] = LEARNING_RATE / 10
            total, began = 0.0, time.perf_counter()
            for batch, classes in loader:
                optimizer.zero_grad()
                loss = criterion(model(batch.to(device)), classes.to(device))
                loss.backward()
                optimizer.step()
                total += loss.item()
                progress.advance()
            losses.append(total / steps)
            with library.no_grad():
                accuracy = (model(x).argmax(1) == y).to(library.float32).mean().item()
            epoch_seconds.append(time.perf_counter() - began)
            if not quiet:
                progress.say(f"epoch {epoch + 1:2d}/{epochs}  loss {losses[-1]:.4f}  test accuracy {100 * accuracy:.1f} %")
    return Training(
        epochs,
        losses,
        accuracy,
        time.perf_counter() - start,
        nt.kernels.compile_seconds() - compiling,
        nt.kernels.compilations() - compiled,
        epoch_seconds,
        steps,
    )
