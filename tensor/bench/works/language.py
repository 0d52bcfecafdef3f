"""A training step of a language model."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .case import Case
from .training import after_training


class Language(NamedTuple):
    """A GPT: decoder blocks of causal attention and a network, tied embeddings; and what it is shown."""

    layers: int
    heads: int
    width: int
    block: int
    batch: int
    fused: bool  # attention as one function, or written out with the matrix of all weights
    vocabulary: int = 65


def _gpt(torch: Any, of: Language) -> Any:
    nn, F = torch.nn, torch.nn.functional

    class Attention(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(of.width, 3 * of.width, bias=False)
            self.out = nn.Linear(of.width, of.width, bias=False)
            self.register_buffer("seen", torch.tril(torch.ones(of.block, of.block)).view(1, 1, of.block, -1))

        def forward(self, x: Any) -> Any:
            batch, length, _ = x.shape
            heads = (batch, length, of.heads, of.width // of.heads)
            q, k, v = (part.view(heads).transpose(1, 2) for part in self.qkv(x).split(of.width, dim=2))
            if of.fused:
                y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                scores = (q @ k.transpose(-2, -1)) * (of.width // of.heads) ** -0.5
                scores = scores.masked_fill(self.seen[:, :, :length, :length] == 0, float("-inf"))
                y = F.softmax(scores, dim=-1) @ v
            return self.out(y.transpose(1, 2).contiguous().view(batch, length, of.width))

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.attention = nn.LayerNorm(of.width), Attention()
            self.norm2 = nn.LayerNorm(of.width)
            wide = 4 * of.width
            self.net = nn.Sequential(
                nn.Linear(of.width, wide, bias=False), nn.GELU(), nn.Linear(wide, of.width, bias=False)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.net(self.norm2(x))

    class Model(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(of.vocabulary, of.width)
            self.places = nn.Embedding(of.block, of.width)
            self.blocks = nn.Sequential(*[Block() for _ in range(of.layers)])
            self.norm = nn.LayerNorm(of.width)
            self.head = nn.Linear(of.width, of.vocabulary, bias=False)
            self.head.weight = self.tokens.weight

        def forward(self, tokens: Any, targets: Any) -> Any:
            x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
            scores = self.head(self.norm(self.blocks(x)))
            return F.cross_entropy(scores.view(-1, of.vocabulary), targets.view(-1))

    return Model()


def language(of: Language) -> Callable[[Any], Case]:
    """A training step of a GPT: AdamW that decays the matrices alone, gradients clipped to norm 1."""

    def make(torch: Any) -> Case:
        model, draw = _gpt(torch, of), np.random.default_rng(2)
        with torch.no_grad():
            for p in model.parameters():
                if p.dim() >= 2:
                    p.copy_(torch.from_numpy(draw.standard_normal(tuple(p.shape), np.float32) * 0.02))
        groups = [
            {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
            {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
        text = draw.integers(0, of.vocabulary, (4, of.batch, of.block + 1))
        data = itertools.cycle([torch.from_numpy(chunk) for chunk in text])

        def step() -> float:
            chunk = next(data)
            loss = model(chunk[:, :-1], chunk[:, 1:].contiguous())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss.item()

        return Case(
            step, lambda: after_training(step, lambda: [p.detach().numpy() for p in model.parameters()])
        )

    return make


GPTS = {
    "GPT (10.8 million), 8 x 256, AdamW": (6, 6, 384, 256, 8),
    "GPT (0.1 million), 8 x 32, AdamW": (2, 4, 64, 32, 8),
}
