"""trtdbg: a debugger for dtypes in the Torch-TensorRT compiler."""

__version__ = "0.1.0"
