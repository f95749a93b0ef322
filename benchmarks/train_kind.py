"""Train the network of the descriptor `kind`: what two parts of one photo have in common, and of two photos not.

    python benchmarks/train_kind.py --data PHOTOS [PHOTOS ...] --val PHOTOS --out FILE.safetensors --minutes M

Contrastive (InfoNCE; Oord et al. 2018, Chen et al. 2020), without labels. Half of the pairs are the two sides of a cut
through a photo, which show no pixel in common: a line at any angle, or a box and what surrounds it. The others are two
crops, with or without holes. Labels (folders) are read for the figures alone, which are those of `fit_kind.py`.
"""

import argparse
import json
import math
import os
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

from ce_retrieval.models.checkpoint import save_tensors
from ce_retrieval.models.kind_network import KindConfig, KindNetwork
from ce_retrieval.models.precision import has_bfloat16
from ce_retrieval.training import open_photos
from ce_retrieval.training.holes import HoleMaker
from ce_retrieval.training.muon import Muon

MADE = ("buildings", "street")
PACKED = 144  # px
GREY = (0.299, 0.587, 0.114)


class Views:
    """Pairs of views of random photos, made on the device."""

    def __init__(self, pixels, size, device, options):
        self.pixels, self.size, self.device, self.options = pixels, size, device, options
        self.generator = torch.Generator(device).manual_seed(options.seed)
        self.holes = HoleMaker("mixed", size, device)
        axis = (torch.arange(size, device=device) + 0.5) * 2 / size - 1
        self.rows, self.columns = axis[:, None], axis[None, :]

    def uniform(self, *shape, low=0.0, high=1.0):
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def draw(self, batch):
        """Return two views (photos, holes) of the same `batch` photos."""
        chosen = torch.randint(len(self.pixels), (batch,), generator=self.generator, device=self.device)
        photos = self.pixels[chosen].permute(0, 3, 1, 2).float() / 127.5 - 1
        apart = self.uniform(batch) < self.options.apart
        one = self.boxes(batch, 0.2)
        near = self.boxes(batch, 0.7)  # the frame that both sides of a cut share
        two = torch.where(apart[:, None], near, self.boxes(batch, 0.2))
        one = torch.where(apart[:, None], near, one)
        field = self.cuts(batch)
        gap = self.options.gap
        views = []
        for boxes, side in ((one, field < gap), (two, field > -gap)):
            random = self.holes.draw(batch, self.generator) & (self.uniform(batch, 1, 1) < 0.5)
            hole = torch.where(apart[:, None, None], side, random)
            view = self.coloured(self.cropped(photos, boxes))
            mirrored = self.uniform(batch, 1, 1) < 0.5
            hole = torch.where(mirrored, hole.flip(2), hole)
            views.append((torch.where(mirrored[:, None], view.flip(3), view), hole))
        return views

    def boxes(self, batch, least):
        """Return crops as (centre x, centre y, half width, half height) in [-1, 1]; area of `least` to 1."""
        area = self.uniform(batch, low=least)
        stretch = (self.uniform(batch, low=-1) * math.log(4 / 3) / 2).exp()
        width, height = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
        x, y = self.uniform(batch, low=-1) * (1 - width), self.uniform(batch, low=-1) * (1 - height)
        return torch.stack([x, y, width, height], dim=1)

    def cropped(self, photos, boxes):
        zero = torch.zeros_like(boxes[:, 0])
        matrix = torch.stack(
            [torch.stack([boxes[:, 2], zero, boxes[:, 0]], 1), torch.stack([zero, boxes[:, 3], boxes[:, 1]], 1)], 1
        )
        grid = functional.affine_grid(matrix, [len(photos), 3, self.size, self.size], align_corners=False)
        return functional.grid_sample(photos, grid, align_corners=False, padding_mode="border")

    def cuts(self, batch):
        """Return fields float (B, S, S), above 0 on one side of a cut and below on the other."""
        angle = self.uniform(batch, 1, 1, high=2 * math.pi)
        line = self.columns * angle.cos() + self.rows * angle.sin() + self.uniform(batch, 1, 1, low=-0.35, high=0.35)
        half = self.uniform(2, batch, 1, 1, low=0.4, high=0.75)
        at = self.uniform(2, batch, 1, 1, low=-1) * (0.9 - half)
        box = torch.maximum((self.columns - at[0]).abs() - half[0], (self.rows - at[1]).abs() - half[1])
        box = torch.where(self.uniform(batch, 1, 1) < 0.5, box, -box)
        return torch.where(self.uniform(batch, 1, 1) < 0.5, box, line)

    def coloured(self, photos):
        """Change brightness, contrast, saturation and tint; one in five loses its colours."""
        batch, amount = len(photos), self.options.colour
        weights = torch.tensor(GREY, device=self.device)[:, None, None]
        grey = (photos * weights).sum(1, keepdim=True)
        saturation = 1 + amount * self.uniform(batch, 1, 1, 1, low=-1) * 1.5
        saturation = torch.where(self.uniform(batch, 1, 1, 1) < 0.2, torch.zeros_like(saturation), saturation)
        photos = grey + (photos - grey) * saturation
        contrast = (amount * self.uniform(batch, 1, 1, 1, low=-1)).exp()
        tint = 0.4 * amount * self.uniform(batch, 3, 1, 1, low=-1)
        mean = photos.mean(dim=(2, 3), keepdim=True)
        bright = amount * self.uniform(batch, 1, 1, 1, low=-1)
        return ((photos - mean) * contrast + mean + bright + tint).clamp(-1, 1)


