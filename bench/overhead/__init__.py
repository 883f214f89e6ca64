"""`python -m bench overhead` and `scaling`: what the service costs beside the work."""
