"""The training run: a perceptron of 64-64-10 learns to read scikit-learn's handwritten digits.

1797 images of 8x8 pixels, split once and for all into 1437 to learn from and 360 to be tested on, each pixel scaled to mean 0
and variance 1 over the first. The test accuracy must reach `TARGET`.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
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


def train(*, epochs: int = EPOCHS) -> Training:
    """Train and test; progress goes to standard error."""
    x_train, y_train, x_test, y_test = load()
    start, compiling, compiled = time.perf_counter(), nt.kernels.compile_seconds(), nt.kernels.compilations()
    nt.manual_seed(0)
    data = nt.utils.data.TensorDataset(nt.from_numpy(x_train), nt.from_numpy(y_train))
    loader = nt.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    model = nt.nn.Sequential(nt.nn.Linear(64, 64), nt.nn.ReLU(), nt.nn.Linear(64, 10))
    optimizer = nt.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = nt.nn.CrossEntropyLoss()
    x, y = nt.from_numpy(x_test), nt.from_numpy(y_test)

    losses, accuracy = [], 0.0
    steps = len(loader)
    with Progress("digits", epochs * steps, "the first step compiles what the cache lacks") as progress:
        for epoch in range(epochs):
            if epoch == epochs // 2:
                for group in optimizer.param_groups:
                    group["lr"] = LEARNING_RATE / 10
            total = 0.0
            for batch, classes in loader:
                optimizer.zero_grad()
                loss = criterion(model(batch), classes)
                loss.backward()
                optimizer.step()
                total += loss.item()
                progress.advance()
            losses.append(total / steps)
            with nt.no_grad():
                accuracy = (model(x).argmax(1) == y).to(nt.float32).mean().item()
            progress.say(f"epoch {epoch + 1:2d}/{epochs}  loss {losses[-1]:.4f}  test accuracy {100 * accuracy:.1f} %")
    return Training(
        epochs,
        losses,
        accuracy,
        time.perf_counter() - start,
        nt.kernels.compile_seconds() - compiling,
        nt.kernels.compilations() - compiled,
    )
