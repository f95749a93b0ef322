"""Method `patchmatch` from each start, with and without scenes."""

from dataclasses import replace

import numpy as np
import pytest

from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.settings import PatchSettings
from ce_retrieval.errors import MaskError, SettingsError
from ce_retrieval.settings import ranges

SETTINGS = PatchSettings(rerank="rim", aligned=6)


@pytest.fixture(scope="module")
def stripes() -> np.ndarray:
    """Diagonal stripes 80x100 with grain: patches of the photo know what is missing, a smooth fill does not."""
    rows, cols = np.mgrid[:80, :100]
    waves = 127 + 100 * np.sign(np.sin((rows + cols) / 2.5))
    grain = np.random.default_rng(0).normal(0, 4, (80, 100, 3))
    return np.clip(waves[..., None] + grain, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def hole() -> np.ndarray:
    hole = np.zeros((80, 100), bool)
    hole[30:55, 40:70] = True
    return hole


def test_the_record_names_the_network_that_scenes_were_ranked_by(index, stripes, hole, tiny_weights):
    guided = replace(SETTINGS, rerank="guided", weights=str(tiny_weights))
    done = PatchCompleter(index, guided).complete(stripes, hole)
    assert done.network["path"] == str(tiny_weights) and done.expected == "network"
    assert PatchCompleter(index, SETTINGS).complete(stripes, hole).expected is None


STARTS = ranges(PatchSettings)["start"].choices


@pytest.mark.parametrize(
    ("start", "with_index"),
    [*((start, True) for start in STARTS), *((start, False) for start in STARTS if start != "scene")],
)
def test_known_pixels_stay_whatever_the_start(index, stripes, hole, tiny_weights, start, with_index):
    settings = replace(SETTINGS, start=start, weights=str(tiny_weights), sources=2)
    completer = PatchCompleter(index if with_index else None, settings)
    assert completer.settings.start == {"auto": "scene" if with_index else "smooth"}.get(start, start)
    assert (completer.network is not None) == (start == "network")
    done = completer.complete(stripes, hole)
    np.testing.assert_array_equal(done.best[~hole], stripes[~hole])
    other = stripes.copy()
    other[hole] = 7
    np.testing.assert_array_equal(completer.complete(other, hole).best, done.best)
    record = done.provenance()
    assert record["method"] == "patchmatch" and record["changed_outside_hole"] == 0
    assert len(done.candidates) == (2 if with_index else 0)
    assert (record["index"] is not None) == with_index
    if not with_index:
        # The stripes go on: black and white in the hole as around it.
        assert done.best[hole].std() > 0.8 * stripes[~hole].std()


def test_a_photo_larger_than_the_working_size(stripes, hole):
    done = PatchCompleter(None, replace(SETTINGS, side=60)).complete(stripes, hole)
    np.testing.assert_array_equal(done.best[~hole], stripes[~hole])
    assert done.best[hole].std() > 0.4 * stripes[~hole].std()


def test_what_is_wrong_is_named(index, stripes, hole):
    with pytest.raises(SettingsError, match="`start` is 'best': expected one of auto, smooth"):
        replace(SETTINGS, start="best")
    with pytest.raises(SettingsError, match="`start` is 'scene', which needs an `index`"):
        PatchCompleter(None, replace(SETTINGS, start="scene"))
    with pytest.raises(SettingsError, match="`sources` is -1: expected a whole number from 0 to"):
        replace(SETTINGS, sources=-1)
    completer = PatchCompleter(None, SETTINGS)
    with pytest.raises(SettingsError, match="`method` patchmatch makes one fill"):
        completer.complete_many([stripes], [hole], candidate_fills=True)
    results = completer.complete_many([stripes, stripes], [np.zeros_like(hole), hole])
    assert isinstance(results[0], MaskError)
    np.testing.assert_array_equal(results[1].best[~hole], stripes[~hole])
