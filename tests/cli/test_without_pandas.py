"""No command of every day imports pandas, which pyarrow does for some conversions where it is installed."""

import subprocess
import sys

import pytest


def test_a_build_a_query_and_a_fill_leave_it_alone(crop_folder, photo, mask, tmp_path):
    pytest.importorskip("pandas")
    code = (
        "import sys\nfrom cli.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\nassert 'pandas' not in sys.modules"
    )
    index = tmp_path / "a.ceret"
    for arguments in (
        ("index", crop_folder, "--out", index, "--features", "thumbnail", "--kind", "none"),
        ("query", photo, "--mask", mask, "--index", index, "-k", "3"),
        ("complete", photo, "--mask", mask, "--index", index, "--out", tmp_path / "out", "--method", "retrieval"),
    ):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
