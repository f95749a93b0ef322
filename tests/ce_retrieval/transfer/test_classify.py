"""Classification from photos to files: what is learned, the same bytes for the same seed, resumed runs, bad input."""

import json
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transfer_networks import tiny_network
from voc_sets import write_voc

from ce_retrieval.errors import CeretError, PhotoError, SettingsError, SourceError, StorageError, TrainingError
from ce_retrieval.models.checkpoint import save_tensors
from ce_retrieval.own_files import EVALUATION, check_results
from ce_retrieval.transfer import runs as module
from ce_retrieval.transfer.classify import classify
from ce_retrieval.transfer.settings import ClassificationSettings, FineTuning

CPU = torch.device("cpu")
PROBE = ClassificationSettings(size=67, units=10, crops=2, seeds=2, labels=4)
TRAINED = replace(PROBE, fine_tuning=FineTuning(steps=6, batch=4, rate=0.01, checkpoint_every=2))
RESULTS = ("results.json", "table.md")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A network of few channels in the place of AlexNet."""

    def initialised(init, *, side, units, classes, seed):
        return tiny_network("batch", side=side, seed=seed, classes=classes)

    monkeypatch.setattr(module, "initialised", initialised)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Photos of three classes, told apart by the direction of their stripes and their colour."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 3)):
        for number, kind in enumerate(("across", "down", "flat")):
            (root / part / kind).mkdir(parents=True)
            for photo in range(count):
                axis = np.sin(np.arange(40) * 0.8 + rng.uniform(0, 6)) * 60
                pattern = (axis[:, None], axis[None], np.zeros((1, 1)))[number]
                pixels = (
                    128 + pattern[..., None] + rng.normal(size=(40, 40, 3)) * 8 + np.array([20, 0, -20]) * (number - 1)
                )
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / part / kind / f"{photo}.png")
    return root


def run(folders, out, settings, **options):
    return classify(folders / "train", out, settings, val=folders / "val", device=CPU, **options)


def written(out):
    return [(out / name).read_bytes() for name in RESULTS]


def test_a_probe_learns_and_writes_its_results(folders, tmp_path):
    seeds = run(folders, tmp_path / "a", PROBE)
    assert [one.seed for one in seeds] == [0, 1] and all(one.photos == 12 for one in seeds)
    assert np.mean([one.figures["accuracy"] for one in seeds]) > 80
    told = json.loads((tmp_path / "a/results.json").read_bytes())
    assert told["complete"] and told["about"]["settings"]["labels"] == 4 and told["about"]["test_photos"] == 9
    table = (tmp_path / "a/table.md").read_text()
    assert "Trained for" not in table
    assert (
        f"| random | linear probe, pool5 | 4 | {told['figures']['accuracy']['mean']:.1f} (" in table
        and "| down |" in table
    )
    # Again, into another folder: the same bytes.
    run(folders, tmp_path / "b", PROBE)
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["lock", *RESULTS]


@pytest.fixture
def networks(monkeypatch):
    """The networks that runs start from, in their order."""
    made, initialised = [], module.initialised
    monkeypatch.setattr(module, "initialised", lambda *one, **more: made.append(initialised(*one, **more)) or made[-1])
    return made


@pytest.mark.parametrize("settings", [PROBE, TRAINED])
def test_weights_are_rescaled_by_the_training_photos(settings, folders, tmp_path, networks, monkeypatch):
    given, rescale = [], module.rescale
    monkeypatch.setattr(
        module, "rescale", lambda net, photos, generator: given.append(photos) or rescale(net, photos, generator)
    )
    run(folders, tmp_path, replace(settings, seeds=1, rescale=True))
    assert [len(one) for one in given] == [12] and given[0].std() > 0.2
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in networks[0].modules())
    assert "| random + rescale |" in (tmp_path / "table.md").read_text()
    if settings is PROBE:
        outputs = networks[0].trunk[0](given[0])
        variances = outputs.detach().var((0, 2, 3), correction=0)
        assert torch.allclose(variances, variances.mean(), rtol=0.01)  # of all units alike, whatever the layer's factor


def test_a_resumed_training_ends_as_an_uninterrupted_one(folders, tmp_path):
    whole = run(folders, tmp_path / "whole", TRAINED)

    class Killed(Exception):
        pass

    def until(text, done):
        def progress(now, number, total):
            seen.append(now)
            if (now, number) == (text, done):
                raise Killed

        return progress

    out = tmp_path / "killed"
    kills = (("seed 0: training", 5), ("seed 0: testing", 9), ("seed 1: training", 1), ("seed 1: training", 5))
    for number, (text, done) in enumerate(kills):
        seen = []
        with pytest.raises(Killed):
            run(folders, out, TRAINED, progress=until(text, done), resume=out.exists())
        assert ("seed 0: training" in seen) == (number < 2)  # trained, it is measured at once
        with pytest.raises(TrainingError, match="unfinished run: set `resume`"):
            run(folders, out, TRAINED)
    with pytest.raises(TrainingError, match="another run"):
        run(folders, out, replace(TRAINED, seed=1), resume=True)
    steps = []
    resumed = run(folders, out, TRAINED, resume=True, progress=lambda text, done, total: steps.append((text, done)))
    assert ("seed 1: training", 5) in steps and ("seed 1: training", 4) not in steps
    assert not any(text.startswith("seed 0") for text, _ in steps)
    assert resumed == whole and written(out) == written(tmp_path / "whole")
    assert "Trained for 6 steps of 4 photos, at a rate of 0.01 at first." in (out / "table.md").read_text()
    assert run(folders, out, TRAINED, resume=True) == whole and not (out / "checkpoint.safetensors").exists()


def test_a_photo_that_has_changed_is_of_another_run(folders, tmp_path):
    """The name stays, the file does not: no result is part of both."""
    mine = tmp_path / "photos"
    shutil.copytree(folders, mine)
    run(mine, tmp_path / "out", PROBE)
    path = next((mine / "train").rglob("*.png"))
    Image.open(path).convert("L").save(path)
    with pytest.raises(TrainingError, match="another run"):
        run(mine, tmp_path / "out", PROBE, resume=True)


def test_a_layer_is_for_a_probe_alone():
    with pytest.raises(SettingsError, match="`layer` is conv3"):
        replace(TRAINED, layer="conv3")
    assert replace(PROBE, layer="conv3").layer == "conv3"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("kind", ["text", "weights"])
def test_a_foreign_checkpoint_is_named_and_kept(folders, tmp_path, kind, resume):
    path = tmp_path / "checkpoint.safetensors"
    if kind == "text":
        path.write_text("mine")
    else:
        save_tensors(path, {"weight": torch.zeros(3)}, {"kind": "network"})
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"checkpoint\.safetensors is there already, and ceret did not write it"):
        run(folders, tmp_path, TRAINED, resume=resume)
    assert path.read_bytes() == before


def test_a_folder_is_a_runs_from_its_first_checkpoint_on(folders, tmp_path):
    """So another command does not put its results there, without which the run could not go on."""

    def stopped(text, done, total):
        if (text, done) == ("seed 0: training", 3):
            raise KeyboardInterrupt

    (tmp_path / "checkpoint.safetensors").touch()  # an empty file has nothing to lose
    with pytest.raises(KeyboardInterrupt):
        run(folders, tmp_path, TRAINED, progress=stopped)
    with pytest.raises(StorageError, match=r"results\.json is of another command"):
        check_results(tmp_path, EVALUATION)
    assert len(run(folders, tmp_path, TRAINED, resume=True)) == 2


def test_a_part_of_a_file_of_results_is_replaced(folders, tmp_path):
    """A loss of power may leave it."""
    (tmp_path / "results.json").write_text('{\n "software": "ceret",\n "x')
    run(folders, tmp_path, replace(PROBE, seeds=1))
    assert json.loads((tmp_path / "results.json").read_text())["complete"]


def test_names_of_classes_do_not_break_the_table(folders, tmp_path):
    mine = tmp_path / "photos"
    shutil.copytree(folders, mine)
    for part in ("train", "val"):
        (mine / part / "flat").rename(mine / part / "a\n|*<b>")
    run(mine, tmp_path / "out", replace(PROBE, seeds=1))
    assert r"| a\\n\|\*\<b> |" in (tmp_path / "out/table.md").read_text()


def test_training_changes_all_layers_and_learns(folders, tmp_path, networks):
    settings = replace(TRAINED, seeds=1, labels=None, fine_tuning=FineTuning(steps=60, batch=8, rate=0.02))
    (found,) = run(folders, tmp_path, settings)
    fresh = dict(tiny_network("batch", side=67).named_parameters())
    assert not any(torch.equal(value, fresh[name]) for name, value in networks[0].named_parameters())
    assert found.figures["accuracy"] > 80 and found.photos == 18


def test_voc(tmp_path):
    write_voc(tmp_path / "VOC2007", 6)
    seeds = classify(tmp_path / "VOC2007", tmp_path / "out", replace(PROBE, labels=None, seeds=1), device=CPU)
    assert seeds[0].figures["map_11"] > 60 and seeds[0].classes["tvmonitor"]["ap_11"] is None
    assert "mAP % (11 points, VOC 2007)" in (tmp_path / "out/table.md").read_text()
    trained = replace(TRAINED, labels=1, seeds=1)
    with pytest.raises(SettingsError, match="no photo to train on shows the class car: leave `labels` out"):
        classify(tmp_path / "VOC2007", tmp_path / "two", trained, device=CPU)
    classify(tmp_path / "VOC2007", tmp_path / "two", replace(trained, labels=None), device=CPU)
    refused(
        lambda: classify(tmp_path / "VOC2007", tmp_path / "x", PROBE, val=tmp_path, device=CPU), SettingsError, "`val`"
    )
    sets = tmp_path / "VOC2007/ImageSets/Main"
    for path in sets.glob("*_test.txt"):
        (sets / path.name.replace("_test", "_trainval")).write_text(path.read_text())
    refused(
        lambda: classify(tmp_path / "VOC2007", tmp_path / "x", PROBE, device=CPU),
        SourceError,
        "are in the sets trainval and test",
    )
    for path in sets.glob("*_test.txt"):
        path.write_text("000001 0\n")
        (sets / path.name.replace("_test", "_trainval")).write_text("000002 1\n")
    refused(lambda: classify(tmp_path / "VOC2007", tmp_path / "x", PROBE, device=CPU), SourceError, "shows a class")


def refused(call, error, *words):
    with pytest.raises(CeretError) as told:
        call()
    text = str(told.value)
    assert type(told.value) is error and "\n" not in text and all(word in text for word in words), text


def test_photos_that_do_not_suit(folders, tmp_path):
    train, val = folders / "train", folders / "val"

    def attempt(data, other, settings=PROBE):
        return lambda: classify(data, tmp_path / "out", settings, val=other, device=CPU)

    refused(attempt(train, None), SettingsError, "`val` is missing")
    refused(attempt(train, train), SourceError, "are in both")
    with tarfile.open(tmp_path / "same.tar", "w") as tar:
        tar.add(train, ".")
    refused(attempt(tmp_path / "same.tar", tmp_path / "same.tar"), SourceError, "are in both")
    refused(attempt(train / "flat", val), SourceError, "and 5 more are in no subfolder")
    refused(attempt(tmp_path / "none", val), SourceError, "no such")
    (tmp_path / "one").mkdir()
    (tmp_path / "one/flat").symlink_to(train / "flat")
    refused(attempt(tmp_path / "one", val), SourceError, "flat alone")
    (tmp_path / "one/zebra").symlink_to(train / "down")
    refused(attempt(train, tmp_path / "one"), SourceError, "the class zebra is not in")
    (tmp_path / "broken/down").mkdir(parents=True)
    (tmp_path / "broken/down/a.png").write_bytes(b"nothing")
    refused(attempt(train, tmp_path / "broken"), PhotoError, "broken/down/a.png")
    wanted = replace(PROBE, labels=7)
    refused(
        attempt(train, val, wanted), SettingsError, "`labels` is 7, but 6 photos show the class across: use 6 or less"
    )
    refused(attempt(train, val, replace(TRAINED, fine_tuning=FineTuning(batch=13))), SettingsError, "`batch` is 13")
    assert not (tmp_path / "out").exists()
    (tmp_path / "broken/down/a.png").unlink()
    (tmp_path / "broken/down/a.png").symlink_to(tmp_path / "nowhere.png")
    refused(attempt(train, tmp_path / "broken"), SourceError, "a.png: no such file", "remove the link")
    write_voc(tmp_path / "kit/VOC2007")
    refused(attempt(tmp_path / "kit", None), SourceError, f"give {tmp_path}/kit/VOC2007")


def test_no_folder_is_left_out_of_a_set(folders, tmp_path, unlistable):
    """A class that cannot be read would make another task."""
    unlistable("down")
    refused(
        lambda: run(folders, tmp_path / "out", PROBE), SourceError, "train/down/", "permission denied; make it readable"
    )


def test_what_is_not_taken_for_a_photo_is_said(folders, tmp_path):
    mine, said = tmp_path / "photos", []
    shutil.copytree(folders, mine)
    Image.new("L", (40, 40)).save(mine / "val/flat/0_mask.png")
    options = {"val": mine / "val", "device": CPU, "say_passed_over": said.extend}
    classify(mine / "train", tmp_path / "out", replace(PROBE, seeds=1), **options)
    assert said == [(str(mine / "val"), "passed over 1 file named as masks of photos beside them")]


def test_a_loss_that_is_not_finite(folders, tmp_path):
    settings = replace(TRAINED, fine_tuning=FineTuning(steps=9, batch=4, rate=1e9))
    refused(lambda: run(folders, tmp_path / "out", settings), TrainingError, "the loss is", "lower `rate`")


def test_folders_that_hold_something_else(folders, tmp_path):
    (tmp_path / "table.md").write_text("mine")
    refused(lambda: run(folders, tmp_path, PROBE), StorageError, "table.md", "did not write it")
    assert (tmp_path / "table.md").read_text() == "mine"
    refused(lambda: run(folders, tmp_path / "new", PROBE, resume=True), TrainingError, "nothing to resume")


def test_seeds_are_added_to_a_run_that_has_ended_and_its_results_are_kept(folders, tmp_path):
    """Where the photos lie makes no other run: they are known by what they are."""
    out, moved = tmp_path / "done", tmp_path / "moved"
    both = run(folders, tmp_path / "both", PROBE)
    run(folders, out, replace(PROBE, seeds=1))
    before = written(out)
    for settings, options, words in (
        (PROBE, {}, ("holds the results of a run", "set `resume` to add seeds")),
        (replace(PROBE, crops=1), {"resume": True}, ("results.json is of another run", "use another `out`")),
    ):
        refused(
            lambda settings=settings, options=options: run(folders, out, settings, **options), TrainingError, *words
        )
    assert written(out) == before
    shutil.copytree(folders, moved)
    trained = []
    assert run(moved, out, PROBE, resume=True, progress=lambda text, *_: trained.append(text)) == both
    assert not any(text.startswith("seed 0") for text in trained)
    known = json.loads((out / "results.json").read_text())
    assert known["about"]["data"] == str(moved / "train") and known["complete"] and len(known["seeds"]) == 2
    assert known["made_with"].keys() >= {"ceret", "torch", "device"}
    refused(
        lambda: run(folders, out, replace(PROBE, seeds=1), resume=True), TrainingError, "has 2 seeds: set `seeds` to 2"
    )
    assert len(json.loads((out / "results.json").read_text())["seeds"]) == 2
