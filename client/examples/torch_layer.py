#!/usr/bin/python3
"""A layer of a tconv server inside of a PyTorch model.

    torch_layer.py [HOST:PORT [PROTO_FOLDER]]

Needs torch, and what tconv_rpc.py needs. Trains a model whose last layer is on the
server, and the same model without a server, and compares them step by step.
"""

import torch

from tconv_rpc import connect, to_array, to_object, to_tensor, to_weights


class RemoteFunction(torch.autograd.Function):
    """Computed on the server, which autograd asks for the gradients as well."""

    @staticmethod
    def forward(ctx, x, anchor, layer):
        ctx.save_for_backward(x)
        ctx.layer = layer
        answer = layer.call("Forward", input=to_tensor(x.numpy()))
        return torch.from_numpy(to_array(answer.output).copy())

    @staticmethod
    def backward(ctx, upstream):
        x, = ctx.saved_tensors
        answer = ctx.layer.call("Backward", input=to_tensor(x.numpy()),
                                upstream=to_tensor(upstream.numpy()))
        ctx.layer.gradients = answer.weight_gradients
        return torch.from_numpy(to_array(answer.input_gradient).copy()), None, None


class RemoteLayer(torch.nn.Module):
    """A layer on the server, whose weights and optimizer are there.

    Inputs are [batch, height, width, channels], as the layer has them. After
    backward(), step() makes one step with the gradients that came of it.
    """

    def __init__(self, client, name):
        super().__init__()
        self._client, self._name = client, name
        # Makes autograd ask for gradients even if those of x are not wanted.
        self._anchor = torch.zeros(0, requires_grad=True)
        self.gradients = None

    def call(self, rpc, **fields):
        return self._client.call(rpc, name=self._name, **fields)

    def forward(self, x):
        return RemoteFunction.apply(x, self._anchor, self)

    def step(self):
        return self.call("ApplyGradients", gradients=self.gradients)


class LocalLayer(torch.nn.Module):
    """The same in PyTorch, which has other orders of the axes."""

    def __init__(self, kernel, bias):
        super().__init__()
        self.kernel, self.bias = torch.nn.Parameter(kernel), torch.nn.Parameter(bias)

    def forward(self, x):
        # Keras has [height, width, filters, channels], torch [channels, filters, ...].
        y = torch.nn.functional.conv_transpose2d(
            x.permute(0, 3, 1, 2), self.kernel.permute(3, 2, 0, 1), self.bias, stride=2)
        return torch.relu(y.permute(0, 2, 3, 1))


KERAS_JSON = """{"name": "torch_decoder", "filters": 2, "kernel_size": [3, 3], "strides": [2, 2],
                 "padding": "valid", "activation": "relu"}"""
LEARNING_RATE = 0.05

torch.manual_seed(0)
client = connect()
kernel, bias = torch.randn(3, 3, 2, 4) / 4, torch.full((2,), 0.5)
name = client.call("Create", keras_json=KERAS_JSON,
                   weights=to_weights(kernel.numpy(), bias.numpy())).layer.name
client.call("SetOptimizer", name=name,
            optimizer=to_object("SGD", learning_rate=LEARNING_RATE, momentum=0.9))

remote, local = RemoteLayer(client, name), LocalLayer(kernel, bias)
encoders = [torch.nn.Linear(3, 4) for _ in range(2)]
encoders[1].load_state_dict(encoders[0].state_dict())
optimizers = [torch.optim.SGD(parameters, LEARNING_RATE, momentum=0.9) for parameters in (
    encoders[0].parameters(), [*encoders[1].parameters(), *local.parameters()])]

x, target = torch.randn(8, 5, 5, 3), torch.rand(8, 11, 11, 2)
for step in range(20):
    losses = []
    for encoder, layer, optimizer in zip(encoders, (remote, local), optimizers):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(layer(encoder(x)), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    torch.testing.assert_close(torch.from_numpy(to_array(remote.gradients.kernel).copy()),
                               local.kernel.grad, rtol=1e-4, atol=1e-5)
    remote.step()
    print(f"step {step + 1:2}: loss {losses[0]:.5f}, without a server {losses[1]:.5f}")

trained = client.call("GetWeights", name=name).weights
client.call("Delete", name=name)
torch.testing.assert_close(torch.from_numpy(to_array(trained.kernel).copy()), local.kernel.detach(),
                           rtol=1e-3, atol=1e-4)
torch.testing.assert_close(encoders[0].weight, encoders[1].weight, rtol=1e-3, atol=1e-4)
print("both models are the same after training")
