"""The terminal UI of trtdbg: shows records and asks a worker; never imports torch."""
