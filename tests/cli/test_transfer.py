"""`ceret transfer` from the command line, with AlexNet itself, on a handful of photos."""

import json

import numpy as np
import pytest
from PIL import Image
from voc_sets import write_objects


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for kind, colour in (("dark", 60), ("light", 190)):
            (root / part / kind).mkdir(parents=True)
            for number in range(2):
                pixels = rng.integers(colour - 30, colour + 30, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / kind / f"{number}.png")
    return root


def arguments(folders, out, *more):
    sizes = ("--size", 67, "--units", 8, "--crops", 1, "--device", "cpu")
    return ("transfer", "classify", "--data", folders / "train", "--val", folders / "val", *sizes, "--out", out, *more)


def test_a_probe_and_a_training(ceret, folders, tmp_path):
    told = ceret(*arguments(folders, tmp_path / "probe", "--init", "random", "--probe", "--rescale"))
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[2] == "| random + rescale | linear probe, pool5 | all | 100.0 |"
    assert lines[3:] == [f"written: {tmp_path / 'probe' / name}" for name in ("results.json", "table.md")]
    told = ceret(*arguments(folders, tmp_path / "conv3", "--init", "random", "--probe", "--layer", "conv3"))
    assert told.exit_code == 0 and "| random | linear probe, conv3 | all | " in told.stdout, told.output
    training = ("--init", "random", "--steps", 2, "--batch", 2, "--labels", 1, "--seed", 5)
    told = ceret(*arguments(folders, tmp_path / "run", *training, "--json"))
    about = json.loads(told.stdout)
    assert about["task"] == "classify" and about["seeds"][0]["seed"] == 5 and about["seeds"][0]["photos"] == 2
    assert about["figures"]["accuracy"]["low"] is None
    again = ceret(*arguments(folders, tmp_path / "run", *training, "--json", "--resume"))
    assert json.loads(again.stdout) == about


def test_bad_input(ceret, one_line_error, folders, tmp_path):
    out = tmp_path / "out"
    for more, words in (
        (("--init", "zebra"), ("--init is 'zebra'", "weights:FILE")),
        (("--init", "encoder"), ("--init", "encoder:FILE", "paper-region")),
        (("--init", f"weights:{tmp_path / 'none.pth'}"), ("none.pth", "no such file")),
        (("--init", "random", "--probe", "--steps", "5"), ("--steps", "--probe")),
        (("--init", "random", "--layer", "conv3"), ("--layer", "--probe")),
        (("--init", "random", "--probe", "--layer", "conv6"), ("--layer", "conv5")),
        (("--init", "random", "--labels", "3"), ("--labels is 3", "use 2 or less")),
        (("--init", "random", "--device", "tpu"), ("--device",)),
        (("--init", "random", "--resume"), ("nothing to resume", "--resume")),
        (("--init", "random", "--fcn", "8s"), ("--fcn is for segment", "to classify")),
        (("--init", "random", "--proposals", "a.npz"), ("--proposals is for detect", "to classify")),
    ):
        line = one_line_error(ceret(*arguments(folders, out, *more)))
        assert all(word in line for word in words), line
    assert not any(out.glob("*.*"))


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    root = tmp_path_factory.mktemp("voc") / "VOC2007"
    write_objects(root, (("trainval", 2), ("test", 1), ("train", 2), ("val", 1)), side=(64, 64))
    return root


TRAINING = ("--init", "random", "--units", 8, "--steps", 1, "--batch", 1, "--device", "cpu")


def test_detection_and_segmentation(ceret, voc, tmp_path):
    for task, more, words in (
        ("detect", ("--proposals", voc / "proposals.npz", "--shorter", 64, "--regions", 8), "| random | Fast R-CNN |"),
        ("segment", ("--fcn", "16s"), "| random | FCN-16s |"),
    ):
        out = tmp_path / task
        told = ceret("transfer", task, "--data", voc, *TRAINING, *more, "--out", out)
        assert told.exit_code == 0, told.output
        assert told.stdout.splitlines()[2].startswith(words) and (out / "table.md").is_file()
        again = ceret("transfer", task, "--data", voc, *TRAINING, *more, "--out", out, "--json", "--resume")
        assert json.loads(again.stdout)["task"] == task


def test_what_the_other_tasks_refuse(ceret, one_line_error, voc, tmp_path):
    for task, more, words in (
        ("detect", (), ("--proposals",)),
        ("detect", ("--proposals", voc / "none.npz"), ("none.npz", "no such file")),
        ("detect", ("--proposals", voc / "proposals.npz", "--labels", 3), ("--labels is for classify", "to detect")),
        ("segment", ("--val", voc), ("--val is for classify", "to segment")),
        ("segment", ("--probe",), ("--probe is for classify", "to segment")),
        ("segment", ("--regions", 9), ("--regions is for detect", "to segment")),
        ("segment", ("--fcn", "4s"), ("--fcn", "32s")),
        ("parse", (), ("classify", "segment")),
    ):
        told = ceret("transfer", task, "--data", voc, *TRAINING, *more, "--out", tmp_path / "out")
        line = one_line_error(told)
        assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


def test_a_fill_does_not_replace_results(ceret, one_line_error, folders, crop_folder, tmp_path):
    """A photo may be called results.png."""
    out = tmp_path / "out"
    assert ceret(*arguments(folders, out, "--init", "random", "--probe")).exit_code == 0
    before = (out / "results.json").read_bytes()
    photo = tmp_path / "results.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(photo)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (20, 20, 40, 40))
    mask.save(tmp_path / "mask.png")
    told = ceret(
        "complete", photo, "--mask", tmp_path / "mask.png", "--method", "patchmatch", "--start", "smooth", "--out", out
    )
    assert "results.json is of another command" in one_line_error(told)
    assert (out / "results.json").read_bytes() == before and not (out / "results.png").exists()


def test_an_evaluation_and_a_transfer_keep_each_others_results(
    ceret, one_line_error, folders, crop_folder, crop_index, tmp_path
):
    def measured(out):
        photos = ("evaluate", crop_folder / "photo1", "--index", crop_index, "--keep-leaks")
        return (*photos, "--methods", "smooth", "--limit", 2, "--out", out)

    def probed(out):
        return arguments(folders, out, "--init", "random", "--probe")

    for first, second in ((measured, probed), (probed, measured)):
        out = tmp_path / first.__name__
        assert ceret(*first(out)).exit_code == 0
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        line = one_line_error(ceret(*second(out)))
        assert "results.json is of another command" in line and "--out" in line
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
