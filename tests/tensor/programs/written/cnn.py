"""Pictures of bars, lying and standing, told apart by a small convolutional network."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset


class Bars(Dataset):
    def __init__(self, count, size=12, transform=None):
        g = torch.Generator().manual_seed(count)
        self.images = 0.2 * torch.randn(count, 1, size, size, generator=g)
        self.labels = torch.randint(0, 2, (count,), generator=g)
        where = torch.randint(0, size, (count,), generator=g)
        for i in range(count):
            if self.labels[i] == 0:
                self.images[i, 0, where[i], :] += 1.0
            else:
                self.images[i, 0, :, where[i]] += 1.0
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, label = self.images[index], self.labels[index].item()
        if self.transform:
            image = self.transform(image)
        return image, label


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, 3)
        self.drop = nn.Dropout2d(0.1)
        self.fc1 = nn.Linear(8 * 2 * 2, 16)
        self.fc2 = nn.Linear(16, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.drop(self.conv2(x))), (2, 2))
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, p=0.2, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)

    def num_flat_features(self, x):
        size = x.size()[1:]
        num_features = 1
        for s in size:
            num_features *= s
        return num_features


torch.manual_seed(7)
net = Net()
print(net)
params = list(net.parameters())
print(len(params), params[0].size())
data = Bars(64, transform=lambda image: (image - 0.1) / 0.5)
loader = DataLoader(data, batch_size=16, shuffle=True, num_workers=0, drop_last=True)
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
for epoch in range(4):
    running = 0.0
    for i, (inputs, labels) in enumerate(loader, 0):
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = F.nll_loss(outputs, labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
    scheduler.step()
    print("[%d] loss: %.3f lr: %g" % (epoch + 1, running / len(loader), optimizer.param_groups[0]["lr"]))
net.eval()
test = Bars(32, transform=lambda image: (image - 0.1) / 0.5)
correct = 0
with torch.no_grad():
    for images, labels in DataLoader(test, batch_size=8):
        outputs = net(images)
        _, predicted = torch.max(outputs.data, 1)
        correct += predicted.eq(labels.view_as(predicted)).sum().item()
print(f"Accuracy: {correct}/{len(test)} ({100.0 * correct / len(test):.0f}%)")
image, label = test[0]
out = net(image.unsqueeze(0))
print(out.shape, out.requires_grad, net.num_flat_features(image.unsqueeze(0)))
print(F.conv2d(image[None], torch.ones(1, 1, 3, 3), stride=3).shape)
print(net.conv1.weight.grad.abs().sum() > 0, net.conv1.bias.grad.shape)
