"""Segmentation: the network's geometry, its loss, and runs from photos to files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transfer_networks import slim_alexnet
from voc_sets import write_objects

from ce_retrieval.errors import CeretError, EvaluationError, SettingsError, SourceError, TrainingError
from ce_retrieval.transfer.networks.fcn import FullyConvolutional
from ce_retrieval.transfer.segment import pixel_loss, segment
from ce_retrieval.transfer.sets.voc_photos import stacked
from ce_retrieval.transfer.settings import FineTuning, SegmentationSettings

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("slim")
SETTINGS = SegmentationSettings(
    units=16, fine_tuning=FineTuning(steps=6, batch=3, rate=0.05, checkpoint_every=2), fcn="8s"
)
STEPS = {"32s": 32, "16s": 16, "8s": 8}


def network(step, seed=0, **options):
    return FullyConvolutional(slim_alexnet(**options), 4, step, torch.Generator().manual_seed(seed)).eval()


def test_one_pixel_is_seen_as_alexnet_sees_it():
    """A photo of one pixel has grey around it, and its score is that of a photo of 227 px."""
    photo = torch.full((1, 3, 1, 1), 0.8)
    whole = torch.zeros(1, 3, 227, 227)
    whole[..., 113, 113] = 0.8
    fully = network(32)
    alexnet = slim_alexnet()
    features = alexnet.fc7(alexnet.fc6(alexnet.features(whole)).relu()).relu()
    wanted = features @ fully.coarse.weight.flatten(1).T + fully.coarse.bias
    assert torch.allclose(fully(photo).flatten(1), wanted, rtol=1e-4, atol=1e-6) and wanted.std() > 0


@pytest.mark.parametrize("pad", [0, 2])
def test_finer_scores_start_at_nothing_and_add_at_their_places(pad):
    photo = torch.rand(1, 3, 70, 101, generator=torch.Generator().manual_seed(0)) * 2 - 1
    coarse = network(32, pad=pad)(photo)
    assert coarse.shape == (1, 4, 70, 101)
    for step in (16, 8):
        finer = network(step, pad=pad)
        assert list(finer.finer) == ["conv5", "pool1"][: 2 if step == 8 else 1]
        assert torch.allclose(finer(photo), coarse, atol=1e-5)
        # The finest layer alone: at a cell's pixel, its own score is added.
        name = list(finer.finer)[-1]
        torch.nn.init.constant_(finer.finer[name].weight, 0.3)
        found = {}
        with getattr(finer, name).register_forward_hook(
            lambda module, given, maps, found=found: found.update(maps=maps)
        ):
            scores = finer(photo)
        start = {16: 6, 8: 13}[step]
        added = 0.3 * found["maps"].sum(1)[0, start:, start:]
        places = scores[0, 0, ::step, ::step] - coarse[0, 0, ::step, ::step]
        assert torch.allclose(places, added[: places.shape[0], : places.shape[1]], atol=1e-4) and places.std() > 0


def test_the_loss_leaves_void_out():
    scores = torch.tensor([[[[1.0, 9.0, 2.0]], [[3.0, -9.0, 2.0]]]])
    masks = torch.tensor([[[1, 255, 0]]], dtype=torch.uint8)
    wanted = (np.log(1 + np.exp(-2.0)) + np.log(2)) / 2
    assert float(pixel_loss(scores, masks)) == pytest.approx(wanted, rel=1e-6)
    assert float(pixel_loss(scores, torch.full_like(masks, 255))) == 0


def test_photos_and_masks_of_several_sizes_are_stacked():
    small, large = np.full((2, 3, 3), 9, np.uint8), np.full((4, 2, 3), 8, np.uint8)
    small[:, 0] = 1
    photos, masks = stacked([small[:, ::-1], large], 127), stacked([small[..., 0], large[..., 0]], 255)
    assert photos.shape == (2, 4, 3, 3) and masks.shape == (2, 4, 3)
    assert photos[0, 0, :, 0].tolist() == [9, 9, 1] and masks[0, 0].tolist() == [1, 9, 9]
    assert (masks[0, 2:] == 255).all() and (masks[1, :, 2] == 255).all() and (photos[1, :, 2] == 127).all()


def test_it_learns_and_writes_its_results(objects_folder, tmp_path):
    settings = replace(SETTINGS, fine_tuning=FineTuning(steps=60, batch=4, rate=0.05))
    (seed,) = segment(objects_folder, tmp_path, settings, device=CPU)
    assert seed.figures["mean_iu"] > 60 and seed.figures["pixel_accuracy"] > 85 and seed.photos == 8
    assert seed.classes["car"]["iu"] > 40 and seed.classes["sheep"]["iu"] is None and "background" in seed.classes
    table = (tmp_path / "table.md").read_text()
    assert (
        "| random | FCN-8s | " in table and "mean IU %" in table and "4 photos measured, each at its own size" in table
    )


def test_scores_that_are_not_numbers_are_no_result(objects_folder, tmp_path):
    settings = replace(SETTINGS, fine_tuning=FineTuning(steps=1, batch=1, rate=1e9))  # its only loss is still a number
    refused(
        objects_folder,
        tmp_path,
        EvaluationError,
        "a score of a pixel is not a number",
        "lower `rate`",
        settings=settings,
    )
    assert not (tmp_path / "table.md").exists()


def test_memory_that_runs_out_in_measuring(objects_folder, tmp_path):
    def full(text, done, total):
        if text == "seed 0: testing":
            raise MemoryError

    with pytest.raises(TrainingError, match="do not fit into the memory of cpu: use smaller photos"):
        segment(objects_folder, tmp_path, SETTINGS, device=CPU, progress=full)


class Killed(BaseException):
    pass


def test_a_resumed_run_ends_with_the_same_bytes(objects_folder, tmp_path):
    segment(objects_folder, tmp_path / "whole", SETTINGS, device=CPU)

    def kill(text, done, total):
        if text == "seed 0: training" and done == 5:
            raise Killed

    with pytest.raises(Killed):
        segment(objects_folder, tmp_path / "cut", SETTINGS, device=CPU, progress=kill)
    with pytest.raises(TrainingError, match="unfinished run"):
        segment(objects_folder, tmp_path / "cut", SETTINGS, device=CPU)
    steps, checkpoint = [], (tmp_path / "cut/checkpoint.safetensors").read_bytes()
    segment(
        objects_folder, tmp_path / "cut", SETTINGS, device=CPU, resume=True, progress=lambda *told: steps.append(told)
    )
    assert steps[0] == ("seed 0: training", 5, 6)
    for name in ("results.json", "table.md"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    # A kill after the last result and before the checkpoint is removed: the run is over, the next one may begin.
    (tmp_path / "cut/checkpoint.safetensors").write_bytes(checkpoint)
    segment(objects_folder, tmp_path / "cut", SETTINGS, device=CPU, resume=True)
    assert not (tmp_path / "cut/checkpoint.safetensors").exists()
    assert json.loads((tmp_path / "cut/results.json").read_text())["about"]["task"] == "segment"


def refused(root, out, error, *words, settings=SETTINGS):
    with pytest.raises(CeretError) as told:
        segment(root, out, settings, device=CPU)
    text = str(told.value)
    assert type(told.value) is error and "\n" not in text and all(word in text for word in words), text


def test_bad_input(tmp_path):
    root, out = tmp_path / "VOC2012", tmp_path / "out"
    refused(root, out, SourceError, "VOC2012", "ImageSets")
    write_objects(root, (("train", 3), ("val", 1)))
    refused(root, out, SettingsError, "`batch` is 4", settings=replace(SETTINGS, fine_tuning=FineTuning(batch=4)))
    mask = root / "SegmentationClass/000004.png"
    Image.fromarray(np.full((80, 96), 255, np.uint8)).save(mask)
    refused(root, out, EvaluationError, "no pixel that counts")
    assert not out.exists()  # before the training, not after it
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(mask)
    refused(root, out, SourceError, "000004.png", "9x8", "96x80")
    mask.unlink()
    refused(root, tmp_path / "new", SourceError, "000004.png", "no such file")
    assert not (tmp_path / "new").exists()  # before the training, not after it
    (root / "ImageSets/Segmentation/val.txt").write_text("000001\n")
    refused(root, tmp_path / "new", SourceError, "000001 is in the sets train and val")
    (root / "ImageSets/Segmentation/val.txt").unlink()
    refused(root, tmp_path / "new", SourceError, "val.txt", "no such file")