def info_nce(one, two, temperature):
    """Return the loss of pairs (B, D): each must find its partner among all others of both sides."""
    vectors = functional.normalize(torch.cat([one, two]), dim=1)
    alike = vectors @ vectors.T / temperature
    alike.fill_diagonal_(-1e4)
    partner = torch.arange(len(vectors), device=vectors.device).roll(len(one))
    return functional.cross_entropy(alike, partner)


def vicreg(one, two):
    """Return variance-invariance-covariance regularisation (Bardes et al. 2022) of pairs (B, D)."""
    loss = 25 * (one - two).square().mean()
    for each in (one, two):
        each = each - each.mean(0)
        loss = loss + 25 * functional.relu(1 - (each.var(0) + 1e-4).sqrt()).mean()
        covariance = each.T @ each / (len(each) - 1)
        loss = loss + (covariance.square().sum() - covariance.diagonal().square().sum()) / each.shape[1]
    return loss


def train(photos, options, device, tell):
    config = KindConfig(**{"features": options.features})
    if options.small:
        config = replace(config, widths=(8, 16, 16), features=16)
    torch.manual_seed(options.seed)
    network = KindNetwork(config).to(device, memory_format=torch.channels_last)
    wide = 16 if options.small else options.project
    head = torch.nn.Sequential(
        torch.nn.Linear(config.features, 4 * config.features),
        torch.nn.LayerNorm(4 * config.features),
        torch.nn.ReLU(),
        torch.nn.Linear(4 * config.features, wide),
    ).to(device)
    kernels = [p for p in network.parameters() if p.ndim == 4][1:]
    known = {id(p) for p in kernels}
    rest = [p for p in [*network.parameters(), *head.parameters()] if id(p) not in known]
    cuda = device.type == "cuda"
    optimisers = [
        torch.optim.AdamW(rest, options.rate, weight_decay=0.05, fused=cuda),
        Muon(kernels, options.muon, 0.05, compiled=cuda),
    ]
    rates = (options.rate, options.muon)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    forward = torch.compile(network) if cuda else network
    pixels = torch.from_numpy(photos.pixels).to(device)
    views = Views(pixels, config.size, device, options)
    begun = time.monotonic()
    step, losses = 0, []
    while True:
        share = (time.monotonic() - begun) / (60 * options.minutes)
        if share >= 1 or (options.steps and step >= options.steps):
            break
        factor = 0.5 * (1 + math.cos(math.pi * share)) * min(1.0, (step + 1) / 200)
        for optimiser, rate in zip(optimisers, rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        (one, holes_one), (two, holes_two) = views.draw(options.batch)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device.type)):
            found = forward(torch.cat([one, two]), torch.cat([holes_one, holes_two]))
        one, two = head(found).float().chunk(2)
        loss = vicreg(one, two) if options.loss == "vicreg" else info_nce(one, two, options.temperature)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*network.parameters(), *head.parameters()], 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            state = network.state_dict()
            decay = min(0.999, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.values()), list(state.values()), 1 - decay)
        step += 1
        losses.append(loss.detach())
        if step % 500 == 0:
            mean = torch.stack(losses[-500:]).mean().item()
            seconds = time.monotonic() - begun
            tell(f"step {step}, loss {mean:.3f}, {step * options.batch / seconds:.0f} pairs/s, {seconds:.0f} s")
    network.load_state_dict(average)
    seconds = time.monotonic() - begun
    tell(f"{step} steps of {options.batch} pairs in {seconds:.0f} s")
    return network.eval(), step


