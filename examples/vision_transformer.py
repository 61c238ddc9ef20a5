"""Course E10: a small vision transformer that trains.

Patches are a strided convolution, places are learned vectors, a class token joins them; in the
encoder every token looks at all others. Attention is written out: softmax(q k^T / sqrt(d)) v.
"""

from pathlib import Path

import fastconv as fc
from fastconv import nn
from fastconv.data.drawings import draw
from fastconv.examples.show import check, check_that, fit, share_right, start

PATCH, WIDTH, HEADS = 7, 32, 4
TOKENS = (28 // PATCH) ** 2 + 1


def norm(x: fc.Tensor) -> fc.Tensor:
    x = x - x.mean(dim=-1, keepdim=True)
    return x / ((x * x).mean(dim=-1, keepdim=True) + 1e-5).sqrt()


class Encoder(nn.Module):
    def __init__(self) -> None:
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, WIDTH))

    def forward(self, x: fc.Tensor) -> fc.Tensor:
        heads = self.qkv(norm(x)).view(-1, TOKENS, 3, HEADS, WIDTH // HEADS)
        q, k, v = (heads[:, :, i].transpose(1, 2) for i in range(3))  # (N, heads, tokens, d)
        weights = nn.functional.softmax(q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(-1, TOKENS, WIDTH))
        return x + self.mlp(norm(x))


class Transformer(nn.Module):
    def __init__(self) -> None:
        self.patches = nn.Conv2d(1, WIDTH, PATCH, stride=PATCH)
        self.token = nn.Parameter(0.1 * fc.randn(1, 1, WIDTH))
        self.places = nn.Parameter(0.1 * fc.randn(1, TOKENS, WIDTH))
        self.encoder = nn.Sequential(Encoder(), Encoder())
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: fc.Tensor) -> fc.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = fc.cat([self.token + fc.zeros(len(x), 1, WIDTH), patches], 1) + self.places
        return self.head(norm(self.encoder(tokens)[:, 0]))


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    network = Transformer()
    check("patches of a drawing and the class token", TOKENS, 17)
    fit(network, *draw(1500), epochs=4, rate=3e-3)
    right = share_right(network, *draw(500, split=1))
    check_that(f"{right:.1%} of 500 unseen drawings are right", right > 0.8)


if __name__ == "__main__":
    start(main)
