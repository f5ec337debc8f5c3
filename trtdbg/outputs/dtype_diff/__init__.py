"""Two states of one graph side by side: what happened to each node's dtype, as a picture."""
