"""`python -m bench overhead` and `scaling`: the service's own overhead."""
