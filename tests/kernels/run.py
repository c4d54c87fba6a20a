#!/usr/bin/env python3
"""Runs the suites that compare the model with Linux on other kernels and under other settings.

    run.py [--programs N] [--optional] PLACE...
    run.py --facts PAGE PLACE...

A PLACE is a kernel, a setting, or both as `6.1/bbr`. A kernel is `running` (the host's kernel,
the default) or a Debian series, `6.1` or `6.12`, run under QEMU; the settings are listed in
SETTINGS, and on the running kernel they are those of a network namespace. `kernels` is every
kernel, `settings` is every setting once.

Kernels come from the Debian archive through apt, and are unpacked below target/kernels, not
installed. A VM has no KVM and no disk: the test programs and the libraries they load are in its
initramfs under the same paths as here. It has one CPU: with two emulated, one in 40 boots fails in
code that the other CPU is patching. The VM's output on the serial console is read until a
deadline.

With --facts no suite runs: each kernel runs the experiments of `epollite study`, and what they show
is written into PAGE, between the marks of FACTS.

Exits 0 when every suite passed, 1 when one failed, and 3 when QEMU, a kernel or a namespace is
not available; with --optional that is one line and no failure.
"""

import argparse
import gzip
import json
import lzma
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Debian package names, by series; the newest one in the archive is used.
SERIES = {
    "6.1": r"linux-image-6\.1\.0-[0-9]+-cloud-amd64",
    "6.12": r"linux-image-6\.12\.[0-9]+\+deb[0-9]+-cloud-amd64",
}
# Settings that commonly differ between machines, in the syntax of sysctl(8).
SETTINGS = {
    "cubic": ["net.ipv4.tcp_congestion_control=cubic"],
    "reno": ["net.ipv4.tcp_congestion_control=reno"],
    "bbr": ["net.ipv4.tcp_congestion_control=bbr"],
    "queue-10": ["net.unix.max_dgram_qlen=10"],
    "queue-512": ["net.unix.max_dgram_qlen=512"],
    "small-tcp-wmem": ["net.ipv4.tcp_wmem=4096 4096 16384"],
    "small-tcp-rmem": ["net.ipv4.tcp_rmem=4096 4096 16384"],
    "disable-ipv6": ["net.ipv6.conf.all.disable_ipv6=1"],
    "bindv6only": ["net.ipv6.bindv6only=1"],
    "nonlocal-bind": ["net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1"],
    "without-ipv6": [],
}
# Settings passed to a VM at boot, and settings that need a kernel module.
BOOT_OPTIONS = {"without-ipv6": " ipv6.disable=1"}
MODULES = {"bbr": "kernel/net/ipv4/tcp_bbr.ko"}
# A namespace may not select every congestion control: two of three are tested in a VM.
IN_VM = {"cubic": "6.12/cubic", "bbr": "6.1/bbr", "without-ipv6": "6.12/without-ipv6"}
GROUPS = {
    "kernels": ["running", *SERIES],
    "settings": [IN_VM.get(setting, setting) for setting in SETTINGS],
}
TESTS = [
    "conformance", "conformance_random", "linux", "reactor", "servers", "faults", "study",
    "program",
]
# Tools used by suites.sh and the tests.
COMMANDS = "sh mount mkdir ip timeout cut grep tail paste basename sed cat rm sleep"
# The part of a page that is written with --facts.
FACTS = ("<!-- facts: written by `make kernels` -->", "<!-- facts: end -->")
# How the one long line begins that `epollite study --all --json` prints.
OBJECT = '{"kernel":'
FOLDER = Path("target/kernels")
SUITES = Path(__file__).with_name("suites.sh")
# A VM takes 15 ms for a random program, and four times as long when the host is busy.
PROGRAM_SECONDS = 0.1
# A suite and a VM may take so long, and the time for the programs.
SUITE_SECONDS = 300
RUN_SECONDS = 900

