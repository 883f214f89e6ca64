"""The front's side of the tasks: one file per task."""
