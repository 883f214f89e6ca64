"""What the front and its children share: messages, frames in shared memory, channels."""
