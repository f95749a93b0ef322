"""Detection from photos to files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transfer_networks import slim_alexnet
from voc_sets import write_objects

from ce_retrieval.errors import CeretError, EvaluationError, SettingsError, SourceError, TrainingError
from ce_retrieval.transfer.crops import as_input
from ce_retrieval.transfer.detect import detect
from ce_retrieval.transfer.networks.fast_rcnn import FastRCNN
from ce_retrieval.transfer.sets.voc_photos import GREY, stacked
from ce_retrieval.transfer.settings import DetectionSettings, FineTuning

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("slim")
SETTINGS = DetectionSettings(
    units=16,
    shorter=128,
    longer=200,
    regions=16,
    fine_tuning=FineTuning(steps=6, batch=3, rate=0.02, checkpoint_every=2),
)


def run(root, out, settings=SETTINGS, **options):
    return detect(root, out, settings, proposals=[root / "proposals.npz"], device=CPU, **options)


def test_it_learns_and_writes_its_results(objects_folder, tmp_path):
    settings = replace(SETTINGS, fine_tuning=FineTuning(steps=80, batch=4, rate=0.02))
    (seed,) = run(objects_folder, tmp_path, settings)
    assert seed.figures["map_11"] > 60 and seed.figures["map_area"] > 60 and seed.photos == 8
    assert seed.classes["sheep"] == {"ap_11": None, "ap_area": None}
    table = (tmp_path / "table.md").read_text()
    assert "| random | Fast R-CNN | " in table and "shorter side of 128 px" in table


def test_a_region_is_seen_alike_alone_and_among_others():
    network = FastRCNN(slim_alexnet(), 4, torch.Generator().manual_seed(0)).eval()
    photos = torch.rand(2, 3, 120, 150, generator=torch.Generator().manual_seed(1)) * 2 - 1
    regions = [torch.tensor([[3.0, 4, 90, 80], [10, 10, 60, 100]]), torch.tensor([[0.0, 0, 149, 119]])]
    scores, changes = network(photos, regions)
    assert scores.shape == (3, 4) and changes.shape == (3, 4, 4)
    for row, (photo, region) in enumerate(((0, regions[0][:1]), (0, regions[0][1:]), (1, regions[1]))):
        alone = network(photos[photo : photo + 1], [region])
        assert torch.allclose(alone[0][0], scores[row], atol=1e-5) and torch.allclose(
            alone[1][0], changes[row], atol=1e-5
        )


def test_scores_that_are_not_numbers_are_no_result(objects_folder, tmp_path):
    settings = replace(SETTINGS, fine_tuning=FineTuning(steps=1, batch=1, rate=1e9))  # its only loss is still a number
    refused(objects_folder, tmp_path, EvaluationError, "a score of a detection is not a number", settings=settings)
    assert not (tmp_path / "table.md").exists()


def test_a_network_that_finds_nothing(objects_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ce_retrieval.transfer.detect.LEAST_SCORE", 1.0)
    (seed,) = run(objects_folder, tmp_path)
    assert seed.figures == {"map_11": 0, "map_area": 0} and seed.classes["car"] == {"ap_11": 0, "ap_area": 0}


def test_a_region_far_from_the_edge_of_a_smaller_photo_is_seen_alike_among_larger_ones():
    network = FastRCNN(slim_alexnet(), 4, torch.Generator().manual_seed(0)).eval()
    rng = np.random.default_rng(1)
    small, large = (rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((160, 200), (190, 260)))
    region, other = torch.tensor([[32.0, 32, 70, 60]]), torch.tensor([[0.0, 0, 9, 9]])
    with torch.no_grad():
        alone = network(as_input(small[None], CPU), [region])
        among = network(as_input(stacked([small, large], GREY), CPU), [region, other])
    for one, two in zip(alone, among, strict=True):
        assert torch.allclose(one, two[:1], atol=1e-3 * float(one.abs().max()))


class Killed(BaseException):
    pass


def test_a_resumed_run_ends_with_the_same_bytes(objects_folder, tmp_path):
    run(objects_folder, tmp_path / "whole")

    def kill(text, done, total):
        if text == "seed 0: training" and done == 5:
            raise Killed

    with pytest.raises(Killed):
        run(objects_folder, tmp_path / "cut", progress=kill)
    with pytest.raises(TrainingError, match="another run"):
        run(objects_folder, tmp_path / "cut", replace(SETTINGS, regions=8), resume=True)
    steps = []
    run(objects_folder, tmp_path / "cut", resume=True, progress=lambda *told: steps.append(told))
    assert steps[0] == ("seed 0: training", 5, 6)
    for name in ("results.json", "table.md"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def refused(root, out, error, *words, settings=SETTINGS):
    with pytest.raises(CeretError) as told:
        run(root, out, settings)
    text = str(told.value)
    assert type(told.value) is error and "\n" not in text and all(word in text for word in words), text


def test_bad_input(tmp_path):
    root, out = tmp_path / "VOC2007", tmp_path / "out"
    write_objects(root, (("trainval", 3), ("test", 1)))
    good = dict(np.load(root / "proposals.npz"))
    np.savez(root / "proposals.npz", **{name: good[name] for name in list(good)[:3]})
    refused(root, out, SourceError, "no boxes of 1 photo, 000004")
    np.savez(root / "proposals.npz", **{**good, "000001": np.array([[1, 1, 97, 80]])})
    refused(root, out, SourceError, "a box of 000001 is not within its 96x80 px")
    np.savez(root / "proposals.npz", **{**good, "000004": np.array([[1, 1, 96, 81]])})
    refused(root, out, SourceError, "a box of 000004 is not within its 96x80 px")
    np.savez(root / "proposals.npz", **good)
    with pytest.raises(SettingsError, match="`proposals` is missing: give a file"):
        detect(root, out, SETTINGS, proposals=[], device=CPU)
    assert not out.exists()
    refused(root, out, SettingsError, "`batch` is 4", settings=replace(SETTINGS, fine_tuning=FineTuning(batch=4)))
    wild = replace(SETTINGS, fine_tuning=FineTuning(steps=9, batch=3, rate=1e9))
    refused(root, out, TrainingError, "the loss is", "lower `rate`", settings=wild)
    annotation = root / "Annotations/000004.xml"
    text = annotation.read_text()
    annotation.write_text(text.replace("<width>96", "<width>99"))
    refused(root, out, SourceError, "000004.jpg", "96x80", "99x80")
    (out / "checkpoint.safetensors").unlink()
    start, end = text.index("<object>"), text.rindex("</object>") + len("</object>")
    annotation.write_text(text[:start] + text[end:])
    refused(root, tmp_path / "new", EvaluationError, "no photo of the set test shows an object")
    annotation.unlink()
    refused(root, tmp_path / "new", SourceError, "000004.xml", "no such file")
    (root / "JPEGImages/000004.jpg").unlink()
    refused(root, tmp_path / "new", SourceError, "000004.jpg", "no such file")
    assert not (tmp_path / "new").exists()  # before the training, not after it
    (root / "ImageSets/Main/test.txt").write_text("000001\n")
    refused(root, tmp_path / "new", SourceError, "000001 is in the sets trainval and test")
