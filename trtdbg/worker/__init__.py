"""The torch-free side of the process split: worker, client, messages, limits."""
