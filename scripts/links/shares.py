"""How evenly two TCP connections divide the device through which both send: what `qtk simulate --share-spread` takes.

    python3 scripts/links/shares.py [--rates 100,300] [--bytes 2097152] [--messages 40] [--congestion bbr]

One machine sends messages to two others, over one connection each and with pauses of random length, as a middle stage
of a pipeline does. While both send, the bytes acknowledged on each are compared. Prints for every rate the standard
deviation of the logarithm of one message's weight. Needs root; takes about a minute a rate.
"""
import argparse
import math
import random
import socket
import struct
import subprocess
import sys
import threading
import time

import network

PORT = 29512
ACKED_AT = 120  # of tcpi_bytes_acked in struct tcp_info (linux/tcp.h)
SHORTEST_OVERLAP = 0.3  # of the time that a message takes alone


def receive(address):
    listener = socket.create_server((address, PORT))
    connection, buffer = listener.accept()[0], bytearray(1 << 20)
    while connection.recv_into(buffer):
        pass


def acked(connection):
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("Q", info, ACKED_AT)[0]


def connect(address):
    for _ in range(100):
        try:
            return socket.create_connection((address, PORT))
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens at {address}")


def send(connections, size, count, alone_s):
    """Start and end of each message of each connection, and samples of (time, bytes acknowledged on each)."""
    spans, samples, is_over = ([], []), [], threading.Event()

    def send_all(index):
        pauses, start = random.Random(index), acked(connections[index])
        for message in range(1, count + 1):
            time.sleep(pauses.random() * alone_s)
            began = time.monotonic()
            connections[index].sendall(bytes(size))
            while acked(connections[index]) - start < message * size:
                time.sleep(0.0005)
            spans[index].append((began, time.monotonic()))

    def sample():
        while not is_over.is_set():
            samples.append((time.monotonic(), *map(acked, connections)))
            time.sleep(0.0005)

    sampler = threading.Thread(target=sample)
    senders = [threading.Thread(target=send_all, args=(index,)) for index in (0, 1)]
    for thread in (sampler, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    is_over.set()
    sampler.join()
    return spans, samples


def log_ratios(spans, samples, alone_s):
    """Of the bytes that two messages moved while both were on their way."""
    for first_start, first_end in spans[0]:
        for second_start, second_end in spans[1]:
            start, end = max(first_start, second_start), min(first_end, second_end)
            within = [row for row in samples if start <= row[0] <= end]
            if end - start < SHORTEST_OVERLAP * alone_s or len(within) < 2:
                continue
            moved = [within[-1][index] - within[0][index] for index in (1, 2)]
            if min(moved) > 0:
                yield math.log(moved[0] / moved[1])


def measure(addresses, size, count, rate):
    alone_s = size * 8 / (rate * 1e6)
    spans, samples = send([connect(address) for address in addresses], size, count, alone_s)
    ratios = list(log_ratios(spans, samples, alone_s))
    spread = math.sqrt(sum(ratio * ratio for ratio in ratios) / len(ratios) / 2)  # a ratio has two weights
    print(f"{rate} Mbit/s: {len(ratios)} pairs of messages, spread {spread:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rates", default="100,300")
    parser.add_argument("--bytes", type=int, default=2 << 20)
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--congestion", help="TCP's congestion control; default: the kernel's")
    parser.add_argument("--receive", help=argparse.SUPPRESS)
    parser.add_argument("--send", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        return receive(options.receive)
    if options.send:
        return measure(options.send.split(","), options.bytes, options.messages, int(options.rates))
    with network.machines(3, options.congestion) as machines:
        for rate in options.rates.split(","):
            own = [sys.executable, __file__, "--bytes", options.bytes, "--messages", options.messages, "--rates", rate]
            for machine in machines:
                machine.set_rate(rate)
            receivers = [subprocess.Popen(machine.command([*own, "--receive", machine.address]))
                         for machine in machines[1:]]
            subprocess.run(machines[0].command([*own, "--send", ",".join(m.address for m in machines[1:])]), check=True)
            for receiver in receivers:
                receiver.wait()


if __name__ == "__main__":
    main()
