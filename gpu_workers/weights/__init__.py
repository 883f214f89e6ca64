"""The weights of the models: what is known of them, getting them, and stand-ins for them."""

from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import Weights, WeightsStore

__all__ = ["ModelUnavailable", "Weights", "WeightsStore"]