# The console is slower than the reset: one second before it for the last lines.
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DISPOSABLE=1 {environment}
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts && mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
cd {here}
{set} && sh {suites} {programs}
echo "VM exits with $?"
sleep 1
echo b > /proc/sysrq-trigger
sleep 60
"""


class Unavailable(Exception):
    """Something outside of this repository is not available."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=20_000, help="of conformance_random")
    parser.add_argument("--optional", action="store_true", help="without QEMU: succeed")
    parser.add_argument("--facts", type=Path, metavar="PAGE", help="write a table instead")
    parser.add_argument("places", nargs="+", metavar="PLACE")
    args = parser.parse_args()
    places = [place for word in args.places for place in GROUPS.get(word, [word])]
    programs = built([] if args.facts else TESTS)
    words = ["--facts"] if args.facts else []
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = False
    runs = []
    for place in places:
        try:
            runs.append(prepare(place, programs, args.programs, words))
        except Unavailable as why:
            print(f"{place}: not run: {why}", flush=True)
            missing = True
    if args.facts:
        if missing:
            sys.exit(3)
        write_facts(args.facts, [facts(what) for what in runs])
        return
    # A VM uses one host CPU.
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count())) as pool:
        failed = [code != 0 for code in pool.map(run, runs)]
    sys.exit(1 if any(failed) else 3 if missing and not args.optional else 0)


@dataclass
class Run:
    name: str
    command: list
    environment: dict
    seconds: int
    is_vm: bool


def prepare(place, programs, count, words):
    """The command that runs every suite in a place; `words` come before the programs."""
    series, _, setting = place.rpartition("/") if place in SETTINGS else place.partition("/")
    if series not in {"", "running", *SERIES} or setting not in {"", *SETTINGS}:
        raise SystemExit(f"run.py: there is no place {place!r}")
    with_setting = f" with {setting}" if setting else ""
    program_seconds = int(count * PROGRAM_SECONDS)
    suite_seconds, seconds = SUITE_SECONDS + program_seconds, RUN_SECONDS + program_seconds
    environment = {"SIM_PROGRAMS": str(count), "SUITE_SECONDS": str(suite_seconds)}
    if series not in SERIES:
        enter = namespace(setting) if setting else []
        suites = [*enter, "sh", str(SUITES), *words, *map(str, programs)]
        return Run(os.uname().release + with_setting, suites, environment, seconds, is_vm=False)
    qemu = emulator()
    name, folder = kernel(series)
    initramfs = FOLDER / f"initramfs-{place.replace('/', '-')}.gz"
    pack(initramfs, folder, programs, environment, setting, words)
    boot = [
        qemu, "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024", "-nodefaults",
        "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(image(folder)),
        "-initrd", str(initramfs),
        "-append", "console=ttyS0 quiet panic=-1" + BOOT_OPTIONS.get(setting, ""),
    ]
    return Run(name + with_setting, boot, {}, seconds, is_vm=True)


def run(what):
    """Runs it, prints its lines and the result, and returns the exit code of the suites."""
    lines, code = output(what)
    if what.is_vm:
        if not any(line.startswith("suite ") for line in lines):
            print(f"{what.name}: did not boot: once more", flush=True)
            lines, _ = output(what)
        ends = [re.match(r"VM exits with (\d+)", line) for line in lines]
        code = next((int(end[1]) for end in ends if end), 1)
    print(f"kernel {what.name}: {'FAILED' if code else 'ok'}", flush=True)
    return code


def namespace(setting):
    """The prefix that runs a command in its own network namespace, with a setting."""
    # An unprivileged user becomes root of a user namespace, which may set them.
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    script = f"ip link set lo up && {sysctl(setting)}"
    probe = [*unshare, "sh", "-c", script]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(done.stderr.strip())
    return [*unshare, "sh", "-c", script + ' && exec "$@"', "sh"]


def sysctl(setting):
    """The shell commands for a setting."""
    pairs = [word.split("=") for word in SETTINGS.get(setting, [])]
    files = [(value, "/proc/sys/" + key.replace(".", "/")) for key, value in pairs]
    return " && ".join(["true", *(f"echo {shlex.quote(value)} > {path}" for value, path in files)])


def facts(what):
    """What the experiments show on a kernel: the object that `epollite study --json` prints."""
    for _ in range(2):
        lines, _ = output(what)
        objects = [line for line in lines if line.startswith(OBJECT)]
        if objects:
            return json.loads(objects[0])
        print(f"{what.name}: no facts", flush=True)
    raise SystemExit(1)


