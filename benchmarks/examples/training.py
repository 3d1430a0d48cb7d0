"""A training loop over an atlas: a classifier of cell types by stochastic gradient descent, in NumPy.

With torch the loop is the same over ``DataLoader(reader, sampler=reader.sampler(512, shuffle=True), batch_size=None,
num_workers=4)``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import lakehouse as lh
from benchmarks.examples.atlas import build

__all__ = ["main"]


def main(folder: Path, *, files: int = 50, epochs: int = 3) -> list[float]:
    """Return the mean loss of each epoch."""
    dataset = build(folder, files=files)
    losses = []
    with dataset.mapped(obs=["cell_type"], join="inner") as reader:
        weights = reader.class_weights("cell_type")
        model = np.zeros((len(reader.var_names), len(weights)), "float32")
        batches = reader.batches(256, shuffle=True, seed=7)
        for epoch in range(epochs):
            found = [step(model, batch["X"], batch["cell_type"], weights) for batch in batches]
            losses.append(float(np.mean(found)))
            print(f"epoch {epoch}: loss {losses[-1]:.4f} over {len(found)} batches")
    lh.disconnect()
    return losses


def step(model: np.ndarray, x: np.ndarray, label: np.ndarray, weights: np.ndarray, rate: float = 0.5) -> float:
    """Descend by one batch, in place, and return its loss."""
    scores = x @ model
    chance = np.exp(scores - scores.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    rows = np.arange(len(label))
    loss = float((-np.log(chance[rows, label]) * weights[label]).mean())
    chance[rows, label] -= 1
    model -= rate * (x.T @ (chance * weights[label][:, None])) / len(label)
    return loss


if __name__ == "__main__":
    main(Path(sys.argv[1]))
