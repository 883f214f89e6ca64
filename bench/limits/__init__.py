"""`python -m bench limits`: the upper limits of this machine."""
