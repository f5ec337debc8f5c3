"""Wants the bytes of an engine."""

import torch
import torch_tensorrt


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


program = torch.export.export(Doubled(), (torch.ones(3),))
data = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
    program, arg_inputs=[torch.ones(3)], optimization_level=2, disable_tf32=True
)
print("never reached", len(data))
