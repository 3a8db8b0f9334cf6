"""What a fault needs: a tiny training run, processes with a time limit, and checks of what they leave."""
import ctypes
import ctypes.util
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import uuid

import tiny_model

STEPS = 24  # of the training
LIMIT_S = 90  # of any process: longer is a hang
MARK = "QTK_FAULTS_MARK"  # in the environment of every process of a run


class Failed(Exception):
    """The fault was not survived as promised."""


class Skipped(Exception):
    """The fault cannot be tried here, and why."""


class TooFast(Exception):
    """The run ended before the fault came: to be tried again."""


def require(condition, what):
    if not condition:
        raise Failed(what)


class Process:
    """A program whose stderr is read as it comes, line by line with its time."""

    def __init__(self, command, environment=None):
        self.mark = uuid.uuid4().hex
        own = {**os.environ, **(environment or {}), MARK: self.mark, "NO_COLOR": "1"}
        self.started = time.monotonic()
        self.lines = []  # (time, line)
        self.process = subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    @property
    def output(self):
        return "\n".join(line for _, line in self.lines)

    def time_of(self, fragment):
        """When a line with this fragment came; None if none did."""
        return next((at for at, line in list(self.lines) if fragment in line), None)

    def wait_for(self, condition, what):
        """Until the condition holds or the process has ended; whether it holds."""
        while not condition():
            if self.process.poll() is not None:
                return False
            require(time.monotonic() - self.started < LIMIT_S, f"hang: {what} did not happen\n{self.output}")
            time.sleep(0.005)
        return True

    def worker(self, rank):
        """Process number of a worker; None if there is none (any more)."""
        return next((pid for pid, variables in self.relatives() if variables.get("QTK_RANK") == str(rank)
                     and pid != self.process.pid), None)

    def relatives(self):
        """All processes of this run that live, with their environment."""
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                variables = pathlib.Path("/proc", entry, "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"{MARK}={self.mark}".encode() in variables:
                yield int(entry), dict(text.decode(errors="replace").partition("=")[::2] for text in variables)

    def finish(self, limit=LIMIT_S):
        """Waits for the end; the exit code, negative for a signal."""
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise Failed(f"hang: still running after {limit} s\n{self.output}") from None
        self.ended = time.monotonic()
        self.reader.join(5)
        return self.process.returncode

    def require_no_orphans(self, within_s):
        """How long it took until none was left."""
        start = time.monotonic()
        while list(self.relatives()):
            if time.monotonic() - start > within_s:
                left = [pid for pid, _ in self.relatives()]
                self.kill_all()
                raise Failed(f"processes {left} are left after {within_s} s")
            time.sleep(0.02)
        return time.monotonic() - start

    def kill_all(self):
        for pid, _ in list(self.relatives()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Layout:
    """How many processes train, and as what."""

    def __init__(self, name, processes, sections=""):
        self.name, self.processes, self.sections = name, processes, sections


ALONE = Layout("alone", 1)
PIPELINE = Layout("pipeline", 2, "parallel: {pipeline: 2}\n")
REPLICAS = Layout("replicas", 2, "parallel: {data: 2}\n")


class Scene:
    def __init__(self, qtk, folder, layouts):
        self.qtk, self.folder = str(qtk), folder
        self.references = {}
        tiny_model.write_model(folder / "model")
        tiny_model.write_text(folder / "text.txt", 3000, 7)
        tiny_model.write_text(folder / "held_out.txt", 300, 11)
        for layout in layouts:
            self.config(layout).write_text(self.config_text(layout))

    def config(self, layout):
        return self.folder / f"{layout.name}.yaml"

    def config_text(self, layout):
        return f"""qtk: 1
name: tiny
device: cpu
threads: 1
model: {{path: {self.folder}/model}}
data:
  train: {{files: [{self.folder}/text.txt], ctx: 32}}
  eval: {{files: [{self.folder}/held_out.txt], ctx: 32, windows: 8}}
optimizer: {{lr: 1e-3}}
train: {{global_batch: 8, micro_batch: 2, steps: {STEPS}, log_every: 1, checkpoint_every: 3, eval_every: 6}}
quantizer: {{use: affine, options: {{bits: 4, group_size: 32}}}}
{layout.sections}"""

    def verb(self, layout, out, overrides=()):
        words = ["run", str(self.config(layout)), "--out", str(out)]
        for override in overrides:
            words += ["--set", override]
        return words

    def launch(self, layout, out, flags=(), fault="", overrides=()):
        command = [self.qtk, "launch", "--nproc", str(layout.processes), *flags, *self.verb(layout, out, overrides)]
        return Process(command, {"QTK_FAULT": fault} if fault else {})

    def reference(self, layout):
        """What a run that nothing disturbs leaves."""
        if layout.name not in self.references:
            out = self.folder / f"undisturbed-{layout.name}"
            run = self.launch(layout, out)
            require(run.finish() == 0, f"the undisturbed run failed\n{run.output}")
            require_whole(out)
            self.references[layout.name] = results_of(out)
        return self.references[layout.name]

    def require_resumed(self, layout, out, overrides=()):
        """The same command again ends on the same bytes as if nothing had happened."""
        self.reference(layout)
        run = self.launch(layout, out, overrides=overrides)
        code = run.finish()
        require(code == 0, f"the resumed run ended with {code}\n{run.output}")
        require("is passed over" not in run.output, f"a damaged checkpoint was found\n{run.output}")
        self.require_same(layout, out)

    def require_same(self, layout, out):
        expected = self.reference(layout)
        require_whole(out)
        found = results_of(out)
        different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        require(not different, "other bytes than the undisturbed run: " + ", ".join(different))


def steps_of(out):
    """How many steps the run has recorded."""
    return sum(path.read_bytes().count(b"\n") for path in out.glob("train/*/metrics.jsonl"))


def results_of(out):
    """Digests of packed models, and of metrics without what depends on speed."""
    results = {}
    for path in sorted(out.glob("artifacts/*/packed/*")):
        results[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(out.glob("train/*/metrics.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        kept = [{key: value for key, value in row.items() if not key.endswith("_s")} for row in rows]
        results[str(path.relative_to(out))] = hashlib.sha256(json.dumps(kept).encode()).hexdigest()
    require(len(results) > 1, f"{out} holds no results")
    return results


class Xxh128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


XXHASH = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
XXHASH.XXH3_128bits.restype = Xxh128
XXHASH.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3(content):
    value = XXHASH.XXH3_128bits(content, len(content))
    return f"{value.high:016x}{value.low:016x}"


def require_whole(out):
    """Every checkpoint under its final name is complete, and each of its files is what its manifest says."""
    for folder in out.glob("train/*/checkpoints/step-*"):
        if folder.name.endswith(".partial"):
            continue
        require((folder / "COMPLETE").exists(), f"torn checkpoint: {folder} has no COMPLETE")
        manifest = (folder / "manifest.json").read_bytes()
        require((folder / "COMPLETE").read_text() == xxh3(manifest) + "\n", f"torn checkpoint: {folder}/manifest.json")
        for name, record in json.loads(manifest)["files"].items():
            content = (folder / name).read_bytes()
            require(len(content) == record["bytes"] and xxh3(content) == record["xxh3"],
                    f"torn checkpoint: {folder}/{name}")
