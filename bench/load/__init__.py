"""`python -m bench load`: the service under load, over HTTP."""
