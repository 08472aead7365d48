import errno
import subprocess
import sys

import pytest

from hemorrhage.errors import EXIT_RESOURCE, ScanError
from hemorrhage.files import claim_folder, folder_replaced, sha256_of, write_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def half(part):
        part.write_text("ne")
        raise ValueError("killed in between")

    with pytest.raises(ValueError, match="killed"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_with_its_exit_code(tmp_path):
    def full(part):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ScanError, match=r"E_DISK.*is full") as caught:
        write_atomically(tmp_path / "x", full)
    assert caught.value.exit_code == EXIT_RESOURCE


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "case"
    with folder_replaced(target) as part:
        (part / "a").write_text("1")

    def fails():
        with folder_replaced(target) as part:
            (part / "a").write_text("2")
            raise RuntimeError("killed in between")

    with pytest.raises(RuntimeError, match="killed"):
        fails()
    assert (target / "a").read_text() == "1"
    with folder_replaced(target) as part:
        (part / "b").write_text("3")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]


def test_the_hash_of_a_folder_ignores_names_and_sees_content(tmp_path):
    for folder, names in (("p", "ab"), ("q", "yx")):
        (tmp_path / folder).mkdir()
        for name, text in zip(names, ("one", "two"), strict=True):
            (tmp_path / folder / name).write_text(text)
    assert sha256_of(tmp_path / "p") == sha256_of(tmp_path / "q")
    (tmp_path / "q" / "x").write_text("Two")
    assert sha256_of(tmp_path / "p") != sha256_of(tmp_path / "q")


def test_the_hash_of_a_file_is_sha256(tmp_path):
    (tmp_path / "abc").write_text("abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_folder_is_one_process_s_until_it_ends(tmp_path):
    take = f"from pathlib import Path; from hemorrhage.files import claim_folder; claim_folder(Path({str(tmp_path)!r}))"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{take}; print('taken', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "taken\n"
    with pytest.raises(ScanError, match="E_BUSY"):
        claim_folder(tmp_path)
    holder.communicate("\n")
    claim_folder(tmp_path)
    claim_folder(tmp_path)  # its own
    assert subprocess.run([sys.executable, "-c", take], capture_output=True, check=False).returncode == 1
