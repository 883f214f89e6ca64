"""`python -m bench compare`: the service compared with the libraries' own loops."""
