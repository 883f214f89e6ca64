"""The models' weights: the catalogue, downloads, verification and stand-ins."""

from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import Weights, WeightsStore

__all__ = ["ModelUnavailable", "Weights", "WeightsStore"]
