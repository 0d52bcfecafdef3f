"""Softmax regression and a perceptron with one hidden layer from scratch, with an accumulator of accuracies."""

import torch
from torch import nn

torch.manual_seed(5)
num_inputs, num_outputs, num_hiddens = 12, 4, 16
centres = torch.randn(num_outputs, num_inputs)
y_all = torch.randint(num_outputs, (160,))
X_all = centres[y_all] + torch.randn(160, num_inputs)

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
print(X.sum(0, keepdim=True), X.sum(1, keepdim=True))


def softmax(X):
    X_exp = torch.exp(X)
    partition = X_exp.sum(1, keepdim=True)
    return X_exp / partition


X = torch.normal(0, 1, (2, 5))
X_prob = softmax(X)
print(X_prob, X_prob.sum(1))
y = torch.tensor([0, 2])
y_hat = torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
print(y_hat[[0, 1], y])


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


print(cross_entropy(y_hat, y))


def accuracy(y_hat, y):
    if len(y_hat.shape) > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(axis=1)
    cmp = y_hat.type(y.dtype) == y
    return float(cmp.type(y.dtype).sum())


print(accuracy(y_hat, y) / len(y))


class Accumulator:
    def __init__(self, n):
        self.data = [0.0] * n

    def add(self, *args):
        self.data = [a + float(b) for a, b in zip(self.data, args)]

    def __getitem__(self, idx):
        return self.data[idx]


W = torch.normal(0, 0.01, size=(num_inputs, num_outputs), requires_grad=True)
b = torch.zeros(num_outputs, requires_grad=True)


def net(X):
    return softmax(torch.matmul(X.reshape((-1, W.shape[0])), W) + b)


def batches(size=32):
    order = torch.randperm(len(X_all))
    for part in order.split(size):
        yield X_all[part], y_all[part]


for epoch in range(3):
    metric = Accumulator(3)
    for X, y in batches():
        y_hat = net(X)
        l = cross_entropy(y_hat, y)
        l.sum().backward()
        with torch.no_grad():
            for param in (W, b):
                param -= 0.1 * param.grad / X.shape[0]
                param.grad.zero_()
        metric.add(l.sum().detach(), accuracy(y_hat, y), y.numel())
    print(f"epoch {epoch}: loss {metric[0] / metric[2]:.4f} acc {metric[1] / metric[2]:.3f}")

W1 = nn.Parameter(torch.randn(num_inputs, num_hiddens, requires_grad=True) * 0.01)
b1 = nn.Parameter(torch.zeros(num_hiddens, requires_grad=True))
W2 = nn.Parameter(torch.randn(num_hiddens, num_outputs, requires_grad=True) * 0.01)
b2 = nn.Parameter(torch.zeros(num_outputs, requires_grad=True))


def relu(X):
    a = torch.zeros_like(X)
    return torch.max(X, a)


def mlp(X):
    X = X.reshape((-1, num_inputs))
    H = relu(X @ W1 + b1)
    return H @ W2 + b2


loss = nn.CrossEntropyLoss(reduction="none")
updater = torch.optim.SGD([W1, b1, W2, b2], lr=0.5)
for epoch in range(4):
    metric = Accumulator(3)
    for X, y in batches():
        y_hat = mlp(X)
        l = loss(y_hat, y)
        updater.zero_grad()
        l.mean().backward()
        updater.step()
        metric.add(l.sum().detach(), accuracy(y_hat, y), y.numel())
    print(f"epoch {epoch}: loss {metric[0] / metric[2]:.4f} acc {metric[1] / metric[2]:.3f}")


def init_weights(m):
    if type(m) == nn.Linear:
        nn.init.normal_(m.weight, std=0.01)


net = nn.Sequential(nn.Flatten(), nn.Linear(num_inputs, num_outputs))
print(net.apply(init_weights))
print(net[1].weight.std() < 0.05)


def dropout_layer(X, dropout):
    assert 0 <= dropout <= 1
    if dropout == 1:
        return torch.zeros_like(X)
    if dropout == 0:
        return X
    mask = (torch.rand(X.shape) > dropout).float()
    return mask * X / (1.0 - dropout)


X = torch.arange(16, dtype=torch.float32).reshape((2, 8))
print(X)
print(dropout_layer(X, 0.0))
print(dropout_layer(X, 0.5))
print(dropout_layer(X, 1.0))
