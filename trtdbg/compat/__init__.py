"""Patches and private parts of torch and torch_tensorrt that trtdbg uses, in one place."""
