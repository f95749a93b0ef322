"""Ray describes photos as threads do: the same bytes, whatever dies; and its errors are one line. Skipped without Ray."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ce_retrieval.errors import ClusterError, InstallationError, SettingsError
from ce_retrieval.photo_index import IndexSettings, build_index, ray_engine, read_manifest
from ce_retrieval.photo_index.ray_worker import other_versions

ROOT = Path(__file__).resolve().parents[3]
# Ray itself leaves files open, and warns of its own changes.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def ray():
    """An embedded Ray of two cores, started once for all tests."""
    found = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{path}"
    found.init("local", num_cpus=2, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False)
    yield found
    found.shutdown()
    os.environ["PYTHONPATH"] = path


def with_ray(settings):
    return dataclasses.replace(settings, engine="ray")


def workers():
    """The processes of Ray that describe photos."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"MapWorker" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has ended
            continue
    return found


def test_the_index_is_that_of_a_local_build(ray, photos, tmp_path, small_segments, helpers):
    (photos / "bad.png").write_bytes(b"no photo")
    (photos / "odd" / "copy.png").write_bytes(helpers.encoded(2))
    sources = [
        photos,
        helpers.write_tar(tmp_path / "a.tar", range(40, 50)),
        helpers.write_table(tmp_path / "b.parquet", [60]),
    ]
    settings = dataclasses.replace(helpers.SETTINGS, skip_duplicates=True, places=True)
    expected, out = tmp_path / "expected.ceret", tmp_path / "out.ceret"
    build_index(sources, expected, settings)
    told = []
    report = build_index(sources, out, with_ray(settings), lambda *counts: told.append(counts))
    assert helpers.contents(out) == helpers.contents(expected)
    assert (report.count, len(report.skipped), len(report.duplicates), told[-1]) == (41, 1, 1, (43, 43))


def test_a_worker_that_is_killed_is_replaced(ray, tmp_path, small_segments, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(200))
    expected, out = tmp_path / "expected.ceret", tmp_path / "out.ceret"
    build_index([photos], expected, helpers.SETTINGS)
    killed, over = [], threading.Event()

    def kill():
        while not over.is_set() and len(killed) < 2:
            for process in workers():
                if process not in killed:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
                    break
            over.wait(0.2)

    killer = threading.Thread(target=kill)
    killer.start()
    build_index([photos], out, with_ray(helpers.SETTINGS))
    over.set()
    killer.join()
    assert killed, "no worker was met"
    assert helpers.contents(out) == helpers.contents(expected)


def test_a_stopped_build_goes_on_after_what_was_written(ray, tmp_path, small_segments, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(60))
    expected, out = tmp_path / "expected.ceret", tmp_path / "out.ceret"
    build_index([photos], expected, helpers.SETTINGS)

    def stop(done, total):
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index([photos], out, with_ray(helpers.SETTINGS), stop)
    assert len(read_manifest(out).segments) == 2
    told = []
    report = build_index([photos], out, with_ray(helpers.SETTINGS), lambda *counts: told.append(counts))
    assert (report.added, report.present, told[0]) == (44, 16, (20, 60)), "finished segments are not described again"
    assert helpers.contents(out) == helpers.contents(expected)


def test_windows_follow_each_other(ray, photos, tmp_path, small_segments, helpers, monkeypatch):
    monkeypatch.setattr(ray_engine, "WINDOW", 3)
    expected, out = tmp_path / "expected.ceret", tmp_path / "out.ceret"
    build_index([photos], expected, helpers.SETTINGS)
    build_index([photos], out, with_ray(helpers.SETTINGS))
    assert helpers.contents(out) == helpers.contents(expected)


def test_learned_features_have_the_same_bits(ray, photos, tmp_path, small_segments, helpers, tiny_weights):
    settings = IndexSettings(features=f"encoder:{tiny_weights}", size=32, workers=2, kind="none")
    expected, out = tmp_path / "expected.ceret", tmp_path / "out.ceret"
    build_index([photos], expected, settings)
    build_index([photos], out, with_ray(settings))
    assert helpers.contents(out) == helpers.contents(expected)


