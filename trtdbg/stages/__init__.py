"""One stage of the pipeline per module; they own torch, torch_tensorrt and TensorRT."""
