"""Measure two descriptors against each other on any folder of photos: python examples/compare_features.py FOLDER hog gist.

Every tenth photo is held out. Its centre is filled from the nearest context by each descriptor, pasted, and re-ranked and
blended, and compared with the truth. Where FOLDER has a subfolder for each class, P@10 and kind@1 say how many photos of the
right class are found.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ce_retrieval import CeretError, IndexSettings, PhotoIndex, build_index
from ce_retrieval.evaluation import EvaluationSettings, evaluate, tables
from ce_retrieval.photos import open_source


def main(folder: str, *features: str) -> None:
    """Split the folder, index the larger part, measure on the smaller."""
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        for number, item in enumerate(open_source(folder, kind="folder").items()):
            link = work / ("collection" if number % 10 else "queries") / item.key
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(folder, item.key).resolve())
        build_index([work / "collection"], work / "photos.ceret", IndexSettings(features=features[0], kind="none"))
        index = PhotoIndex.open(work / "photos.ceret")
        methods = tuple(name + fill for name in features for fill in ("", "+rim+blend"))
        evaluation = evaluate([work / "queries"], index, work, EvaluationSettings(methods))
        print(tables(evaluation))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
