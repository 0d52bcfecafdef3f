"""Words: skip-gram with negative samples, a bag of embeddings, an LSTM tagger with padded sentences."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

torch.manual_seed(1)
sentences = [
    "the dog ate the apple".split(),
    "everybody read that book".split(),
    "the cat sat".split(),
]
tags = [["DET", "NN", "V", "DET", "NN"], ["NN", "V", "DET", "NN"], ["DET", "NN", "V"]]
word_to_ix = {}
for sentence in sentences:
    for word in sentence:
        if word not in word_to_ix:
            word_to_ix[word] = len(word_to_ix) + 1
tag_to_ix = {"DET": 0, "NN": 1, "V": 2}
print(word_to_ix)
seqs = [torch.tensor([word_to_ix[w] for w in s], dtype=torch.long) for s in sentences]
labels = [torch.tensor([tag_to_ix[t] for t in ts]) for ts in tags]
padded = pad_sequence(seqs, batch_first=True)
padded_labels = pad_sequence(labels, batch_first=True, padding_value=-100)
lengths = torch.tensor([len(s) for s in seqs])
print(padded, padded_labels, lengths)


class LSTMTagger(nn.Module):
    def __init__(self, vocab, dim, hidden, tagset):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=0)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)
        self.hidden2tag = nn.Linear(2 * hidden, tagset)

    def forward(self, batch, lengths):
        packed = pack_padded_sequence(self.embed(batch), lengths, batch_first=True, enforce_sorted=False)
        out, (h, c) = self.lstm(packed)
        out, out_lengths = pad_packed_sequence(out, batch_first=True)
        return self.hidden2tag(out)


model = LSTMTagger(len(word_to_ix) + 1, 6, 6, 3)
optimizer = optim.SGD(model.parameters(), lr=0.5)
for epoch in range(20):
    model.zero_grad()
    scores = model(padded, lengths)
    loss = F.cross_entropy(scores.permute(0, 2, 1), padded_labels)
    loss.backward()
    optimizer.step()
    if epoch % 5 == 0:
        print(f"{epoch} {loss.item():.4f}")
with torch.no_grad():
    print(model(padded, lengths).argmax(-1))
print(model.embed.weight[0])

V, D = 12, 5
center, outer = nn.Embedding(V, D), nn.Embedding(V, D)
opt = optim.Adagrad(list(center.parameters()) + list(outer.parameters()), lr=0.1)
weights = torch.tensor([float(i + 1) for i in range(V)]) ** 0.75
for step in range(10):
    c = torch.randint(0, V, (16,))
    o = (c + 1) % V
    neg = torch.multinomial(weights, 16 * 4, replacement=True).view(16, 4)
    v, u, n = center(c), outer(o), outer(neg)
    positive = F.logsigmoid((v * u).sum(1))
    negative = F.logsigmoid(-torch.bmm(n, v.unsqueeze(2)).squeeze(2)).sum(1)
    loss = -(positive + negative).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
print(f"skip-gram {loss.item():.4f}")
sim = F.cosine_similarity(center.weight[0].unsqueeze(0), center.weight)
print(sim.topk(2).indices[0].item(), sim.shape)

lstm = nn.LSTM(3, 3)
inputs = [torch.randn(1, 3) for _ in range(5)]
hidden = (torch.randn(1, 1, 3), torch.randn(1, 1, 3))
for i in inputs:
    out, hidden = lstm(i.view(1, 1, -1), hidden)
print(out)
print(hidden)
gru = nn.GRUCell(3, 4)
h = torch.zeros(2, 4)
for _ in range(3):
    h = gru(torch.randn(2, 3), h)
print(h)
