"""`make demo`: one request per task, and images of the results."""
