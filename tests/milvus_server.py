"""milvus-lite as a server, in the place of a cluster: started, stopped, killed and started again by tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pymilvus", reason="needs pymilvus: pip install '.[milvus]'")
pytest.importorskip("milvus_lite", reason="needs milvus-lite: pip install '.[milvus]'")


class Server:
    """A server with its data in a folder; the address stays the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.folder, self.process = folder, None
        self.address = f"http://localhost:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "milvus_lite",
            "server",
            "--data-dir",
            str(self.folder),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("localhost", self.port), 1):
                return
            assert self.process.poll() is None, "milvus-lite has not started"
            time.sleep(0.1)
        raise AssertionError("milvus-lite does not answer")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self) -> None:
        """Let it answer no more, without a word."""
        os.kill(self.process.pid, signal.SIGSTOP)
