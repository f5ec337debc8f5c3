"""What the user can do, and with which keys."""
