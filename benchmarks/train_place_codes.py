"""Make the codes of local features that ship with ceret: two codebooks, and the directions and medians of signatures.

    python benchmarks/train_place_codes.py PHOTOS [PHOTOS ...] --out ce_retrieval/weights/places.safetensors [--count 6000]

K-means on each half of the descriptors; directions are the first principal components of a half within its words, turned at
random (Y. Gong, S. Lazebnik, "Iterative Quantization", CVPR 2011: bits then carry about equally much); medians by word. What
ships was made of 6,000 photos of scenes/train (in the order of their paths, every other) in minutes of two cores.
"""

import argparse
from pathlib import Path

import numpy as np

from ce_retrieval.errors import PhotoError
from ce_retrieval.photos import decode_photo, open_sources
from ce_retrieval.places.codes import BITS, HALF, WORDS
from ce_retrieval.places.local_features import local_features
from ce_retrieval.pool import in_order, worker_pool
from ce_retrieval.storage import replace_file

SIDE, MOST = 640, 300  # as an index looks at photos


def descriptors_of(paths, count):
    """Return the descriptors of up to `count` photos, taken evenly: float32 (n, 128)."""
    sources = open_sources(paths)
    items = [(source, item) for source in sources for item in source.items()]
    chosen = items[:: max(1, len(items) // count)][:count]

    def describe(one):
        source, item = one
        try:
            photo = decode_photo(source.read(item), name=item.key).pixels
        except PhotoError:
            return np.zeros((0, 2 * HALF), np.float32)
        return local_features(photo, side=SIDE, most=MOST).descriptors

    with worker_pool(2) as pool:
        found = list(in_order(pool, describe, iter(chosen), 16))
    sources.close()
    return np.concatenate(found)


def codes_of(descriptors, seed=0):
    """Return words, directions and medians of descriptors, as float16."""
    import faiss

    rng = np.random.default_rng(seed)
    made = {"words": [], "directions": [], "medians": []}
    for half in np.split(descriptors, 2, axis=1):
        half = np.ascontiguousarray(half)
        kmeans = faiss.Kmeans(HALF, WORDS, niter=30, seed=seed, max_points_per_centroid=2000)
        kmeans.train(half)
        words = kmeans.centroids.astype(np.float16)
        nearest = faiss.IndexFlatL2(HALF)
        nearest.add(words.astype(np.float32))
        of_word = nearest.search(half, 1)[1][:, 0]
        inside = half - words[of_word].astype(np.float32)
        _, axes = np.linalg.eigh(np.cov(inside.T))
        turn, _ = np.linalg.qr(rng.standard_normal((BITS, BITS)))
        directions = (turn @ axes[:, ::-1].T[:BITS]).astype(np.float16)
        along = half @ directions.astype(np.float32).T
        medians = [np.median(along[of_word == word], axis=0) for word in range(WORDS)]
        for name, value in zip(made, (words, directions, np.array(medians, np.float16)), strict=True):
            made[name].append(value)
    return {name: np.stack(parts) for name, parts in made.items()}


def main():
    from safetensors.numpy import save

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6000, help="photos")
    options = parser.parse_args()
    descriptors = descriptors_of(options.photos, options.count)
    print(f"{len(descriptors)} local features")
    replace_file(options.out, save(codes_of(descriptors)))


if __name__ == "__main__":
    main()
