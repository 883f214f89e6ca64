"""The workers' side of the six tasks: each module loads and applies one kind of model."""
