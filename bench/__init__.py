"""Load generation, comparison with other ways to do the job, and the clips for both."""
