"""What the UI reaches beyond the screen: the editor and files."""
