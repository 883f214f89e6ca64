"""What each task is, on the front's side: one file per task."""