def write_facts(page, kernels):
    """Writes two tables between the marks of a page: what differs, and what every kernel shows."""
    kernels.sort(key=lambda kernel: [int(number) for number in kernel["version"].split(".")])
    versions = " | ".join(kernel["version"] for kernel in kernels)
    rule = "---|" * len(kernels)
    same, different = [], []
    for experiments in zip(*(kernel["experiments"] for kernel in kernels)):
        name, key = experiments[0]["name"], experiments[0]["key_step"]
        for steps in zip(*(experiment["steps"] for experiment in experiments)):
            call, expected = cell(steps[0]["call"]), steps[0]["expected"]
            # A range, or one of several results, differs between two runs on one kernel too.
            is_open = expected == "?" or ".." in expected or " or " in expected
            results = [shown(step, is_open) for step in steps]
            row = f"| [{name}](study/{name}.md) | {call} | {' | '.join(map(cell, results))} |"
            since = re.search(r"since ([0-9.]+)", expected)
            # A kernel that skips an experiment shows nothing.
            if len(set(results) - {"-"}) > 1 and not is_open:
                different.append(f"{row} {since[1] if since else '-'} |")
            if steps[0]["step"] == key:
                same.append(f"{row} {cell(steps[0]['people'])} |")
    text = [
        FACTS[0],
        "Results that differ, with the version of the change:",
        "",
        f"| experiment | call | {versions} | since |",
        f"|---|---|{rule}---|",
        *different,
        "",
        f"The fact of each of the {len(same)} experiments, and what most people expect. A range is",
        "what the tests allow: the number may differ between two runs.",
        "",
        f"| experiment | call | {versions} | people expect |",
        f"|---|---|{rule}---|",
        *same,
        FACTS[1],
    ]
    before, rest = page.read_text().split(FACTS[0])
    page.write_text(before + "\n".join(text) + rest.split(FACTS[1])[1])
    print(f"{page}: {len(different)} results differ, {len(same)} experiments")


def shown(step, is_open):
    """The result of a step, or what is expected of it, where the result differs between runs."""
    seen = step["linux"]
    if seen is None:
        return "-"
    return step["expected"] if is_open and seen["agrees"] else seen["result"]


def cell(text):
    """A result in a cell of a table."""
    return "`" + text.replace("|", "\\|") + "`" if text not in (None, "-") else "-"


