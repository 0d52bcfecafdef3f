"""A small GAN on a ring of points: two networks, two optimisers, detach, BCE losses."""

import math

import torch
import torch.nn as nn

torch.manual_seed(111)
n = 128
angles = 2 * math.pi * torch.rand(n)
train_data = torch.zeros((n, 2))
train_data[:, 0] = torch.cos(angles)
train_data[:, 1] = torch.sin(angles)
train_labels = torch.zeros(n)
train_set = [(train_data[i], train_labels[i]) for i in range(n)]
batch_size = 32
train_loader = torch.utils.data.DataLoader(train_set, batch_size=batch_size, shuffle=True)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(32, 16), nn.ReLU(),
            nn.Linear(16, 1), nn.Sigmoid(),
        )

    def forward(self, x):
        output = self.model(x)
        return output


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(inplace=True), nn.Linear(16, 2), nn.Tanh())

    def forward(self, x):
        return self.model(x)


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.2)
        nn.init.constant_(m.bias.data, 0)


discriminator = Discriminator()
generator = Generator()
generator.apply(weights_init)
print(discriminator)
loss_function = nn.BCELoss()
optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.001, betas=(0.5, 0.999))
optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.001, betas=(0.5, 0.999))
for epoch in range(3):
    for i, (real, _) in enumerate(train_loader):
        real_labels = torch.ones((batch_size, 1))
        latent = torch.randn((batch_size, 2))
        generated = generator(latent)
        generated_labels = torch.zeros((batch_size, 1))
        all_samples = torch.cat((real, generated))
        all_labels = torch.cat((real_labels, generated_labels))
        discriminator.zero_grad()
        output = discriminator(all_samples)
        loss_d = loss_function(output, all_labels)
        loss_d.backward()
        optimizer_d.step()

        latent = torch.randn((batch_size, 2))
        generator.zero_grad()
        generated = generator(latent)
        loss_g = loss_function(discriminator(generated), real_labels)
        loss_g.backward()
        optimizer_g.step()
    print(f"Epoch: {epoch} Loss D.: {loss_d.item():.4f} Loss G.: {loss_g.item():.4f}")

criterion = nn.BCEWithLogitsLoss()
critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2, inplace=True), nn.Linear(8, 1))
opt = torch.optim.RMSprop(critic.parameters(), lr=5e-4)
for _ in range(5):
    fake = generator(torch.randn(16, 2)).detach()
    real = train_data[:16]
    opt.zero_grad()
    errD_real = criterion(critic(real), torch.full((16, 1), 0.9))
    errD_real.backward()
    errD_fake = criterion(critic(fake), torch.zeros(16, 1))
    errD_fake.backward()
    D_x = torch.sigmoid(critic(real)).mean().item()
    opt.step()
    for p in critic.parameters():
        p.data.clamp_(-0.5, 0.5)
print(f"{errD_real.item() + errD_fake.item():.4f} {D_x:.4f}")
alpha = torch.rand(16, 1)
mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
score = critic(mixed)
gradients = torch.autograd.grad(
    outputs=score, inputs=mixed, grad_outputs=torch.ones_like(score), create_graph=True, retain_graph=True
)[0]
penalty = ((gradients.norm(2, dim=1) - 1) ** 2).mean()
penalty.backward()
print(f"{penalty.item():.4f} {critic[0].weight.grad.norm().item():.4f}")
with torch.no_grad():
    samples = generator(torch.randn(5, 2))
print(samples.shape, samples.min() >= -1, samples)
