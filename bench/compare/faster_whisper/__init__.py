"""faster-whisper with the same model, in an environment of its own."""
