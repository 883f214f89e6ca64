"""What transcription is made of: voice activity, windows of speech, Whisper's decoder."""
