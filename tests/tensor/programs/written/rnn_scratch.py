"""A character RNN from scratch, its gradients clipped, beside nn.RNN, nn.GRU and nn.LSTM."""

import math

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(11)
text = "the time machine by h g wells the time traveller for so it will be convenient to speak of him " * 3
vocab = sorted(set(text))
index = {c: i for i, c in enumerate(vocab)}
corpus = torch.tensor([index[c] for c in text])
V, H, steps, batch = len(vocab), 24, 10, 4
print(V, corpus[:12])


def sequences():
    offset = int(torch.randint(0, steps, (1,)))
    num = ((len(corpus) - offset - 1) // batch) * batch
    Xs = corpus[offset : offset + num].reshape(batch, -1)
    Ys = corpus[offset + 1 : offset + 1 + num].reshape(batch, -1)
    for i in range(0, Xs.shape[1] // steps * steps, steps):
        yield Xs[:, i : i + steps], Ys[:, i : i + steps]


def get_params():
    def normal(shape):
        return torch.randn(size=shape) * 0.1

    params = [normal((V, H)), normal((H, H)), torch.zeros(H), normal((H, V)), torch.zeros(V)]
    for param in params:
        param.requires_grad_(True)
    return params


def rnn(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    (Hs,) = state
    outputs = []
    for X in inputs:
        Hs = torch.tanh(torch.mm(X, W_xh) + torch.mm(Hs, W_hh) + b_h)
        outputs.append(torch.mm(Hs, W_hq) + b_q)
    return torch.cat(outputs, dim=0), (Hs,)


def grad_clipping(params, theta):
    norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in params))
    if norm > theta:
        for param in params:
            param.grad[:] *= theta / norm
    return norm


def predict(prefix, num, params):
    state = (torch.zeros((1, H)),)
    outputs = [index[prefix[0]]]
    with torch.no_grad():
        for y in prefix[1:]:
            X = F.one_hot(torch.tensor([[outputs[-1]]]).T, V).float()
            _, state = rnn(X, state, params)
            outputs.append(index[y])
        for _ in range(num):
            X = F.one_hot(torch.tensor([[outputs[-1]]]).T, V).float()
            y, state = rnn(X, state, params)
            outputs.append(int(y.argmax(dim=1).reshape(1)))
    return "".join(vocab[i] for i in outputs)


params = get_params()
loss = nn.CrossEntropyLoss()
for epoch in range(4):
    state, total, count = None, 0.0, 0
    for X, Y in sequences():
        if state is None:
            state = (torch.zeros((X.shape[0], H)),)
        else:
            for s in state:
                s.detach_()
        y = Y.T.reshape(-1)
        y_hat, state = rnn(F.one_hot(X.T, V).type(torch.float32), state, params)
        l = loss(y_hat, y.long()).mean()
        for p in params:
            p.grad = None
        l.backward()
        norm = grad_clipping(params, 1)
        with torch.no_grad():
            for p in params:
                p -= 1.0 * p.grad
        total += l.item() * y.numel()
        count += y.numel()
    print(f"perplexity {math.exp(total / count):.2f}, gradient norm {norm:.3f}")
print(predict("time ", 10, params))


class RNNModel(nn.Module):
    def __init__(self, rnn_layer, vocab_size):
        super().__init__()
        self.rnn = rnn_layer
        self.vocab_size = vocab_size
        self.num_hiddens = self.rnn.hidden_size
        self.num_directions = 2 if self.rnn.bidirectional else 1
        self.linear = nn.Linear(self.num_hiddens * self.num_directions, vocab_size)

    def forward(self, inputs, state):
        X = F.one_hot(inputs.T.long(), self.vocab_size).to(torch.float32)
        Y, state = self.rnn(X, state)
        return self.linear(Y.reshape((-1, Y.shape[-1]))), state

    def begin_state(self, batch_size=1):
        shape = (self.num_directions * self.rnn.num_layers, batch_size, self.num_hiddens)
        if not isinstance(self.rnn, nn.LSTM):
            return torch.zeros(shape)
        return torch.zeros(shape), torch.zeros(shape)


for layer in (nn.RNN(V, H), nn.GRU(V, H, num_layers=2), nn.LSTM(V, H), nn.RNN(V, H, bidirectional=True)):
    net = RNNModel(layer, V)
    print(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for step, (X, Y) in enumerate(sequences()):
        output, state = net(X, net.begin_state(batch))
        l = loss(output, Y.T.reshape(-1))
        optimizer.zero_grad()
        l.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    shape = [tuple(s.shape) for s in state] if isinstance(state, tuple) else tuple(state.shape)
    print(f"{l.item():.3f}", shape, output.shape)
