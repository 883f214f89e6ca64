"""Speech for transcription: voice activity detection, speech windows, Whisper's decoder."""
