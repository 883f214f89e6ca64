"""The front's child processes: started, supervised, given work."""
