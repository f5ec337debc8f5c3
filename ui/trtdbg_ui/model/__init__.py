"""What the screen shows, as data: no Textual, no text."""
