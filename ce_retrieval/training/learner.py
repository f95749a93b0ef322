"""One step of training: the networks, their optimisers and averaged weights, and all of these as plain tensors."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.build import build_network
from ce_retrieval.models.checkpoint import restore
from ce_retrieval.models.discriminator import Discriminator
from ce_retrieval.models.precision import has_bfloat16
from ce_retrieval.training.config import Engine, TrainConfig
from ce_retrieval.training.losses import (
    discriminator_loss,
    generator_loss,
    joint_loss,
    loss_weights,
    reconstruction_loss,
)
from ce_retrieval.training.muon import Muon, kernels
from ce_retrieval.training.team import Team


class Learner:
    """Networks under training: `update` makes one step; `tensors` and `load` save and restore their state.

    Parameters
    ----------
    config, engine : what is trained, and how a step is computed.
    device : where the networks are.
    team : the processes that share a batch.

    Attributes
    ----------
    network : the network under training.
    adversary : its adversary in a joint run, else None.
    step : number of steps made.
    """

    def __init__(self, config: TrainConfig, device: torch.device, engine: Engine, team: Team) -> None:
        self.config, self.device, self.engine, self.team = config, device, engine, team
        layout = torch.channels_last if engine.channels_last else torch.contiguous_format
        self.network = build_network(config.network, seed=config.seed).to(device=device, memory_format=layout).train()
        self.adversary = self._adversary(layout) if config.adversarial else None
        self.averaged = {k: v.detach().clone() for k, v in self.network.state_dict().items()} if config.average else {}
        self.step = 0
        self.optimisers = {"network": self._optimisers()}
        if self.adversary is not None:
            rate = config.rate * config.discriminator_rate
            self.optimisers["adversary"] = [self._adam(self.adversary.parameters(), rate)]
        self._seeded = any(isinstance(module, nn.Dropout) and module.p > 0 for module in self.network.modules())
        self._forward: nn.Module = torch.compile(self.network) if engine.compiled else self.network
        if team.size > 1:
            self._forward = nn.parallel.DistributedDataParallel(self._forward, broadcast_buffers=False)

    def _adam(self, parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        """Return Adam, or AdamW for weight decay; `set_rates` reads "initial_lr"."""
        kind = torch.optim.AdamW if self.config.weight_decay else torch.optim.Adam
        options = {"betas": (self.config.beta1, 0.999), "weight_decay": self.config.weight_decay}
        return kind([{"params": list(parameters), "initial_lr": rate}], rate, fused=self.engine.fused, **options)

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Return Adam for all parameters, or Muon for the kernels and Adam for the rest."""
        config = self.config
        if not config.muon_rate:
            return [self._adam(self.network.parameters(), config.rate)]
        matrices = kernels(self.network)
        chosen = {id(parameter) for parameter in matrices}
        rest = [parameter for parameter in self.network.parameters() if id(parameter) not in chosen]
        muon = Muon(matrices, config.muon_rate, config.weight_decay, compiled=self.engine.compiled)
        muon.param_groups[0]["initial_lr"] = config.muon_rate
        return [self._adam(rest, config.rate), muon]

    def _adversary(self, layout: torch.memory_format) -> Discriminator:
        """Return an adversary for the part that the network predicts."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed + 1)
            return Discriminator(self.config.predicted_side).to(device=self.device, memory_format=layout).train()

    def update(self, photos: Tensor, holes: Tensor, progress: float) -> dict[str, Tensor]:
        """Make one step.

        Parameters
        ----------
        photos, holes : a batch of `Batches.draw`.
        progress : share of the run that is done, in [0, 1]; sets the learning rates.

        Returns
        -------
        The losses before the step, 0-dimensional on the device: `reconstruction`, and with an adversary `adversarial` and
        `discriminator`.
        """
        self.set_rates(progress)
        losses, total = self.losses(photos, holes)
        self._apply("network", self.network, total, average=False)
        if self.averaged:
            self._average()
        self.step += 1
        return losses

    def losses(self, photos: Tensor, holes: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return (losses to report, loss to minimise). An adversary makes its own step first."""
        config = self.config
        with self._random(), self._autocast():
            predicted = self._forward(photos, holes)
        counted = holes if config.masks != "none" else torch.ones_like(holes)
        weights = self.network.region(loss_weights(counted, config.overlap, config.overlap_weight))
        target = self.network.region(photos)
        reconstruction = reconstruction_loss(predicted, target, weights, power=config.power)
        report = {"reconstruction": reconstruction.detach()}
        if self.adversary is None:
            return report, reconstruction
        real, fake = self.network.judged(photos, counted, predicted)
        report["discriminator"] = self.adversary_step(real, fake.detach())
        self.adversary.requires_grad_(False)
        with self._autocast():
            adversarial = generator_loss(self.adversary(fake))
        self.adversary.requires_grad_(True)
        report["adversarial"] = adversarial.detach()
        return report, joint_loss(reconstruction, adversarial, config.adversarial)

    def adversary_step(self, real: Tensor, fake: Tensor) -> Tensor:
        """Make one step of the adversary on photos (B, 3, T, T); return its loss before that."""
        assert self.adversary is not None
        with self._autocast():
            loss = discriminator_loss(self.adversary(real), self.adversary(fake))
        self._apply("adversary", self.adversary, loss, average=True)
        return loss.detach()

    def _apply(self, name: str, network: nn.Module, loss: Tensor, *, average: bool) -> None:
        """Move a network along the gradient of its loss; average: over the processes."""
        loss.backward()
        if average:  # DistributedDataParallel averages those of the network itself
            self.team.average_gradients(network.parameters())
        if self.config.clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.config.clip, foreach=True)
        for optimiser in self.optimisers[name]:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def set_rates(self, progress: float) -> None:
        """Set the learning rates for the next step; progress: share of the run that is done."""
        config = self.config
        factor = 0.5 * (1 + math.cos(math.pi * min(1.0, progress))) if config.cosine else 1.0
        if config.warmup:
            factor *= min(1.0, (self.step + 1) / config.warmup)
        for group in (group for part in self.optimisers.values() for one in part for group in one.param_groups):
            group["lr"] = group["initial_lr"] * factor

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the current ones."""
        # A young average forgets faster: else the random first weights would stay in it for long.
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        floats = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.averaged[name] for name in floats], [state[name] for name in floats], 1 - decay)
        for name in state.keys() - set(floats):
            self.averaged[name].copy_(state[name])

    def _autocast(self) -> torch.autocast:
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.engine.bf16 and has_bfloat16(kind))

    @contextlib.contextmanager
    def _random(self) -> Iterator[None]:
        """Seed the process's generator, which dropout draws from, by the step; restore it afterwards."""
        if not self._seeded:
            yield
            return
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed((self.config.seed * 1_000_003 + self.step) * 64 + self.team.rank)
            yield

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to validate and to keep: the averaged ones where there are any."""
        return self.averaged or self.network.state_dict()

    def tensors(self) -> dict[str, Tensor]:
        """Return by name all that the next step depends on, except the network's own weights."""
        found = {f"averaged.{name}": value for name, value in self.averaged.items()}
        if self.adversary is not None:
            found |= {f"adversary.{name}": value for name, value in self.adversary.state_dict().items()}
        for part, optimisers in self.optimisers.items():
            for name, parameter in self._part(part).named_parameters():
                for key, value in _owner(optimisers, parameter).state.get(parameter, {}).items():
                    found[f"optimiser.{part}.{name}.{key}"] = value
        return found

    def begin_from(self, weights: dict[str, Tensor], *, name: str) -> None:
        """Start from trained weights instead of random ones; CheckpointError where they are of another network."""
        restore(self.network, weights, name=name)
        for key, value in self.averaged.items():
            value.copy_(self.network.state_dict()[key])

    def load(self, network: dict[str, Tensor], rest: dict[str, Tensor], step: int, *, name: str) -> None:
        """Restore the state of `network.state_dict()` and `tensors()`; CheckpointError where it is of another learner."""
        restore(self.network, network, name=name)
        expected = {key for key in self.tensors() if not key.startswith("optimiser.")}
        if expected != {key for key in rest if not key.startswith("optimiser.")}:
            raise CheckpointError(f"{name}: its adversary or averaged weights are not those of this configuration")
        for key, value in self.averaged.items():
            value.copy_(rest[f"averaged.{key}"])
        if self.adversary is not None:
            prefix = "adversary."
            part = {key.removeprefix(prefix): value for key, value in rest.items() if key.startswith(prefix)}
            restore(self.adversary, part, name=name)
        for part_name in self.optimisers:
            self._load_optimisers(part_name, rest, name)
        self.step = step

    def _load_optimisers(self, part: str, rest: dict[str, Tensor], name: str) -> None:
        """Restore the optimisers of one part, "network" or "adversary"."""
        for own, parameter in self._part(part).named_parameters():
            optimiser = _owner(self.optimisers[part], parameter)
            moments = ("momentum",) if isinstance(optimiser, Muon) else ("exp_avg", "exp_avg_sq")
            try:
                state = {key: rest[f"optimiser.{part}.{own}.{key}"] for key in moments}
                if not isinstance(optimiser, Muon):
                    # The fused optimiser keeps its step count beside the parameter, the plain one on the CPU.
                    count = rest[f"optimiser.{part}.{own}.step"]
                    state["step"] = count.to(self.device) if self.engine.fused else count
            except KeyError as error:
                raise CheckpointError(f"{name}: {error.args[0]} is missing; resume from another checkpoint") from None
            for key in moments:
                state[key] = torch.empty_like(parameter).copy_(state[key])  # in the parameter's memory layout
            optimiser.state[parameter] = state

    def _part(self, name: str) -> nn.Module:
        """Return the module of a part."""
        if name == "network":
            return self.network
        assert self.adversary is not None
        return self.adversary


def _owner(optimisers: Sequence[torch.optim.Optimizer], parameter: nn.Parameter) -> torch.optim.Optimizer:
    """Return the optimiser of a parameter."""
    for optimiser in optimisers:
        if any(parameter is one for group in optimiser.param_groups for one in group["params"]):
            return optimiser
    raise AssertionError("every parameter has an optimiser")
