"""Settings of feature learning: what a network starts from, and how it is trained and measured. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.settings import COUNT, MOST, Checked, Range, setting

KINDS = ("random", "encoder", "autoencoder", "weights")
FCNS = ("32s", "16s", "8s")
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5")
_SIDE = Range(low=32, high=10_000)
FORMS = "random, encoder:CHECKPOINT, autoencoder:CHECKPOINT or weights:FILE"


class Initialisation(NamedTuple):
    """What a network starts from.

    Attributes
    ----------
    kind : one of KINDS.
    path : of the checkpoint or file; "" for `random`.
    """

    kind: str
    path: str


def parse_initialisation(text: str) -> Initialisation:
    """Return the initialisation that a text names; SettingsError where it names none."""
    kind, colon, path = text.partition(":")
    if kind not in KINDS or (kind == "random" and colon):
        raise SettingsError(f"`init` is {shown(text)}: expected {FORMS}")
    if kind != "random" and not path:
        made = {
            "encoder": "; train one by the preset paper-region",
            "autoencoder": "; train one by the preset autoencoder",
        }
        raise SettingsError(
            f"`init` is {shown(text)}: no such weights ship with ceret, so name a file, as in {kind}:FILE{made.get(kind, '')}"
        )
    return Initialisation(kind, path)


@dataclass(frozen=True)
class FineTuning(Checked):
    """How all layers are trained.

    Attributes
    ----------
    steps : of stochastic gradient descent; the rate is halved after each eighth of them.
    batch : photos a step.
    rate : learning rate at first.
    checkpoint_every : steps between checkpoints.
    """

    steps: int = setting(10_000, COUNT, help="Steps of training; the rate is halved after each eighth of them.")
    batch: int = setting(32, low=1, high=10**6, help="Photos a step.")
    rate: float = setting(1e-3, low=0, high=MOST, without_low=True, help="Learning rate at first.")
    checkpoint_every: int = setting(1000, COUNT, help="Steps between checkpoints.")


@dataclass(frozen=True)
class TransferSettings(Checked):
    """What the tasks share.

    On a CPU, the results are a function of the settings and of the photos; on a GPU that is so for `classify` alone.

    Attributes
    ----------
    init : what conv1 to pool5 start from, as `parse_initialisation` reads it.
    rescale : rescale the first weights by the training photos (`rescaling.rescale`).
    seed, seeds : the first seed, and how many, one after the other; each draws photos, first weights and order anew.
    units : of fc6 and fc7.
    """

    task: ClassVar[str]

    init: str = setting("random", help="The first weights of conv1 to pool5.")
    rescale: bool = setting(False, help="Rescale the first weights by the training photos (Krähenbühl et al. 2016).")
    seed: int = setting(0, low=0, high=2**31, help="The first seed; photos, first weights and order follow from it.")
    seeds: int = setting(1, low=1, high=1000, help="How many seeds: the table shows their mean and its interval.")
    units: int = setting(4096, low=1, high=65536, help="Units of fc6 and fc7.")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_initialisation(self.init)


@dataclass(frozen=True)
class ClassificationSettings(TransferSettings):
    """How a network learns which classes a photo shows.

    Attributes
    ----------
    fine_tuning : train all layers in this way; None: a linear probe, which trains one layer on a layer as it is.
    layer : the layer that a probe learns from, one of LAYERS.
    labels : photos of each class to learn from, drawn by the seed; None: all.
    size : side of the crops, px.
    crops : random crops over which a photo's scores are averaged.
    """

    task: ClassVar[str] = "classify"

    fine_tuning: FineTuning | None = None
    layer: str = setting("pool5", choices=LAYERS, help="Layer that a probe learns from.")
    labels: int | None = setting(None, COUNT, help="Photos of each class to learn from, drawn by the seed.")
    size: int = setting(227, low=67, high=1024, help="Side of the crops, px.")
    crops: int = setting(10, low=1, high=1000, help="Random crops over which a photo's scores are averaged.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fine_tuning is not None and self.layer != "pool5":
            raise SettingsError(
                f"`layer` is {self.layer}, but no probe is trained: leave out `layer`, or `fine_tuning`"
            )

    @property
    def decoded_side(self) -> int:
        """Side to which photos are resized whole, px, from which the crops are taken: 256 for crops of 227."""
        return round(self.size * 256 / 227)


@dataclass(frozen=True)
class DetectionSettings(TransferSettings):
    """How a network learns to find objects.

    Fast R-CNN (Girshick 2015): the sides of photos and the proposals of a step are its own, steps and rate are not.

    Attributes
    ----------
    fine_tuning : how all layers are trained.
    shorter, longer : a photo is resized so that its shorter side is `shorter` px, or less where the other would be above
        `longer` px.
    regions : of each photo, drawn among its proposals at every step.
    """

    task: ClassVar[str] = "detect"

    fine_tuning: FineTuning = FineTuning(steps=40_000, batch=2)
    shorter: int = setting(600, _SIDE, help="Shorter side to which photos are resized, px.")
    longer: int = setting(1000, _SIDE, help="Longest side of a resized photo, px.")
    regions: int = setting(64, low=4, high=10**4, help="Proposals drawn from each photo at every step.")


@dataclass(frozen=True)
class SegmentationSettings(TransferSettings):
    """How a network learns the class of each pixel (fully convolutional networks, Long et al. 2015).

    Attributes
    ----------
    fine_tuning : how all layers are trained.
    fcn : which of the three networks: by the px between its finest scores.
    """

    task: ClassVar[str] = "segment"

    fine_tuning: FineTuning = FineTuning(steps=20_000, batch=4)
    fcn: str = setting("32s", choices=FCNS, help="Px between the finest scores: FCN-32s, FCN-16s or FCN-8s.")


SETTINGS: dict[str, type[TransferSettings]] = {
    one.task: one for one in (ClassificationSettings, DetectionSettings, SegmentationSettings)
}