def output(what):
    """Runs a command with a deadline, prints its lines as they come, and returns them."""
    child = subprocess.Popen(
        what.command, env={**os.environ, **what.environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True,
    )
    def give_up():
        print(f"{what.name}: no end after {what.seconds} s: killed", flush=True)
        os.killpg(child.pid, signal.SIGKILL)
    timer = threading.Timer(what.seconds, give_up)
    timer.start()
    lines = []
    for line in child.stdout:
        lines.append(line.rstrip())
        if not lines[-1].startswith(OBJECT):
            print(f"{what.name}: {lines[-1]}", flush=True)
    timer.cancel()
    return lines, child.wait()


def built(tests):
    """Builds the program and tests, and returns their paths: as cargo reports them."""
    # The program itself is built for tests that run it, but not for its own.
    verb = ["test", "--no-run"] if tests else ["build"]
    command = ["cargo", *verb, "--locked", "--message-format=json", "--bins"]
    for test in tests:
        command += ["--test", test]
    messages = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    paths = {}
    for message in map(json.loads, messages.splitlines()):
        if message.get("executable"):
            is_test = message["profile"]["test"]
            paths[message["target"]["name"], is_test] = Path(message["executable"])
    return [paths["epollite", False], *(paths[test, True] for test in tests)]


def emulator():
    if os.uname().machine != "x86_64":
        raise Unavailable("the kernels are for x86-64")
    return command("qemu-system-x86_64", "qemu-system-x86")


def command(name, package):
    """A command, whose package is installed when it is missing."""
    search = os.environ["PATH"] + ":/usr/sbin:/sbin"
    if not shutil.which(name, path=search):
        apt("apt-get update -qq", package)
        apt(f"apt-get install -qq -y --no-install-recommends {package}", package)
    return shutil.which(name, path=search)


def kernel(series):
    """The newest kernel of a series: its name and its unpacked package, fetched once."""
    names = listed(series)
    if not names and not unpacked(series):
        # A minimal machine has no package lists yet.
        apt("apt-get update -qq", "the list of packages")
        names = listed(series)
    names = names or unpacked(series)
    if not names:
        raise Unavailable(f"the archive has no kernel {series}")
    name = max(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    folder = FOLDER / name
    if not folder.exists():
        print(f"fetching {name}", flush=True)
        apt(f"apt-get download -qq {name}", name, cwd=FOLDER)
        package = next(FOLDER.glob(f"{name}_*.deb"))
        unpacking = FOLDER / "unpacking"
        shutil.rmtree(unpacking, ignore_errors=True)
        subprocess.run(["dpkg-deb", "-x", package, unpacking], check=True)
        unpacking.rename(folder)
        package.unlink()
    return name.removeprefix("linux-image-"), folder


def image(folder):
    return next(folder.glob("boot/vmlinuz-*"))


def listed(series):
    pattern = shlex.quote(f"^{SERIES[series]}$")
    found = apt(f"apt-cache search --names-only {pattern}", "the list of packages")
    return re.findall(rf"^({SERIES[series]}) ", found, re.M)


def unpacked(series):
    names = [path.name for path in FOLDER.glob("linux-image-*")]
    return [name for name in names if re.fullmatch(SERIES[series], name)]


def apt(command, what, **where):
    words = shlex.split(command)
    if os.geteuid() != 0 and words[1] in ("update", "install"):
        words.insert(0, "sudo")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(words, env=quiet, capture_output=True, text=True, check=True, **where)
    except OSError as error:
        raise Unavailable(f"{what} is not available: {error}") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise Unavailable(f"{what} is not available: {words[0]} {words[1]}: {reason}") from error
    return done.stdout


def pack(initramfs, folder, programs, environment, setting, words):
    """Writes an initramfs: programs, commands, all libraries that they load, and modules."""
    names = COMMANDS.split()
    if setting in MODULES:
        command("insmod", "kmod")
        names.append("insmod")
    # The PATH of an unprivileged account may lack the second directory.
    search = os.environ["PATH"] + ":/usr/sbin:/sbin"
    commands = [Path(shutil.which(name, path=search)).resolve() for name in names]
    files = {Path("/usr/bin") / name: path for name, path in zip(names, commands)}
    files |= {path: path for path in programs}
    files[SUITES.resolve()] = SUITES
    for path in [*commands, *programs]:
        loaded = subprocess.check_output(["ldd", path], text=True)
        for library in re.findall(r"(/\S+) \(0x", loaded):
            files[Path(library)] = Path(library).resolve()
    files[Path("/bin/sh")] = Path("/bin/sh").resolve()
    init = INIT.format(
        environment=" ".join(f"{key}={value}" for key, value in environment.items()),
        set="insmod /module.ko && " * (setting in MODULES) + sysctl(setting),
        here=shlex.quote(os.getcwd()),
        suites=SUITES.resolve(),
        programs=" ".join([*words, *map(str, programs)]),
    )
    folders = {Path("/proc"), Path("/sys"), Path("/dev"), Path("/tmp"), Path.cwd()}
    for path in [*files, *folders.copy()]:
        folders |= set(path.parents)
    with gzip.open(initramfs, "wb", compresslevel=1) as archive:
        for path in sorted(folders - {Path("/")}):
            entry(archive, path, 0o41777, b"")
        for name, path in files.items():
            entry(archive, name, 0o100755, path.read_bytes())
        if setting in MODULES:
            entry(archive, Path("/module.ko"), 0o100644, module(folder, MODULES[setting]))
        entry(archive, Path("/init"), 0o100755, init.encode())
        entry(archive, Path("/TRAILER!!!"), 0, b"")


def module(folder, name):
    """A module of a kernel, which may be packed."""
    path = next(folder.glob(f"lib/modules/*/{name}*"))
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def entry(archive, path, mode, data):
    """One file of a cpio archive, format newc: 13 numbers of 8 hexadecimal digits, name, bytes."""
    name = str(path).lstrip("/").encode() + b"\0"
    numbers = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name
    for part in (head, data):
        archive.write(part + b"\0" * (-len(part) % 4))


if __name__ == "__main__":
    main()
