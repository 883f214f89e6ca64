"""`python -m bench compare`: the service beside the libraries' own loops."""
