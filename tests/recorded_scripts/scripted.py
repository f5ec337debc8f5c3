"""Compiles with a front end that is no longer dynamo's."""

import torch
import torch_tensorrt

script = torch.jit.script(torch.nn.ReLU())
module = torch_tensorrt.compile(script, ir="ts", inputs=[torch_tensorrt.Input((3,))])
assert module is script
