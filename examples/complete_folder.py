"""Complete all photos of a folder from a collection; a stopped run goes on when it is started again.

    python examples/complete_folder.py PHOTOS MASKS FOLDER OUT [WHERE]

MASKS is one mask for all, or a folder of masks with the photos' names. Indexes FOLDER (once), and fills only from photos
for which WHERE holds, as in "licence == 'CC0' and width >= 1024". OUT gets a picture and a record for every photo. Finished
photos are skipped, and a photo that fails is named and spares the others.
"""

import sys
from pathlib import Path

from ce_retrieval import CeretError, IndexSettings, PhotoIndex, SceneCompleter, SceneSettings, build_index
from ce_retrieval.completion.folders import complete_folder, finished
from ce_retrieval.completion.plan import plan_jobs


def main(photos: str, masks: str, folder: str, out: str, where: str | None = None) -> None:
    """Complete all photos, with a line for each."""
    build_index([folder], Path(out) / "photos.ceret", IndexSettings(features="thumbnail"))
    index = PhotoIndex.open(Path(out) / "photos.ceret")
    completer = SceneCompleter(index, SceneSettings(where=where))  # made once: it keeps what photos have in common

    outcomes = []
    filled = Path(out) / "filled"
    for outcome in complete_folder(completer, plan_jobs(photos, masks, filled), filled):
        done = "done before" if outcome.skipped else "completed"
        print(outcome.reason or f"{outcome.written}: {done}")
        outcomes.append(outcome)
    written, skipped, failed = finished(outcomes)
    print(f"{written} completed, {skipped} done before, {len(failed)} failed")


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
