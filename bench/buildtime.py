"""The scenario `build`: what a program with everything costs to compile."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchkit import HERE, Failed

# A name each, like the stacks; nothing to compile beforehand.
PROGRAMS = {"peerage": "peerage", "rust-libp2p": "rust-libp2p", "floor": "floor"}


def build_time(stack):
    """One clean release build, then one after main.rs was touched; sources are downloaded before."""
    folder = HERE / "build" / PROGRAMS[stack]
    cargo(["fetch", "--quiet"], folder, None)
    with tempfile.TemporaryDirectory(prefix="peerage-bench-") as target:
        began = time.monotonic()
        cpu = children_cpu()
        said = cargo(["build", "--release"], folder, target)
        seconds, cpu = time.monotonic() - began, children_cpu() - cpu
        binary = Path(target) / "release" / f"build-{stack}"
        size = binary.stat().st_size
        stripped = Path(target) / "stripped"
        if shutil.which("strip"):
            subprocess.run(["strip", "-o", stripped, binary], check=True)
            size = stripped.stat().st_size
        main = next(path for path in (folder / "main.rs", folder.parent / "main.rs") if path.exists())
        os.utime(main)
        began = time.monotonic()
        cargo(["build", "--release"], folder, target)
        return {
            "value": seconds,
            "ops": 1,
            "client_cpu_s": cpu,
            "extra": {
                "crates": len(re.findall(r"^ *Compiling ", said, re.MULTILINE)),
                "stripped_mib": size / (1 << 20),
                "touch_main_s": time.monotonic() - began,
            },
        }


def children_cpu():
    return sum(os.times()[2:4])


def cargo(words, folder, target):
    env = dict(os.environ, CARGO_TERM_COLOR="never")
    if target:
        env["CARGO_TARGET_DIR"] = target
    done = subprocess.run(["cargo", *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"cargo {words[0]}: {done.stderr.strip()[-300:]}")
    return done.stderr
