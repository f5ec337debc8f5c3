"""How the UI begins, and what it reaches outside the screen."""
