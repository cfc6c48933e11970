"""One call between two network namespaces, each on a core of its own: python -m benchmarks.two_hosts [--help].

Needs root on Linux. Two processes with nothing in common but a pair of virtual Ethernet ends. What went over it is
counted by the kernel; the 14 bytes of Ethernet in front of each packet are taken off.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sender.demo import figures_of
from talkcodec.sample import sample_path

NAMES = ("talkcodec-a", "talkcodec-b")
ADDRESSES = ("10.211.0.1", "10.211.0.2")
ETHERNET_BYTES = 14
PORT = 8088


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}; root is needed, and Linux with iproute2")
    return done.stdout


@contextmanager
def two_hosts() -> Iterator[None]:
    """The two namespaces, joined; gone afterwards."""
    try:
        for name in NAMES:
            _do("ip", "netns", "add", name)
        _do("ip", "link", "add", "eth0", "netns", NAMES[0], "type", "veth", "peer", "name", "eth0", "netns", NAMES[1])
        for name, address in zip(NAMES, ADDRESSES, strict=True):
            for link in ("lo", "eth0"):
                _do("ip", "-n", name, "link", "set", link, "up")
            _do("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        yield
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _start(host: int, cores: list[int], program: str, *arguments: str) -> "subprocess.Popen[str]":
    core = str(cores[host % len(cores)])
    command = ["ip", "netns", "exec", NAMES[host], "taskset", "-c", core, sys.executable, "-m", program, *arguments]
    return subprocess.Popen([*command, "--quiet"], stdout=subprocess.PIPE, text=True)


def _sent_bytes(host: int) -> int:
    """By this host, in IP packets."""
    link = json.loads(_do("ip", "-n", NAMES[host], "-s", "-j", "link", "show", "eth0"))[0]
    sent = link["stats64"]["tx"]
    return int(sent["bytes"]) - ETHERNET_BYTES * int(sent["packets"])


def call(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Hold the call; the figures, and what the kernel counted in the middle of it."""
    cores = sorted(os.sched_getaffinity(0))
    key, stats = secrets.token_urlsafe(12), [folder / "sender.json", folder / "receiver.json"]
    receiver = _start(
        1, cores, "receiver", "--host", ADDRESSES[1], "--port", str(PORT), "--key", key, "--sink", "none", "--once",
        "--stats", str(stats[1]),
    )  # fmt: skip
    try:
        assert receiver.stdout is not None
        receiver.stdout.readline()  # it waits
        seconds = arguments.seconds + arguments.warm_up + 2
        sender = _start(
            0, cores, "sender", f"http://{ADDRESSES[1]}:{PORT}/whip", "--key", key, "--source", str(arguments.source),
            "--loop", "--seconds", str(seconds), "--budget", str(arguments.budget), "--stats", str(stats[0]),
        )  # fmt: skip
        while not any('"units": 0' not in line for line in _lines(stats[0])) and sender.poll() is None:
            time.sleep(0.2)
        time.sleep(arguments.warm_up)
        before, began_s = [_sent_bytes(host) for host in (0, 1)], time.monotonic()
        time.sleep(arguments.seconds)
        after, elapsed_s = [_sent_bytes(host) for host in (0, 1)], time.monotonic() - began_s
        code = sender.wait(60) or receiver.wait(60)
    finally:
        receiver.terminate()
    if code:
        raise SystemExit(f"the call failed with exit code {code}")
    rows = [[json.loads(line) for line in _lines(path)] for path in stats]
    counted = [(late - early) * 8 / 1000 / elapsed_s for early, late in zip(before, after, strict=True)]
    return {
        **figures_of(*rows), "kernel_up_kbps": round(counted[0], 2), "kernel_down_kbps": round(counted[1], 2),
        "shown_fps": rows[1][-1]["shown_fps"], "generate_ms": rows[1][-1]["generate_ms"], "cores": cores,
    }  # fmt: skip


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.two_hosts", description=__doc__)
    parser.add_argument("--source", type=Path, default=sample_path(), help="a talking head with sound")
    parser.add_argument("--budget", type=float, default=20.0, help="kbit/s")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=8.0)
    arguments = parser.parse_args()
    with two_hosts(), tempfile.TemporaryDirectory() as folder:
        print(json.dumps(call(arguments, Path(folder)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
