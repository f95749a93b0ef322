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
    store : str or None
        A Milvus that searches instead: "http://host:19530", or "milvus:FOLDER.db".

    Raises
    ------
    SettingsError
        The device has another name, the store is not a text, or both are given.
    EngineError
        The device is not there, or FAISS is not installed or cannot use it.
    """

    device: str = "cpu"
    store: str | None = None

    def __post_init__(self) -> None:
        if self.store is not None:
            check_store(self.store)
        if self.device == "cpu":
            return
        from indexes.faiss_door import DEVICE, cards_of

        if not isinstance(self.device, str) or not DEVICE.fullmatch(self.device):
            raise SettingsError(f"`device` is {shown(self.device)}: choose auto, cpu, cuda or cuda:N")
        if self.store is not None:
            raise SettingsError(f"`device` is {self.device}, but a `store` searches by itself: leave one of them out")
        cards_of(self.device)


def check_store(store: object) -> None:
    """Raise SettingsError for an address that is not a text."""
    if not isinstance(store, str):
        raise SettingsError(f"`store` is {shown(store)}: expected a text, http://HOST:PORT or milvus:FOLDER.db")
