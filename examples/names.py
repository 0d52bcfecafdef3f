"""A model of letters makes up names: `names.py bigram`, `mlp`, `gru` or `transformer`, and how many steps."""

import sys

import tensor as torch  # or `import torch`: the same program
import tensor.nn.functional as F
from tensor import nn

TEXT = """ada agnes albert alice amelia andrew anna anton arthur astrid barbara beatrice benjamin bertha boris
camilla carl caroline cecilia charles charlotte clara claude conrad daniel david diana dora edgar edith
edmund edward eleanor elisabeth ella elsa emil emilia emma erik ernest esther eva felix flora florence
frances frank frederick frida george gerda gertrude gustav hannah harold harriet helen henry herman hilda
hugo ida ingrid irene isaac isabella ivan jacob james jane joan john josephine julia julius karin
katharina laura leo leonard lena lilian louis louise lucas lucy ludwig magdalena margaret maria marie mark
martha martin matilda max maya michael nathan nina nora olga oliver olivia oscar otto patrick paul paula
peter philip rachel rebecca richard robert rosa rudolf ruth samuel sarah sebastian simon sofia stella
susan sylvia teresa theodor thomas ulrich ursula valentin vera victor victoria viola walter wilhelm
william winifred"""
NAMES = TEXT.split()
LETTERS = "." + "abcdefghijklmnopqrstuvwxyz"  # the dot begins and ends a name
CONTEXT, WIDTH = 8, 32


class Bigram(nn.Module):
    """The next letter from this one alone: a table."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(len(LETTERS), len(LETTERS))

    def forward(self, index):
        return self.table(index)


class MLP(nn.Module):
    """The next letter from the last three: embedded, side by side, through a hidden layer."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS), 10)
        self.layers = nn.Sequential(nn.Linear(30, 100), nn.Tanh(), nn.Linear(100, len(LETTERS)))

    def forward(self, index):
        before = F.pad(index, (2, 0))  # dots before the beginning
        three = torch.stack([before[:, :-2], before[:, 1:-1], before[:, 2:]], dim=2)
        return self.layers(self.embed(three).flatten(start_dim=2))


class Recurrent(nn.Module):
    """The next letter from all before it, read one after the other by a GRU."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS), WIDTH)
        self.gru = nn.GRU(WIDTH, 64, batch_first=True)
        self.head = nn.Linear(64, len(LETTERS))

    def forward(self, index):
        states, _ = self.gru(self.embed(index))
        return self.head(states)


class Transformer(nn.Module):
    """The next letter from all before it, each looking at those it attends to."""

    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(len(LETTERS), WIDTH), nn.Embedding(16, WIDTH)
        block = nn.TransformerEncoderLayer(WIDTH, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, len(LETTERS))

    def forward(self, index):
        length = index.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        return self.head(self.blocks(self.embed(index) + self.place(torch.arange(length)), mask=mask))


def main(kind="gru", steps=300):
    """Train a model of this kind, and print names that it makes up."""
    torch.manual_seed(0)
    rows = [torch.tensor([LETTERS.index(letter) for letter in f".{name}."]) for name in NAMES]
    names = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
    model = {"bigram": Bigram, "mlp": MLP, "gru": Recurrent, "transformer": Transformer}[kind]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1 if kind == "bigram" else 0.01)
    for step in range(1, steps + 1):
        batch = names[torch.randint(len(names), (32,))]
        scores = model(batch[:, :-1].clamp(min=0))
        loss = F.cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (1, steps // 2, steps):
            print(f"step {step:3}  loss {loss.item():.3f}")
    model.eval()
    with torch.no_grad():
        made = torch.zeros(8, 1, dtype=torch.long)
        for _ in range(12):
            chances = F.softmax(model(made)[:, -1], dim=-1)
            made = torch.cat([made, torch.multinomial(chances, 1)], dim=1)
    print("made up:", ", ".join("".join(LETTERS[i] for i in row[1:]).split(".")[0] for row in made.tolist()))


main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
