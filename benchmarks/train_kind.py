"""Train the network of the descriptor `kind`: what two parts of one photo have in common, and of two photos not.

    python benchmarks/train_kind.py --data PHOTOS [PHOTOS ...] --val PHOTOS --out FILE.safetensors [--minutes 6.3]
    python benchmarks/train_kind.py --network FILE.safetensors --data ... --val ... --out ...   # fit and measure only
    python benchmarks/train_kind.py --rehearse --out FILE.safetensors                           # two steps on the CPU

Contrastive (InfoNCE; Oord et al. 2018, Chen et al. 2020), without labels, on pairs of `kind_views.py`. The linear map at
the network's end is fitted afterwards, without labels too (`kind_map.py`). Labels (folders) are read for the table alone.
What ships saw 2.6 million pairs in six minutes of a GPU. Run it from the checkout; PYTHONPATH=. where ceret is not installed.
"""

import argparse
import math
import os
import time
from pathlib import Path

import kind_map
import numpy as np
import torch
import torch.nn.functional as functional
from kind_views import Views

from ce_retrieval.models.kind_network import KindConfig, KindNetwork, load_kind_network, save_kind
from ce_retrieval.models.precision import has_bfloat16
from ce_retrieval.models.seen_photos import write_seen
from ce_retrieval.training import PackedPhotos, open_photos
from ce_retrieval.training.muon import Muon
from ce_retrieval.training.validation import resized

BATCH = 512  # pairs a step
PROJECTED = 128  # numbers that the loss compares
TEMPERATURE = 0.2
RATE, MUON_RATE, WEIGHT_DECAY = 2e-3, 0.02, 0.05
WARMUP = 200  # steps
AVERAGE = 0.999
SMALL = KindConfig(size=64, widths=(8, 16, 16), features=16, components=8)  # of a rehearsal


class Training:
    """A network with the head that is thrown away afterwards, their optimisers, and the running average of the weights."""

    def __init__(self, config, device, seed=0):
        torch.manual_seed(seed)
        cuda = device.type == "cuda"
        self.network = KindNetwork(config).to(device, memory_format=torch.channels_last)
        wide = 4 * config.features
        self.head = torch.nn.Sequential(
            torch.nn.Linear(config.features, wide),
            torch.nn.LayerNorm(wide),
            torch.nn.ReLU(),
            torch.nn.Linear(wide, PROJECTED),
        ).to(device)
        self.parameters = [*self.network.parameters(), *self.head.parameters()]
        orthogonal = [parameter for parameter in self.network.parameters() if parameter.ndim == 4][1:]
        chosen = {id(parameter) for parameter in orthogonal}
        rest = [parameter for parameter in self.parameters if id(parameter) not in chosen]
        self.optimisers = [
            torch.optim.AdamW(rest, RATE, weight_decay=WEIGHT_DECAY, fused=cuda),
            Muon(orthogonal, MUON_RATE, WEIGHT_DECAY, compiled=cuda),
        ]
        self.rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.forward = torch.compile(self.network) if cuda else self.network
        self.step = 0

    def update(self, views, progress):
        """Make one step; `progress` is the share of the training that is done. Return the loss."""
        factor = 0.5 * (1 + math.cos(math.pi * progress)) * min(1.0, (self.step + 1) / WARMUP)
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * factor
        (one, holes_one), (two, holes_two) = views
        kind = one.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=has_bfloat16(kind)):
            features = self.forward(torch.cat([one, two]), torch.cat([holes_one, holes_two]))
        loss = info_nce(self.head(features).float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        decay = min(AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.network.state_dict().values()), 1 - decay)
        self.step += 1
        return loss.detach()

    def averaged(self):
        """Return the network with the averaged weights, in evaluation mode."""
        self.network.load_state_dict(self.average)
        return self.network.eval().requires_grad_(False)


def info_nce(vectors):
    """Return the loss of views (2B, D), partners B apart: each must find its partner among all others."""
    vectors = functional.normalize(vectors, dim=1)
    alike = (vectors @ vectors.T / TEMPERATURE).fill_diagonal_(-1e4)
    partner = torch.arange(len(vectors), device=vectors.device).roll(len(vectors) // 2)
    return functional.cross_entropy(alike, partner)


def train(photos, config, device, *, minutes, batch=BATCH, steps=None, tell=print):
    """Train for some minutes (or steps, if these end first) and return the network and the number of steps."""
    training = Training(config, device)
    views = Views(torch.from_numpy(np.asarray(photos.pixels)).to(device), config.size)
    begun, losses = time.monotonic(), []
    while (seconds := time.monotonic() - begun) < 60 * minutes and training.step != steps:
        losses.append(training.update(views.draw(batch), seconds / 60 / minutes))
        if len(losses) == 500:
            loss, seconds = torch.stack(losses).mean().item(), time.monotonic() - begun
            tell(
                f"step {training.step}, loss {loss:.3f}, {training.step * batch / seconds:.0f} pairs/s, {seconds:.0f} s"
            )
            losses.clear()
    tell(f"{training.step} steps of {batch} pairs in {time.monotonic() - begun:.0f} s")
    return training.averaged(), training.step


def finish(network, photos, val, out, about):
    """Fit the map of a network, write it, and return the table of its figures."""
    photos = PackedPhotos(resized(photos.pixels, network.config.size), photos.keys, photos.labels, photos.fingerprint)
    kind_map.fit(network, photos.pixels)
    save_kind(out, network, {**about, "photos": len(photos)})
    return kind_map.figures(network, photos, val)


def random_photos(count, size):
    """Return photos of noise, to rehearse with."""
    pixels = np.random.default_rng(count).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    labels = ("buildings", "forest") * (count // 2)
    return PackedPhotos(pixels, tuple(map(str, range(count))), labels, f"random {count}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, help="photos to train on")
    parser.add_argument("--val", type=Path, help="photos to measure on, in folders by kind")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.3)
    parser.add_argument("--batch", type=int, default=BATCH, help="pairs a step")
    parser.add_argument("--network", type=Path, help="a trained network: fit its map and measure it only")
    parser.add_argument(
        "--rehearse", action="store_true", help="a tiny network, two steps, photos of noise, on the CPU"
    )
    options = parser.parse_args()
    if not options.rehearse and not (options.data and options.val):
        parser.error("--data and --val are needed: photos to train and to measure on; or --rehearse")
    device = torch.device("cuda" if torch.cuda.is_available() and not options.rehearse else "cpu")
    network = load_kind_network(options.network)[0].to(device) if options.network else None
    config = network.config if network else SMALL if options.rehearse else KindConfig()
    about, steps = {}, None
    if options.rehearse:
        steps, options.batch = 2, 8
        photos, val = random_photos(64, config.size * 9 // 8), random_photos(8, config.size)
    else:
        workers = os.cpu_count() or 1
        packed = config.size if network else config.size * 9 // 8
        photos, val = (
            open_photos(paths, size, workers=workers)[0]
            for paths, size in ((options.data, packed), ([options.val], config.size))
        )
    if network is None:
        network, step = train(photos, config, device, minutes=options.minutes, batch=options.batch, steps=steps)
        about = {"step": step}
    print(finish(network, photos, val, options.out, about))
    write_seen(options.out.parent, photos.pixels)


if __name__ == "__main__":
    main()
