"""Load generation, comparison with alternatives, and the test clips for both."""
