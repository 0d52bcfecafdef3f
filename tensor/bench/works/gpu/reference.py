"""What the answers should be: convolution and training in float64, by NumPy alone."""

from typing import Any

import numpy as np

from ..training import Network, starting_weights


def conv2d(x: Any, w: Any, padding: int) -> Any:
    """Convolve images x: (N, C, H, W) with w: (O, C, kh, kw), stride 1."""
    out = np.tensordot(_windows(x, w.shape[2:], padding), w, ((1, 4, 5), (1, 2, 3)))
    return out.transpose(0, 3, 1, 2)


def conv2d_dx(w: Any, g: Any, padding: int) -> Any:
    """Return the gradient in the images: the output's, convolved with the weights turned around."""
    return conv2d(g, w[:, :, ::-1, ::-1].swapaxes(0, 1), w.shape[2] - 1 - padding)


def conv2d_dw(x: Any, g: Any, kernel: tuple[int, int], padding: int) -> Any:
    """Return the gradient in the weights."""
    return np.tensordot(g, _windows(x, kernel, padding), ((0, 2, 3), (0, 2, 3)))


def _windows(x: Any, kernel: tuple[int, ...], padding: int) -> Any:
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))


class Training:
    """A network of convolutions with pooling, then of linear layers, trained by Adam."""

    def __init__(self, network: Network) -> None:
        self.parameters = [w.astype(np.float64) for w in starting_weights(network)]
        self._means = [np.zeros_like(p) for p in self.parameters]
        self._squares = [np.zeros_like(p) for p in self.parameters]
        self._steps = 0

    def scores(self, x: Any) -> Any:
        """Return (batch, classes) scores of images x: (batch, channels, H, W)."""
        return self._forward(x)[0]

    def step(self, x: Any, y: Any) -> float:
        """Train on one batch and return its loss, the mean cross-entropy."""
        scores, kept = self._forward(x)
        scores = scores - scores.max(1, keepdims=True)
        odds = np.exp(scores)
        total = odds.sum(1, keepdims=True)
        rows = np.arange(len(y))
        loss = float((np.log(total[:, 0]) - scores[rows, y]).mean())
        grad = odds / total
        grad[rows, y] -= 1.0
        self._adam(self._backward(grad / len(y), kept))
        return loss

    def _layers(self) -> list[tuple[Any, Any]]:
        return list(zip(self.parameters[::2], self.parameters[1::2], strict=True))

    def _forward(self, x: Any) -> tuple[Any, list]:
        kept: list[Any] = []
        x, layers = np.asarray(x, np.float64), self._layers()
        for n, (w, b) in enumerate(layers):
            if w.ndim == 4:
                out = np.maximum(conv2d(x, w, w.shape[2] // 2) + b[:, None, None], 0.0)
                height, width = out.shape[2] // 2, out.shape[3] // 2
                cells = out.reshape(*out.shape[:2], height, 2, width, 2).transpose(0, 1, 2, 4, 3, 5)
                cells = cells.reshape(*cells.shape[:4], 4)
                first = cells.argmax(-1)[..., None]
                kept.append((x, out, first))
                x = np.take_along_axis(cells, first, -1)[..., 0]
            else:
                flat = x.reshape(len(x), -1)
                kept.append((flat, x.shape))
                x = flat @ w.T + b
                x = x if n == len(layers) - 1 else np.maximum(x, 0.0)
        return x, kept

    def _backward(self, grad: Any, kept: list) -> list[Any]:
        gradients: list[Any] = []
        layers = self._layers()
        for n in reversed(range(len(layers))):
            w = layers[n][0]
            if w.ndim == 4:
                x, out, first = kept[n]
                cells = np.zeros((*grad.shape, 4))
                np.put_along_axis(cells, first, grad[..., None], -1)
                cells = cells.reshape(*grad.shape, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(out.shape)
                cells *= out > 0.0
                gradients += [cells.sum((0, 2, 3)), conv2d_dw(x, cells, w.shape[2:], w.shape[2] // 2)]
                grad = conv2d_dx(w, cells, w.shape[2] // 2) if n else None
            else:
                flat, shape = kept[n]
                gradients += [grad.sum(0), grad.T @ flat]
                grad = (grad @ w).reshape(shape)
                if n and layers[n - 1][0].ndim == 2:
                    grad = grad * (flat > 0.0).reshape(shape)
        return gradients[::-1]

    def _adam(self, gradients: list[Any]) -> None:
        self._steps += 1
        t = self._steps
        for p, m, v, g in zip(self.parameters, self._means, self._squares, gradients, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= 1e-3 / (1.0 - 0.9**t) * m / (np.sqrt(v / (1.0 - 0.999**t)) + 1e-8)
