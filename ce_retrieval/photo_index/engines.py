"""Where the vectors of an open index are searched."""

from dataclasses import dataclass

from ce_retrieval.errors import SettingsError, shown


@dataclass(frozen=True)
class Engine:
    """Where the vectors of an open index are searched; it checks itself.

    Attributes
    ----------
    device : str
        "cpu"; "cuda", all GPUs; "cuda:N", one; or "auto", all GPUs, or the CPU where FAISS can use none.

    Raises
    ------
    SettingsError
        The device has another name.
    EngineError
        The device is not there, or FAISS is not installed or cannot use it.
    """

    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.device == "cpu":
            return
        from indexes.faiss_door import DEVICE, cards_of

        if not isinstance(self.device, str) or not DEVICE.fullmatch(self.device):
            raise SettingsError(f"`device` is {shown(self.device)}: choose auto, cpu, cuda or cuda:N")
        cards_of(self.device)
