"""The app: chat with the notes in a browser (`python -m ui`)."""
