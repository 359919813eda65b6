"""The sandbox: a worker without a network and without sight of anything that matters.

Made by bubblewrap, with limits on time, memory, processes and files. The worker is started again
after each death.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from rnnbook._environment import ENVIRONMENT
from rnnbook.grading.exchange import LARGEST

MEMORY = 2 * 2**30  # bytes, of one process as of all together
FILES = 50 * 2**20  # bytes written
PROCESSES = 32
LOOK = 0.25  # seconds between two looks at the memory
PACKAGES = ("rnnpedagogy", "rnnbook")
INSIDE = "/opt/course"  # where the sandbox has the course's own packages

MISSING = (
    "The sandbox needs bubblewrap, which is not there: apt install bubblewrap (Debian, Ubuntu). "
)
REFUSED = (
    "The sandbox is refused here: {reason}. Ubuntu from 23.10 on: "
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a container: start it with "
    "--security-opt seccomp=unconfined --cap-add SYS_ADMIN; or use another machine. "
)
UNSAFE = (
    "With --unsafe submissions run with your rights, files and network: only where you trust them."
)


class Death(Exception):  # noqa: N818 – its text is what killed the worker
    """The worker is dead; the text says what of."""


def problem():
    """What to do before submissions can be run in the sandbox; None where it works."""
    if not shutil.which("bwrap"):
        return MISSING + UNSAFE
    trial = [*_wall(()), sys.executable, "-P", "-s", "-c", "import rnnbook.grading, IPython"]
    done = subprocess.run(trial, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return REFUSED.format(reason=reason) + UNSAFE


def _wall(refused, hidden=()):
    """The command of the sandbox.

    Root makes it without a namespace of users and then becomes a user without rights, or its limit
    on processes would not hold; what root alone can reach is mounted before that.
    """
    root = os.geteuid() == 0
    apart = ["ipc", "pid", "net", "uts", "cgroup-try"]
    wall = ["bwrap", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    wall += [f"--unshare-{name}" for name in apart] if root else ["--unshare-all"]
    wall += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else []
    wall += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    for path in map(Path, ("/bin", "/sbin", "/lib", "/lib64")):
        if path.is_symlink():
            wall += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            wall += ["--ro-bind", str(path), str(path)]
    wall += ["--size", "1048576", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    wall += ["--perms", "1777", "--size", str(FILES), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    wall += _python(refused, hidden)
    for name, value in _environment(INSIDE).items():
        wall += ["--setenv", name, value]
    wall += ["--remount-ro", "/", "--", "prlimit", f"--as={MEMORY}", f"--fsize={FILES}"]
    wall += [f"--nproc={PROCESSES}", "--nofile=256", "--core=0", "--"]
    if root:
        user = 62_000 + os.getpid() % 3000  # of its own: the limit on processes is one of a user
        wall += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        wall += ["--inh-caps=-all", "--"]
    return wall


def _python(refused, hidden):
    """Mounts of the interpreter and its packages, without those that are refused or hidden."""
    shown = {sys.base_prefix, sys.prefix, str(Path(find_spec("numpy").origin).parents[1])}
    shown |= {os.path.realpath(path) for path in shown}
    shown = sorted(path for path in shown if not Path(path).is_relative_to("/usr"))
    above = {str(one) for path in (*shown, f"{INSIDE}/rnnbook/x") for one in Path(path).parents}
    mounts = [part for path in sorted(above - {"/"}) for part in ("--perms", "755", "--dir", path)]
    mounts += [part for path in shown for part in ("--ro-bind", path, path)]
    covered = [Path(path) for path in hidden]
    for name in {*refused, *PACKAGES}:
        spec = find_spec(name)
        covered += map(Path, spec.submodule_search_locations or []) if spec else []
    for path in covered:
        if path.is_dir() and any(path.is_relative_to(one) for one in ("/usr", *shown)):
            mounts += ["--tmpfs", str(path), "--remount-ro", str(path)]
    mounts += ["--ro-bind", str(Path(__file__).parent), f"{INSIDE}/rnnbook/grading"]
    for name in set(PACKAGES) - set(refused):
        (path,) = find_spec(name).submodule_search_locations
        mounts += ["--ro-bind", path, f"{INSIDE}/{name}"]
    return mounts + _fonts()


def _fonts():
    """Mounts of matplotlib's list of fonts, which takes seconds to make."""
    from matplotlib import font_manager, get_cachedir

    mounts = ["--perms", "0777", "--dir", "/tmp/home"]
    name = f"fontlist-v{font_manager.FontManager.__version__}.json"
    return [*mounts, "--ro-bind-try", f"{get_cachedir()}/{name}", f"/tmp/home/{name}"]


def _environment(packages):
    threads = {name: one for name, one in ENVIRONMENT.items() if name.endswith("_THREADS")}
    return threads | {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp/home",
        "IPYTHONDIR": "/tmp/home",
        "MPLCONFIGDIR": "/tmp/home",
        "MPLBACKEND": "agg",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": packages,
    }


def _memory(pid):
    """Bytes that a process and all below it have in memory."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        below = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has ended, or this system has no such files
        return 0
    children = map(int, " ".join(below).split())
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_memory, children))


class Sandbox:
    """One worker: requests in, answers out. `refused` are packages, `hidden` folders."""

    def __init__(self, refused, hidden=(), *, unsafe=False):
        python = [sys.executable, "-P", "-s", "-m", "rnnbook.grading.worker"]
        command = python if unsafe else _wall(refused, hidden) + python
        here = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=dict(os.environ) | {"PYTHONPATH": here, "MPLBACKEND": "agg"},
        )
        os.set_blocking(self.process.stdin.fileno(), False)
        self.asked = 0
        self.refused = list(refused)

    def ask(self, request, seconds):
        """The answer to a request. Raises `Death`, and the worker is then killed."""
        self.asked += 1
        line = json.dumps(request | {"id": self.asked}).encode() + b"\n"
        try:
            answer = json.loads(self._exchange(line, time.monotonic() + seconds))
            if not isinstance(answer, dict) or answer.get("id") != self.asked:
                raise ValueError
        except Death:
            self.close()
            raise
        except (ValueError, RecursionError, OSError):
            self.close()
            raise Death("it gave no answer that can be read") from None
        return answer

    def _exchange(self, waiting, deadline):
        into, out = self.process.stdin.fileno(), self.process.stdout.fileno()
        reply, look = bytearray(), 0.0
        while not reply.endswith(b"\n"):
            now = time.monotonic()
            if now > deadline:
                raise Death("it took too long")
            if now > look:
                look = now + LOOK
                if _memory(self.process.pid) > MEMORY:
                    raise Death("it used too much memory")
            ready, free, _ = select.select([out], [into] if waiting else [], [], LOOK)
            if free:
                waiting = waiting[os.write(into, waiting[:65_536]) :]
            if ready:
                part = os.read(out, 2**20)
                reply += part
                if not part:
                    raise Death("it ended the program")
                if len(reply) > LARGEST + 1000:
                    raise Death("its answer is too large")
        return bytes(reply)

    def close(self):
        """Kill it with all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
