"""Make Table 1 of the paper (Pathak et al. 2016) on any photos: python examples/reproduce_table1.py PHOTOS COLLECTION OUT.

PHOTOS are held out. If you have the paper's 100 test photos of Paris StreetView, give their folder, and its training photos as
COLLECTION. The central quarter of each photo is hidden, and filled by the nearest context by HOG, by the nearest context by
learned features, and by the network that ships with ceret.
"""

import sys
from pathlib import Path

from ce_retrieval import CeretError, IndexSettings, PhotoIndex, build_index
from ce_retrieval.evaluation import evaluate
from ce_retrieval.evaluation.table1 import table1, table1_settings, write_table1


def main(photos: str, collection: str, out: str) -> None:
    """Index the collection (once: the next run uses OUT/collection.ceret again), measure, and write the table."""
    path = Path(out) / "collection.ceret"
    build_index([collection], path, IndexSettings(features="encoder:fill", kind="none"))
    index = PhotoIndex.open(path)
    evaluation = evaluate([photos], index, out, table1_settings(index))
    write_table1(evaluation, out)
    print(table1(evaluation))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
