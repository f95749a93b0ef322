"""The linear map at the end of the network of kinds: fitted without labels, and measured with them, for `train_kind.py`."""

from collections import Counter

import numpy as np
import torch

from ce_retrieval.models.inference import kinds_of_photos

MADE = ("buildings", "street")
RIDGE = 0.01  # of the mean of the covariance's diagonal
EVERY = 4  # the map is fitted to every fourth photo
BATCH = 256
SEEN = ("no hole", "centre", "left half", "right half", "lower half", "upper half")  # by which it is measured


def part_holes(size):
    """Return the parts of a photo to hide, by name: bool (size, size), True = missing."""
    quarter, half, edge = size // 4, size // 2, size * 3 // 16
    hidden = {
        "no hole": np.s_[:0],
        "centre": np.s_[quarter : quarter + half, quarter : quarter + half],
        "left half": np.s_[:, :half],
        "right half": np.s_[:, half:],
        "lower half": np.s_[half:],
        "upper half": np.s_[:half],
    }
    holes = {name: np.zeros((size, size), bool) for name in hidden}
    for name, part in hidden.items():
        holes[name][part] = True
    holes["all but the middle"] = np.ones((size, size), bool)
    holes["all but the middle"][edge : size - edge, edge : size - edge] = False
    return holes


@torch.inference_mode()
def features_of(network, pixels, hole):
    """Return the features of photos uint8 (N, S, S, 3) that a hole bool (S, S) hides a part of: float64 (N, F)."""
    device = network.mean.device
    missing = torch.from_numpy(hole).to(device)
    found = []
    for start in range(0, len(pixels), BATCH):
        part = torch.from_numpy(np.array(pixels[start : start + BATCH])).to(device)
        photos = part.permute(0, 3, 1, 2).float() / 127.5 - 1
        found.append(network(photos, missing.expand(len(part), *missing.shape)).double().cpu().numpy())
    return np.concatenate(found)


def kind_map(versions, components):
    """Fit the map that keeps what the versions of a photo have in common and photos do not.

    Linear discriminant analysis with each photo as a class of its own: the leading directions of W^-1/2 B W^-1/2, where W
    is the covariance within the versions of a photo, the offset of each hole included, and B that of the photos' means.

    Parameters
    ----------
    versions : float (V, N, F), features of each photo under each hole.
    components : K, number of directions.

    Returns
    -------
    float64 (F, K), the largest number being 1 or -1.
    """
    means = versions.mean(axis=0)
    apart = (versions - means).reshape(-1, versions.shape[-1])
    within = apart.T @ apart / len(apart)
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    values, vectors = np.linalg.eigh(within)
    whiten = (vectors / np.sqrt(values)) @ vectors.T
    _, directions = np.linalg.eigh(whiten @ np.cov(means.T) @ whiten)
    found = (whiten @ directions)[:, ::-1][:, :components]
    return found / np.abs(found).max()


def fit(network, pixels):
    """Give a network of kinds its mean (of whole photos) and its map, from photos uint8 (N, S, S, 3)."""
    holes = part_holes(network.config.size)
    whole = features_of(network, pixels, holes.pop("no hole"))
    some = pixels[::EVERY]
    versions = np.stack([whole[::EVERY], *(features_of(network, some, hole) for hole in holes.values())])
    for buffer, values in (
        (network.mean, whole.mean(axis=0)),
        (network.projection, kind_map(versions, network.config.components)),
    ):
        buffer.copy_(torch.from_numpy(values))


def figures(network, photos, val):
    """Return a table: how often the nearest of `photos`, seen whole, are of the kind of one of `val` that a hole hides in part.

    P@10: share of the nearest ten of the query's own label. Vote of 50: share of queries whose label has the most of the
    nearest 50. man-made@10: buildings or street for buildings or street, nature for nature, among the nearest ten.
    """
    labels, own = np.array(photos.labels), np.array(val.labels)
    use = np.isin(labels, own)
    labels, gallery = labels[use], kinds_of_photos(network, photos.pixels[use])
    holes = part_holes(network.config.size)
    lines = ["| hole | P@10 | vote of 50 | man-made@10 |", "|---|---:|---:|---:|"]
    for name in SEEN:
        alike = kinds_of_photos(network, val.pixels, holes[name]) @ gallery.T
        of = labels[np.argsort(-alike, axis=1)[:, :50]]
        votes = np.array([Counter(row).most_common(1)[0][0] for row in of.tolist()])
        made = np.isin(of[:, :10], MADE) == np.isin(own, MADE)[:, None]
        found = (of[:, :10] == own[:, None]).mean(), (votes == own).mean(), made.mean()
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in found) + " |")
    return "\n".join(lines)
