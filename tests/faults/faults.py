"""Faults F1 to F5, F9, F10, F12 and F13 of docs/reliability.md against a tiny run.

    python3 tests/faults/faults.py build/bin/qtk [--repeat 10] [--quick] [--only F1,F4] [--alone]

Every fault is one function. It brings the fault about, checks how the run ends, resumes it and compares the bytes with
those of an undisturbed run; it returns how long it took until all processes of the run had ended (None: not measured).
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import socket
import sys
import tempfile
import time

import network
from scene import ALONE, PIPELINE, REPLICAS, STEPS, Failed, Process, Scene, Skipped, TooFast, require, steps_of

FAULTS = []
NOTICED_S = 6.0  # a dead or hung worker ends the run within this time


def fault(number, title, cases=((),), quick=0, alone=False):
    """Registers a fault; `quick` is how many of its cases belong to the excerpt, `alone`: works with one process."""
    def register(function):
        FAULTS.append((number, title, list(cases), quick, alone, function))
        return function
    return register


# ---- F1, F2: a worker is killed ----------------------------------------------------------------------------------

# How often a phase is passed in a run of the scene, so that a random one of them can be chosen.
PHASES = [("send", 40), ("checkpoint", 6), ("forward", 60), ("backward", 60), ("recv", 40), ("optimizer", 20),
          ("evaluation", 4), ("rendezvous", 1), ("handshake", 1), ("all_reduce", 20)]


def killed_in(scene, out, rank, phase, arrivals):
    layout = REPLICAS if phase == "all_reduce" else PIPELINE
    count = scene.random.randint(1, arrivals)
    run = scene.launch(layout, out, fault=f"{phase}:{rank}:{count}:kill")
    code = run.finish()
    began = run.time_of(f"fault: kill at {phase}")
    require(began, f"the phase was never reached\n{run.output}")
    require(code == 76, f"exit code {code}, expected 76\n{run.output}")
    require(f"worker rank {rank} (pid" in run.output and "signal 9" in run.output, f"no name\n{run.output}")
    run.require_no_orphans(1)
    scene.require_resumed(layout, out)
    return run.ended - began


@fault("F1", "rank 1 is killed in {}", PHASES, quick=2)
def rank_1_is_killed(scene, out, phase, arrivals):
    return killed_in(scene, out, 1, phase, arrivals)


@fault("F2", "rank 0, which hosts the store, is killed in {}", PHASES, quick=1)
def rank_0_is_killed(scene, out, phase, arrivals):
    return killed_in(scene, out, 0, phase, arrivals)


def at_a_random_time(scene, run, out):
    """Waits for a random step of the training, and a moment more."""
    step = scene.random.randint(1, STEPS - 2)
    if not run.wait_for(lambda: steps_of(out) >= step, f"step {step}"):
        raise TooFast
    time.sleep(scene.random.uniform(0, 0.03))


def strike_any_worker(scene, layout, run, out, number, fate):
    """A signal to a random worker at a random time; the run must end by itself and say its fate. When it was sent."""
    rank = scene.random.randrange(layout.processes)
    at_a_random_time(scene, run, out)
    pid = run.worker(rank)
    if pid is None:
        raise TooFast
    began = scene.kill(pid, number)
    code = run.finish()
    if code == 0:
        raise TooFast
    require(code == 76, f"exit code {code}, expected 76\n{run.output}")
    require(f"worker rank {rank} (pid {pid}) {fate}" in run.output, f"no name\n{run.output}")
    return began


@fault("F1", "a rank is killed at a random time", alone=True)
def killed_at_a_random_time(scene, out):
    layout = scene.layout
    run = scene.launch(layout, out)
    began = strike_any_worker(scene, layout, run, out, signal.SIGKILL, "was killed by signal 9")
    run.require_no_orphans(1)
    scene.require_resumed(layout, out)
    return run.ended - began


@fault("F1", "a killed rank is replaced by --restarts", quick=1)
def killed_and_restarted(scene, out):
    count = scene.random.randint(1, 40)
    run = scene.launch(PIPELINE, out, flags=["--restarts", "2"], fault=f"backward:1:{count}:kill")
    code = run.finish()
    require(code == 0, f"exit code {code}, expected 0\n{run.output}")
    require("restart 1 of 2" in run.output and "restart 2 of 2" not in run.output, f"restarts\n{run.output}")
    scene.require_same(PIPELINE, out)


# ---- F3: the launcher is killed ----------------------------------------------------------------------------------

@fault("F3", "the launcher is killed", quick=1, alone=True)
def launcher_is_killed(scene, out):
    run = scene.launch(scene.layout, out)
    at_a_random_time(scene, run, out)
    scene.kill(run.process.pid, signal.SIGKILL)
    run.finish()
    took = run.require_no_orphans(5)
    scene.require_resumed(scene.layout, out)
    return took


# ---- F4: a worker hangs ------------------------------------------------------------------------------------------

@fault("F4", "a rank is stopped for three seconds", alone=True, quick=1)
def stopped_for_a_while(scene, out):
    run = scene.launch(scene.layout, out)
    rank = scene.random.randrange(scene.layout.processes)
    at_a_random_time(scene, run, out)
    pid = run.worker(rank)
    if pid is None:
        raise TooFast
    scene.kill(pid, signal.SIGSTOP)
    time.sleep(3)
    scene.kill(pid, signal.SIGCONT)
    code = run.finish()
    require(code == 0, f"exit code {code}, expected 0\n{run.output}")
    scene.require_same(scene.layout, out)


@fault("F4", "a rank is stopped for ever", alone=True, quick=1)
def stopped_for_ever(scene, out):
    run = scene.launch(scene.layout, out)
    began = strike_any_worker(scene, scene.layout, run, out, signal.SIGSTOP, "hangs")
    require("stopped by a signal" in run.output, f"no reason\n{run.output}")
    run.require_no_orphans(1)
    scene.require_resumed(scene.layout, out)
    return run.ended - began


# ---- F5: the network is cut --------------------------------------------------------------------------------------

@fault("F5", "the network is cut {}", [("both ways",), ("one way",)])
def network_is_cut(scene, out, way):
    with network.two_machines() as machines:
        def start():
            return [Process(machine.command([scene.qtk, "launch", "--nproc", "1", "--nodes", "2", "--node-rank",
                                             str(rank), "--rendezvous", f"{machines[0].address}:29517",
                                             *scene.verb(PIPELINE, out, [f"dist.interface={network.INTERFACE}"])]))
                    for rank, machine in enumerate(machines)]
        runs = start()
        at_a_random_time(scene, runs[0], out)
        began = time.monotonic()
        machines[1].cut(machines[0], both_ways=way == "both ways")
        codes = [run.finish() for run in runs]
        took = max(run.ended for run in runs) - began
        require(codes == [76, 76], f"exit codes {codes}, expected 76 twice\n" + "\n".join(r.output for r in runs))
    scene.require_resumed(PIPELINE, out)
    return took


# ---- F9, F10: ranks that do not belong together ------------------------------------------------------------------

# A rank that does not come is missed after six seconds.
SHORT = ["dist.timeouts.operation_s=6", "dist.timeouts.rendezvous_s=6"]


def by_hand(scene, out, ranks, port, overrides=((), ()), run_id="faults", layout=PIPELINE, qtk=(), environments=({}, {})):
    """Processes that a torchrun would have started, each with its own rank, overrides and environment."""
    return [Process([*(qtk or [scene.qtk]), *scene.verb(layout, out, [*SHORT, *more])],
                    {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(i), "LOCAL_WORLD_SIZE": "2",
                     "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": run_id,
                     **environments[i]})
            for i, (rank, more) in enumerate(zip(ranks, overrides))]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def require_nothing_trained(out):
    require(not list(out.glob("train/*/checkpoints/step-*")), "the ranks trained all the same")


DIFFERENCES = [("comm.forward.use=fixpoint", "comm.forward"), ("optimizer.lr=2e-3", "optimizer.lr"),
               ("train.micro_batch=4", "train.micro_batch"), ("quantizer.options.bits=3", "quantizer.options.bits")]


@fault("F9", "rank 1 has another {1}", DIFFERENCES, quick=1)
def another_configuration(scene, out, override, key):
    return refused(scene, out, key, overrides=((), (override,)))


def refused(scene, out, key, **differences):
    """Both ranks end before the first step and name the difference; how long it took."""
    began = time.monotonic()
    runs = by_hand(scene, out, [0, 1], free_port(), **differences)
    codes = [run.finish() for run in runs]
    output = "\n".join(run.output for run in runs)
    require(all(code in (2, 3) for code in codes), f"exit codes {codes}, expected 2 or 3\n{output}")
    require(key in output, f"the difference is not named\n{output}")
    require_nothing_trained(out)
    return max(run.ended for run in runs) - began


def changed_copy(library, folder):
    """A library that works the same and has other bytes."""
    folder.mkdir(parents=True)
    copy = folder / library.name
    copy.write_bytes(library.read_bytes() + b"\0")
    copy.chmod(0o755)
    return copy


@fault("F9", "rank 1 has another build of qtk", quick=1)
def another_build(scene, out):
    libraries = pathlib.Path(scene.qtk).parent.parent / "lib"
    changed = changed_copy(libraries / "libqtk.so", out / "other")
    (changed.parent / "qtk").symlink_to(libraries / "qtk")  # the plugins are the same
    return refused(scene, out, "qtk.build is", environments=({}, {"LD_LIBRARY_PATH": str(changed.parent)}))


@fault("F9", "rank 1 has another build of a plugin", quick=1)
def another_plugin(scene, out):
    plugin = pathlib.Path(scene.qtk).parent.parent / "lib/qtk/plugins/quantizer/libqtk_quantizer_affine.so"
    changed = changed_copy(plugin, out / "other/quantizer")
    return refused(scene, out, "plugin quantizer affine is", environments=({}, {"QTK_PLUGIN_PATH": str(changed.parent.parent)}))


@fault("F10", "both ranks say that they are rank {}", [(1,), (0,)], quick=1)
def duplicate_rank(scene, out, rank):
    runs = by_hand(scene, out, [rank, rank], free_port())
    codes = [run.finish() for run in runs]
    require(all(code in (2, 3, 76) for code in codes), f"exit codes {codes}\n" + "\n".join(r.output for r in runs))
    require_nothing_trained(out)


@fault("F10", "a rank is not below the world size", quick=1)
def rank_out_of_range(scene, out):
    run = by_hand(scene, out, [2], free_port())[0]
    code = run.finish()
    require(code == 2 and "RANK=2" in run.output, f"exit code {code}\n{run.output}")


@fault("F10", "another program has the port")
def port_is_taken(scene, out):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        runs = by_hand(scene, out, [0, 1], other.getsockname()[1])
        codes = [run.finish() for run in runs]
    require(0 not in codes, f"exit codes {codes}\n" + "\n".join(run.output for run in runs))
    require_nothing_trained(out)


@fault("F10", "two runs meet at one port")
def two_runs_on_one_port(scene, out):
    port = free_port()
    first, second = out / "first", out / "second"
    runs = [*by_hand(scene, first, [0, 1], port, run_id="one"), *by_hand(scene, second, [0, 1], port, run_id="two")]
    codes = [run.finish() for run in runs]
    output = "\n".join(run.output for run in runs)
    for folder, pair in ((first, codes[:2]), (second, codes[2:])):
        require(pair == [0, 0] or 0 not in pair, f"exit codes {codes}: a merged job\n{output}")
        if pair == [0, 0]:
            scene.require_same(PIPELINE, folder)


# ---- F12: collectives out of step --------------------------------------------------------------------------------

@fault("F12", "rank 1 leaves out one all-reduce", quick=1)
def out_of_step(scene, out):
    run = scene.launch(REPLICAS, out, fault=f"all_reduce:1:{scene.random.randint(2, 10)}:skip", overrides=SHORT)
    code = run.finish()
    began = run.time_of("fault: skip at all_reduce")
    require(began, f"the phase was never reached\n{run.output}")
    require(code == 76, f"exit code {code}, expected 76\n{run.output}")
    require("rank 1" in run.output, f"the rank is not named\n{run.output}")
    scene.require_resumed(REPLICAS, out, overrides=SHORT)
    return run.ended - began


# ---- F13: asked to stop ------------------------------------------------------------------------------------------

SIGNALS = [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGUSR1, 75)]


@fault("F13", "{0.name} at a random time", SIGNALS, alone=True, quick=1)
def asked_to_stop(scene, out, number, expected):
    run = scene.launch(scene.layout, out)
    at_a_random_time(scene, run, out)
    began = scene.kill(run.process.pid, number)
    code = run.finish(limit=30)
    if code == 0:
        raise TooFast
    require(code == expected, f"exit code {code}, expected {expected}\n{run.output}")
    run.require_no_orphans(1)
    scene.require_resumed(scene.layout, out)
    return run.ended - began


@fault("F13", "SIGTERM twice", alone=True, quick=1)
def asked_to_stop_twice(scene, out):
    run = scene.launch(scene.layout, out)
    at_a_random_time(scene, run, out)
    began = scene.kill(run.process.pid, signal.SIGTERM)
    time.sleep(scene.random.uniform(0, 0.05))
    scene.kill(run.process.pid, signal.SIGTERM)
    code = run.finish(limit=30)
    if code == 0:
        raise TooFast
    require(code == 75, f"exit code {code}, expected 75\n{run.output}")
    run.require_no_orphans(1)
    scene.require_resumed(scene.layout, out)
    return run.ended - began


@fault("F13", "SIGTERM during a checkpoint, to rank {} alone", [(0,), (1,)], quick=1)
def asked_to_stop_in_a_checkpoint(scene, out, rank):
    run = scene.launch(PIPELINE, out, fault=f"checkpoint:{rank}:{scene.random.randint(1, 5)}:term")
    code = run.finish()
    began = run.time_of("fault: term at checkpoint")
    require(began, f"the phase was never reached\n{run.output}")
    require(code == 75, f"exit code {code}, expected 75\n{run.output}")
    scene.require_resumed(PIPELINE, out)
    return run.ended - began


# ------------------------------------------------------------------------------------------------------------------

def until_it_comes(scene, function, case):
    """A fault at a random moment may come too late."""
    for _ in range(5):
        out = scene.folder / "disturbed"
        shutil.rmtree(out, ignore_errors=True)
        try:
            return function(scene, out, *case)
        except TooFast:
            pass
    raise Skipped("the run was faster five times")


def try_fault(scene, function, case, name, repeat):
    """One line: how often it was survived, and the longest time until all had ended."""
    passed, skipped, worst, reason = 0, 0, None, ""
    for repetition in range(repeat):
        scene.random = random.Random(f"{name} {repetition}")
        try:
            took = until_it_comes(scene, function, case)
            require(took is None or took <= scene.limit(function), f"it took {took} s until all had ended")
            worst = worst if took is None else max(worst or 0, took)
            passed += 1
        except Skipped as why:
            skipped, reason = skipped + 1, str(why)
        except Failed as why:
            print(f"{name}: repetition {repetition}: {why}", flush=True)
    failed = repeat - passed - skipped
    text = f"{passed} of {repeat}" + (f", {skipped} skipped ({reason})" if skipped else "")
    print(f"{name:58} {text}" + ("" if worst is None else f", all ended after {worst:.2f} s at most") +
          ("  FAILED" if failed else ""), flush=True)
    return failed == 0


class FaultScene(Scene):
    """A scene with chance: the moments of faults."""
    layout = PIPELINE
    random = random.Random(0)

    def kill(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            raise TooFast from None
        return time.monotonic()

    def limit(self, function):
        """Seconds until all must have ended: saving has its grace, comparing and time-outs are not detection."""
        return {asked_to_stop: 25, asked_to_stop_in_a_checkpoint: 25, another_configuration: 15,
                out_of_step: 20, network_is_cut: 2 * NOTICED_S}.get(function, NOTICED_S)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("qtk", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="an excerpt of two minutes")
    parser.add_argument("--only", default="", help="numbers, for example F1,F4")
    parser.add_argument("--alone", action="store_true", help="one process, and only the faults that it can have")
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    start, is_good = time.monotonic(), True
    with tempfile.TemporaryDirectory(prefix="qtk-faults-", dir="/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None) as folder:
        scene = FaultScene(options.qtk.resolve(), pathlib.Path(folder), [ALONE, PIPELINE, REPLICAS])
        scene.layout = ALONE if options.alone else PIPELINE
        for number, title, cases, quick, alone, function in FAULTS:
            if (only and number not in only) or (options.alone and not alone):
                continue
            for case in cases[:quick] if options.quick else cases:
                is_good &= try_fault(scene, function, case, f"{number:4} {title.format(*case)}", options.repeat)
    print(f"faults: {'all survived' if is_good else 'FAILED'} in {time.monotonic() - start:.0f} s")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
