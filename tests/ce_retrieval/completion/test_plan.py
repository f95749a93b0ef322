"""Which mask belongs to which photo: by its name, beside the photo or in a folder of its own, through links too."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.plan import Job, MaskReading, Outcome, plan_jobs
from ce_retrieval.errors import MaskError


@pytest.fixture
def photos(tmp_path) -> Path:
    """Photos a to d, one of them in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "c.jpg", "sub/d.jpg"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def mask(tmp_path) -> Path:
    Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), ((10, 20), (20, 30)))).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def masks_of(plan) -> dict[str, str | None]:
    """The name of each photo's mask, None where there is none."""
    return {
        job.stem if isinstance(job, Job) else job.photo.stem: job.mask.name if isinstance(job, Job) else None
        for job in plan
    }


@pytest.mark.parametrize("name", ["{}_mask.png", "{}-mask.gif", "mask_{}.png", "MASK-{}.PNG", "{}_Mask.bmp"])
def test_masks_beside_the_photos(photos, mask, tmp_path, name):
    for stem in ("a", "b", "sub/d"):
        folder, _, last = stem.rpartition("/")
        shutil.copy(mask, photos / folder / name.format(last))
    plan = plan_jobs(photos, photos, tmp_path / "out")
    assert masks_of(plan) == {"a": name.format("a"), "b": name.format("b"), "c": None, "sub/d": name.format("d")}
    assert not plan.notes, "they are used"
    for single in ("a.jpg", "b.png"):
        assert masks_of(plan_jobs(photos / single, photos, tmp_path / "out")) == {single[0]: name.format(single[0])}


def test_a_photo_is_never_its_own_mask_nor_that_of_another(photos, mask, tmp_path):
    shutil.copy(photos / "c.jpg", photos / "d.jpg")  # has the name of sub/d.jpg
    plan = plan_jobs(photos, photos, tmp_path / "out")
    assert (
        all(isinstance(outcome, Outcome) and isinstance(outcome.error, MaskError) for outcome in plan)
        and len(plan) == 5
    )
    assert plan[0].reason == f"{photos / 'a.jpg'}: no mask of that name in {photos}: add a_mask.png"
    with pytest.raises(MaskError, match=r"a\.jpg is given as its own mask: give a mask file, or set `alpha`"):
        raise plan_jobs(photos / "a.jpg", photos / "a.jpg", tmp_path / "out")[0].error
    (tmp_path / "link.jpg").symlink_to(photos / "a.jpg")
    with pytest.raises(MaskError, match="its own mask"):
        raise plan_jobs(photos / "a.jpg", tmp_path / "link.jpg", tmp_path / "out")[0].error


def test_its_own_transparency_may_be_the_mask(photos, mask, tmp_path):
    reading = MaskReading(alpha=True)
    assert masks_of(plan_jobs(photos, photos, tmp_path / "out", reading)) == {
        "a": "a.jpg",
        "b": "b.png",
        "c": "c.jpg",
        "sub/d": "d.jpg",
    }
    assert masks_of(plan_jobs(photos / "b.png", photos / "b.png", tmp_path / "out", reading)) == {"b": "b.png"}
    shutil.copy(mask, photos / "b_mask.png")
    assert masks_of(plan_jobs(photos, photos, tmp_path / "out", reading))["b"] == "b_mask.png"


def test_one_mask_for_all_among_the_photos(photos, mask, tmp_path):
    shutil.copy(mask, photos / "hole.png")
    assert masks_of(plan_jobs(photos, photos / "hole.png", tmp_path / "out")) == dict.fromkeys(
        ("a", "b", "c", "sub/d"), "hole.png"
    )


def test_names_in_a_folder_of_masks(photos, mask, tmp_path):
    masks = tmp_path / "masks"
    (masks / "sub").mkdir(parents=True)
    for name in ("a.png", "a_mask.png", "b_mask.png", "mask_d.png", "sub/d-mask.png", "c_mask.png", "c-mask.png"):
        shutil.copy(mask, masks / name)
    plan = plan_jobs(photos, masks, tmp_path / "out")
    assert masks_of(plan) == {"a": "a.png", "b": "b_mask.png", "c": None, "sub/d": "d-mask.png"}
    assert plan[2].reason == f"{photos / 'c.jpg'}: two masks of that name in {masks}: keep c-mask.png or c_mask.png"


def test_links_to_masks_are_followed(photos, mask, tmp_path):
    (tmp_path / "real" / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/d.png"):
        shutil.copy(mask, tmp_path / "real" / name)
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "a.png").symlink_to(tmp_path / "real" / "a.png")
    (masks / "sub").symlink_to(tmp_path / "real" / "sub")
    (masks / "again").symlink_to(masks)  # leads back
    assert masks_of(plan_jobs(photos, masks, tmp_path / "out")) == {
        "a": "a.png",
        "b": None,
        "c": None,
        "sub/d": "d.png",
    }


def test_results_in_a_folder_of_masks_are_not_masks(photos, mask, tmp_path):
    masks = tmp_path / "masks"
    (masks / "x.candidates").mkdir(parents=True)
    shutil.copy(mask, masks / "a.png")
    for name in ("b.png", "x.candidates/c.png"):
        shutil.copy(mask, masks / name)
    keys = ("software", "hole", "method", "settings", "candidates")
    entries = [f' "{key}": 0' for key in keys]
    (masks / "b.json").write_text("{\n" + ",\n".join([*entries, ' "files": {"b.png": "0"}']) + "\n}\n")
    assert masks_of(plan_jobs(photos, masks, tmp_path / "out")) == {"a": "a.png", "b": None, "c": None, "d": None}


def test_links_that_lead_round_fail_alone(photos, mask, tmp_path):
    (photos / "x.jpg").symlink_to(photos / "y.jpg")
    (photos / "y.jpg").symlink_to(photos / "x.jpg")
    (photos / "mask.png").symlink_to(photos / "gone.png")
    shutil.copy(mask, photos / "a_mask.png")
    found = {"a": "a_mask.png", "b": None, "c": None, "d": None, "mask": None, "x": None, "y": None}
    assert masks_of(plan_jobs(photos, photos, tmp_path / "out")) == found
    alone = plan_jobs(photos, mask, tmp_path / "out")
    assert set(masks_of(alone).values()) == {"mask.png"} and len(alone) == 7
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert len(plan_jobs(photos, mask, tmp_path / "round")) == 7


def test_a_name_that_is_not_utf_8_is_named_as_the_fault(photos, mask, tmp_path):
    import os

    for end in (b".jpg", b"_mask.png"):
        shutil.copy(mask, os.path.join(os.fsencode(photos), b"x\xff" + end))
    (failed,) = [one for one in plan_jobs(photos, photos, tmp_path / "out") if "xff" in one.photo.name]
    assert failed.reason == f"{photos}/x\\xff.jpg: its name is not valid UTF-8; rename the file"


def test_every_reason_begins_with_the_photo(photos, mask, tmp_path, monkeypatch):
    (tmp_path / "masks").mkdir()
    shutil.copy(mask, tmp_path / "masks" / "other.png")
    monkeypatch.chdir(photos)
    for one in plan_jobs(".", tmp_path / "masks", tmp_path / "out"):
        assert one.reason.startswith(f"{one.photo}: no mask of that name in ")
