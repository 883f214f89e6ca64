"""Worker processes: one per device, models resident, tasks pulled from a queue."""
