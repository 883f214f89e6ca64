"""`python -m bench limits`: what this machine can do at best."""
