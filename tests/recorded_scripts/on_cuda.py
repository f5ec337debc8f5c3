"""Says cuda in every way, as scripts for a machine with a GPU do."""

import torch
import torch_tensorrt


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4, device="cuda")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + torch.ones(4, device=x.device) + torch.zeros(4).cuda()


torch.cuda.manual_seed(0)
generator = torch.Generator(device="cuda").manual_seed(1)
x = torch.randn(2, 4, device=torch.device("cuda:0"), generator=generator).to("cuda")
x = x.to(device="cuda", dtype=torch.float32).pin_memory().cuda(non_blocking=True).to(0)
model = Net().eval().cuda().to("cuda:0")
start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
with torch.cuda.stream(torch.cuda.Stream()), torch.no_grad():
    start.record()
    expected = model(x)
    end.record()
torch.cuda.synchronize()
assert start.elapsed_time(end) >= 0
assert torch.cuda.get_device_name(torch.cuda.current_device())
compiled = torch_tensorrt.compile(
    model, inputs=[torch_tensorrt.Input((2, 4), dtype=torch.float32)], device="cuda:0"
)
assert torch.equal(compiled(x), expected)
by_dynamo = torch.compile(model, backend="torch_tensorrt")
assert torch.equal(by_dynamo(x), expected)
