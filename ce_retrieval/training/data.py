"""From packed uint8 photos to the batch of a step: choice of photos, then crop, flip, colour and holes on the device.

Everything random is a pure function of (seed, step): a resumed run draws the same as an uninterrupted one, and every
process of a distributed run draws the numbers of the whole batch and keeps its own part.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ce_retrieval.errors import SettingsError, TrainingError, counted
from ce_retrieval.training.config import TrainConfig
from ce_retrieval.training.holes import HoleMaker
from ce_retrieval.training.packed import PackedPhotos
from ce_retrieval.training.team import Team


class Order:
    """Order of the photos: each epoch is a new permutation, of which an incomplete last batch is dropped.

    Raises
    ------
    SettingsError : there are fewer photos (`count`) than a batch needs.
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        if count < batch:
            raise SettingsError(
                f"`batch` is {batch}, but only {counted(count, 'photo', 'is', 'are')} left to train on: use {count} or less"
            )
        self.count, self.batch, self.seed = count, batch, seed
        self._known: dict[torch.device, tuple[int, Tensor]] = {}  # the epoch and its permutation, on each device

    def rows(self, step: int, device: torch.device) -> Tensor:
        """Return the row numbers of step `step` (from 0): int64 (batch,), on a device to which each epoch goes once."""
        epoch, place = divmod(step, self.count // self.batch)
        if self._known.get(device, (-1,))[0] != epoch:
            permutation = np.random.default_rng([self.seed, epoch]).permutation(self.count)
            self._known[device] = epoch, torch.from_numpy(permutation).to(device)
        return self._known[device][1][place * self.batch : (place + 1) * self.batch]


class Feed:
    """Photos of a step on the device, from pixels kept there or read ahead through pinned memory.

    Parameters
    ----------
    pixels : uint8 (N, P, P, 3), array or memory-mapped file.
    order : which photos a step takes.
    part : this process's part of a batch.
    resident : whether all pixels are kept on the device; None: on a GPU if they fill at most half of its free memory,
        on the CPU always (they stay where they are).
    """

    def __init__(
        self, pixels: np.ndarray, order: Order, part: slice, device: torch.device, resident: bool | None
    ) -> None:
        self.order, self.part, self.device = order, part, device
        if resident is None:
            resident = device.type != "cuda" or pixels.nbytes < torch.cuda.mem_get_info(device)[0] // 2
        host = torch.from_numpy(pixels)
        self.pixels = host.to(device) if resident else host
        self.resident = resident
        self._pool = None if resident else ThreadPoolExecutor(max_workers=1, thread_name_prefix="photos")
        self._ahead: tuple[int, Future[Tensor]] | None = None

    def crops(self, step: int, tops: Tensor, lefts: Tensor, side: int) -> Tensor:
        """Return crops of the step's photos: uint8 (b, 3, side, side) on the device, channels_last; tops, lefts: int64 (b,)."""
        if self.device.type == "cpu" and self.resident:
            rows = self.order.rows(step, self.device)[self.part]
            places = zip(rows.tolist(), tops.tolist(), lefts.tolist(), strict=True)
            return torch.stack([self.pixels[r, t : t + side, c : c + side] for r, t, c in places]).permute(0, 3, 1, 2)
        if self.resident:
            photos, index = self.pixels, self.order.rows(step, self.device)[self.part]
        else:
            photos = self._streamed(step)
            index = torch.arange(len(photos), device=self.device)
        span = torch.arange(side, device=self.device)
        crops = photos[index[:, None, None], (tops[:, None] + span)[:, :, None], (lefts[:, None] + span)[:, None, :]]
        return crops.permute(0, 3, 1, 2)

    def _gather(self, step: int) -> Tensor:
        """Return the step's photos, in pinned memory for a GPU."""
        photos = self.pixels[self.order.rows(step, torch.device("cpu"))[self.part]]
        return photos.pin_memory() if self.device.type == "cuda" else photos

    def _streamed(self, step: int) -> Tensor:
        """Return the step's photos on the device, and start to read those of the next step."""
        assert self._pool is not None
        ready, future = self._ahead if self._ahead is not None else (-1, None)
        photos = future.result() if future is not None and ready == step else self._gather(step)
        self._ahead = (step + 1, self._pool.submit(self._gather, step + 1))
        return photos.to(self.device, non_blocking=True)

    def close(self) -> None:
        """End the reading thread, if there is one."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class Batches:
    """The batches of a run.

    Parameters
    ----------
    photos, config, holes : of the run.
    device : where batches are made.
    team : each process gets its part of a batch.
    resident : see `Feed`.

    Raises
    ------
    SettingsError : the batch exceeds the photos, or does not divide among the processes.
    TrainingError : the photos are smaller than the network's input.
    """

    def __init__(
        self,
        photos: PackedPhotos,
        config: TrainConfig,
        holes: HoleMaker,
        device: torch.device,
        team: Team,
        *,
        resident: bool | None = None,
    ) -> None:
        size = config.network.size
        if photos.size < size:
            raise TrainingError(
                f"photos of {photos.size} px are smaller than the crop of {size}: use `size` {size * 5 // 4}"
            )
        if config.batch % team.size:
            raise SettingsError(
                f"`batch` is {config.batch}: expected a multiple of {team.size}, the number of processes"
            )
        each = config.batch // team.size
        self.config, self.holes, self.device = config, holes, device
        self.part = slice(team.rank * each, (team.rank + 1) * each)
        self.packed = photos.size
        self.order = Order(len(photos), config.batch, config.seed)
        self.feed = Feed(photos.pixels, self.order, self.part, device, resident)
        self.generator = Generator(device)

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Return this process's part of the batch of step `step` (from 0).

        Returns
        -------
        photos : float32 (b, 3, S, S), in [-1, 1], channels_last.
        holes : bool (b, S, S), True = missing.
        """
        config, batch = self.config, self.config.batch
        # Seeds of steps lie far apart; the side of the crop is the host's draw, shared by the batch.
        self.generator.manual_seed(config.seed * 1_000_003 + step)
        smallest = max(1, round(config.view * self.packed))
        side = int(np.random.default_rng([config.seed, 1, step]).integers(smallest, self.packed + 1))
        numbers = torch.rand((9, batch), generator=self.generator, device=self.device)
        holes = self.holes.draw(batch, self.generator)[self.part]
        numbers = numbers[:, self.part]
        offsets = (numbers[:2] * (self.packed - side + 1)).long()
        crops = self.feed.crops(step, offsets[0], offsets[1], side)
        return self._finished(crops, numbers), holes

    def _finished(self, crops: Tensor, numbers: Tensor) -> Tensor:
        """Return crops resized, flipped, recoloured and in [-1, 1]; numbers: uniform in [0, 1), (9, b)."""
        size, config = self.config.network.size, self.config
        if crops.shape[-1] != size:
            # The CPU resizes uint8, which is vectorised; CUDA resizes floats only.
            crops = crops if crops.device.type == "cpu" else crops.float()
            crops = functional.interpolate(crops, size=(size, size), mode="bilinear", antialias=True)
        if config.flip:
            mirrored = numbers[2] < 0.5
            crops = torch.where(mirrored[:, None, None, None], crops.flip(3), crops)
        photos = crops.float()
        scale = torch.full((len(photos), 3), 1 / 127.5, device=photos.device)
        shift = torch.full((len(photos), 1), -1.0, device=photos.device)
        if config.jitter:
            spread = (numbers[3:9].T * 2 - 1) * config.jitter
            scale = scale * (1 + spread[:, :1]) * (1 + spread[:, 1:4] / 2)
            shift = shift * (1 + spread[:, :1]) + spread[:, 4:5]
        photos = photos.mul_(scale[:, :, None, None]).add_(shift[:, :, None, None])
        if config.jitter:
            photos = photos.clamp_(-1, 1)
        return photos.contiguous(memory_format=torch.channels_last)

    def close(self) -> None:
        """End the reading thread, if there is one."""
        self.feed.close()


def split_photos(photos: PackedPhotos, seed: int) -> tuple[PackedPhotos, PackedPhotos]:
    """Return (training photos, held-out photos); 2 % of the collection, 8 to 600 photos, are held out, chosen by the seed.

    Raises
    ------
    TrainingError : there are fewer than 16 photos.
    """
    held = min(600, max(8, len(photos) // 50))
    if len(photos) < 2 * held:
        raise TrainingError(
            f"{counted(len(photos), 'photo', 'is', 'are')} too few to hold {held} out for validation: use 16 or more"
        )
    permutation = np.random.default_rng([seed, 2]).permutation(len(photos))

    def part(rows: np.ndarray) -> PackedPhotos:
        names = tuple(photos.keys[row] for row in rows), tuple(photos.labels[row] for row in rows)
        return PackedPhotos(photos.pixels[rows], *names, photos.fingerprint)

    return part(np.sort(permutation[held:])), part(np.sort(permutation[:held]))
