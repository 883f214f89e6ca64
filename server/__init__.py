"""The front: admits requests, owns the shared memory, sends tasks out, puts results together."""
