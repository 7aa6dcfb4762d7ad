"""What surrounds training: `utils.data`, datasets and the loader that makes batches of them."""

from numtape.utils import data

__all__ = ["data"]
