"""What surrounds training: `utils.data`, datasets and the loader that makes batches of them; `utils.checkpoint`, memory for time."""

from numtape.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