@torch.no_grad()
def described(network, pixels, device, hole=None):
    out = []
    for start in range(0, len(pixels), 512):
        part = torch.from_numpy(np.ascontiguousarray(pixels[start : start + 512])).to(device)
        part = part.permute(0, 3, 1, 2).float() / 127.5 - 1
        size = network.config.size
        if part.shape[-1] != size:
            part = functional.interpolate(part, size=(size, size), mode="bilinear", antialias=True)
        holes = torch.zeros((len(part), size, size), dtype=torch.bool, device=device)
        if hole is not None:
            holes |= torch.from_numpy(hole).to(device)
        out.append(network(part, holes).cpu().numpy())
    return np.concatenate(out)


def figures(network, photos, val, device, tell):
    """Print precision under three holes, of the vectors less their mean."""
    labels = np.array(photos.labels)
    use = np.isin(labels, np.unique(val.labels))
    labels, own = labels[use], np.array(val.labels)
    gallery = described(network, photos.pixels[use], device)
    mean = gallery.mean(0)
    gallery = unit(gallery - mean)
    size = network.config.size
    quarter, half = size // 4, size // 2
    for name, rows in (
        ("centre", np.s_[quarter : quarter + half, quarter : quarter + half]),
        ("left half", np.s_[:, :half]),
        ("lower half", np.s_[half:]),
    ):
        hole = np.zeros((size, size), bool)
        hole[rows] = True
        found = unit(described(network, val.pixels, device, hole) - mean)
        nearest = np.argsort(-(found @ gallery.T), axis=1)[:, :50]
        of = labels[nearest]
        votes = np.array([Counter(row).most_common(1)[0][0] for row in of.tolist()])
        made = np.isin(of[:, :10], MADE) == np.isin(own, MADE)[:, None]
        own_kind = of[:, :10] == own[:, None]
        tell(f"{name}: P@10 {own_kind.mean():.3f}, vote {(votes == own).mean():.3f}, man-made@10 {made.mean():.3f}")


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=512, help="pairs a step")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--muon", type=float, default=0.02)
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_argument("--loss", choices=("infonce", "vicreg"), default="infonce")
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--project", type=int, default=128, help="numbers that the loss compares")
    parser.add_argument("--apart", type=float, default=0.5, help="share of the pairs that are the sides of a cut")
    parser.add_argument("--gap", type=float, default=0.03, help="width hidden on each side of a cut, of half the side")
    parser.add_argument("--colour", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a tiny network, to rehearse")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    workers = os.cpu_count() or 1
    photos, val = (open_photos(paths, PACKED, workers=workers)[0] for paths in (options.data, [options.val]))

    def tell(text):
        print(f"{options.out.stem}: {text}", flush=True)

    network, step = train(photos, options, device, tell)
    tensors = {name: value.cpu().half() for name, value in network.state_dict().items()}
    about = {"kind": "kind network", "config": asdict(network.config), "step": step, "photos": len(photos)}
    settings = {k: v for k, v in vars(options).items() if not isinstance(v, (Path, list))}
    save_tensors(options.out, tensors, {**about, "settings": json.dumps(settings)})
    figures(network, photos, val, device, tell)


if __name__ == "__main__":
    main()
