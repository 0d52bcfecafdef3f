"""An autoencoder, a denoising one with transposed convolutions, and a variational one."""

import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(1)
base = torch.rand(4, 36) > 0.5
images = base[torch.randint(0, 4, (96,))].float()
flip = torch.rand_like(images) < 0.05
images = torch.where(flip, 1 - images, images)
print(images.shape, images.mean())


class AE(nn.Module):
    def __init__(self, input_dim, latent_dim):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(input_dim, 16), nn.ReLU(True), nn.Linear(16, latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 16), nn.ReLU(True), nn.Linear(16, input_dim), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


model = AE(36, 4)
optimizer = optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-5)
for epoch in range(10):
    recon = model(images)
    loss = F.mse_loss(recon, images)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"autoencoder {loss.item():.4f}")

conv = nn.Sequential(
    nn.Conv2d(1, 4, 3, stride=2, padding=1),
    nn.BatchNorm2d(4),
    nn.ReLU(),
    nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1),
    nn.Sigmoid(),
)
pictures = images.view(-1, 1, 6, 6)
optimizer = optim.Adam(conv.parameters(), lr=1e-2)
for step in range(8):
    noisy = (pictures + 0.3 * torch.randn(pictures.shape)).clamp(0.0, 1.0)
    out = conv(noisy)
    loss = nn.functional.binary_cross_entropy(out, pictures)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(out.shape, f"denoising {loss.item():.4f}")


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(36, 20)
        self.fc21 = nn.Linear(20, 3)
        self.fc22 = nn.Linear(20, 3)
        self.fc3 = nn.Linear(3, 20)
        self.fc4 = nn.Linear(20, 36)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 36))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 36), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


model = VAE()
optimizer = optim.Adam(model.parameters(), lr=1e-2)
model.train()
for epoch in range(1, 4):
    train_loss = 0
    for batch_idx, data in enumerate(images.split(32)):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    print("====> Epoch: {} Average loss: {:.4f}".format(epoch, train_loss / len(images)))
with torch.no_grad():
    sample = torch.randn(4, 3)
    sample = model.decode(sample).cpu()
    print(sample.view(4, 1, 6, 6).shape, (sample > 0.5).sum().item() > 0)
    n = min(images.size(0), 3)
    comparison = torch.cat([images[:n], recon_batch.view(32, 36)[:n]])
    print(comparison.size(), comparison[:, :4])