def test_a_worker_with_other_libraries_or_weights_is_an_error_of_one_line(
    ray, photos, tmp_path, small_segments, helpers, monkeypatch
):
    from ce_retrieval.photo_index import ray_engine

    def build(**changes):
        job_of = ray_engine.job_of
        with monkeypatch.context() as patched:
            patched.setattr(ray_engine, "job_of", lambda *given: dataclasses.replace(job_of(*given), **changes))
            with pytest.raises(ClusterError) as told:
                build_index([photos], tmp_path / "out.ceret", with_ray(helpers.SETTINGS))
        assert "\n" not in str(told.value)
        return str(told.value)

    line = build(libraries={"pillow": "1.0", "no-such-library": "2"})
    assert "has pillow " in line and "and not 1.0, no-such-library none and not 2: install the same ceret there" in line
    assert "a Ray worker has other weights than this machine" in build(weights_sha256="ab" * 32)
    assert build_index([photos], tmp_path / "out.ceret", helpers.SETTINGS).count == 30, "the next run is not harmed"


def test_a_worker_without_the_package_is_an_error_of_one_line(photos, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    shadow = tmp_path / "shadow" / "ce_retrieval"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ImportError('no such package')")
    # The command has its modules already when its workers are started with another path.
    code = (
        "import os, sys, ce_retrieval.photo_index, cli.index\n"
        f"os.environ['PYTHONPATH'] = {str(shadow.parent)!r}\n"
        "from cli.main import run\n"
        "run()"
    )
    words = [
        "index",
        photos,
        "--out",
        tmp_path / "out.ceret",
        "--features",
        "thumbnail:8",
        "--size",
        "32",
        "--kind",
        "none",
    ]
    command = [sys.executable, "-c", code, *map(str, words), "--engine", "ray", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert len(errors) == 1 and "cannot import ceret (no such package): install the same ceret there" in errors[0]


def test_no_ray_is_an_error_of_one_line_before_any_work(photos, tmp_path, helpers, monkeypatch):
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: None)
    with pytest.raises(InstallationError, match=r"engine ray needs Ray: pip install '.\[ray\]'"):
        build_index([photos], tmp_path / "out.ceret", with_ray(helpers.SETTINGS))
    assert not (tmp_path / "out.ceret").exists()


def test_a_cluster_that_is_not_there(photos, tmp_path, helpers, monkeypatch):
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: name)
    monkeypatch.setattr(ray_engine, "REACH_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        other = silent.getsockname()[1]
        for engine, error, match in (
            (
                f"ray://127.0.0.1:{port}",
                ClusterError,
                rf"no Ray cluster answers at 127.0.0.1:{port} \(connection refused",
            ),
            (f"ray://127.0.0.1:{other}", ClusterError, "no Ray cluster answers at .* \\(timed out\\): start one with"),
        ):
            with pytest.raises(error, match=match) as told:
                build_index([photos], tmp_path / "out.ceret", dataclasses.replace(helpers.SETTINGS, engine=engine))
            assert "\n" not in str(told.value) and not (tmp_path / "out.ceret").exists()


@pytest.mark.parametrize(
    "engine", ["spark", "ray:", "ray://", "ray://somewhere", "ray://:6379", "ray://a:0", "ray://a:65536"]
)
def test_an_engine_that_is_none_is_told_when_it_is_given(engine):
    with pytest.raises(SettingsError, match=f"`engine` is '{engine}': expected local, ray or ray://HOST:PORT"):
        IndexSettings(engine=engine)
    assert IndexSettings(engine="ray://[::1]:65535").engine == "ray://[::1]:65535"


def test_libraries_are_compared():
    import numpy as np

    assert other_versions({"numpy": np.__version__}) == ""
    assert other_versions({"numpy": "0.1"}) == f"numpy {np.__version__} and not 0.1"
