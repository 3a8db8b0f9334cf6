"""Two machines on one: network namespaces with a cable between them that can be cut."""
import contextlib
import os
import shutil
import subprocess

from scene import Skipped

INTERFACE = "qtk0"


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skipped(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Machine:
    def __init__(self, number):
        self.name = f"qtk-faults-{os.getpid()}-{number}"
        self.address = f"10.213.77.{number + 1}"

    def command(self, words):
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self, peer, both_ways):
        """Nothing arrives any more; one way: what the peer sends still does."""
        if both_ways:
            ip("-n", self.name, "link", "set", INTERFACE, "down")
        else:  # frames for an Ethernet address that nobody has are sent and never taken
            ip("-n", self.name, "neighbour", "replace", peer.address, "lladdr", "02:00:00:00:00:01", "nud", "permanent",
               "dev", INTERFACE)


@contextlib.contextmanager
def two_machines():
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise Skipped("network namespaces need root and the program ip")
    machines = [Machine(0), Machine(1)]
    try:
        for machine in machines:
            ip("netns", "add", machine.name)
        ip("-n", machines[0].name, "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns",
           machines[1].name)
        for machine in machines:
            ip("-n", machine.name, "address", "add", machine.address + "/24", "dev", INTERFACE)
            for interface in ("lo", INTERFACE):
                ip("-n", machine.name, "link", "set", interface, "up")
        yield machines
    finally:
        for machine in machines:
            subprocess.run(["ip", "netns", "delete", machine.name], capture_output=True)
