"""Four machines on one: network namespaces on a bridge, each of whose devices sends no faster than a rate (tc tbf)."""
import contextlib
import os
import subprocess

BRIDGE = "qtklinks"
PORT = 29511


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Machine:
    def __init__(self, number):
        self.number = number
        self.name = f"qtk-links-{number}"
        self.address = f"10.214.78.{number + 1}"

    def command(self, words):
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def set_rate(self, mbit):
        """A short queue: with a long one acknowledgements of the other direction starve. A burst of more than the 64 kB that
        the kernel hands over at once: with less it cuts them up here, which takes the cores half of their time."""
        subprocess.run(self.command(["tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", f"{mbit}mbit",
                                     "burst", "96kb", "latency", "50ms"]), check=True)


def remove(machines):
    for machine in machines:
        subprocess.run(["ip", "netns", "delete", machine.name], capture_output=True)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True)


@contextlib.contextmanager
def machines(count, congestion=None):
    """@param congestion  TCP's congestion control on all of them; None: the kernel's"""
    if os.geteuid() != 0:
        raise SystemExit("network namespaces need root")
    made = [Machine(number) for number in range(count)]
    remove(made)
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        for machine in made:
            outer = f"qtkl{machine.number}"
            ip("netns", "add", machine.name)
            ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
            ip("link", "set", outer, "master", BRIDGE, "up")
            ip("-n", machine.name, "address", "add", machine.address + "/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", machine.name, "link", "set", device, "up")
            if congestion:
                subprocess.run(machine.command(["sysctl", "-qw", f"net.ipv4.tcp_congestion_control={congestion}"]),
                               check=True)
        yield made
    finally:
        remove(made)
