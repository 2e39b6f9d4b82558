#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The router lab: OSPF and BGP between loopbacks, while links are cut and restored.

    lab.py frr|bird

Runs in a guest with the module loaded, as 'make lab-router' and selftests/router.sh do. Prints
what it does, what one sees, and a verdict for each expectation; the exit status is 0 if all are
met. Nothing is left behind.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import string
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
RUN = pathlib.Path("/run/router-lab")
ROUTERS = ("r1", "r2", "r3")
LINKS = {
    "r1": {"right-a": "r2", "right-b": "r2"},
    "r2": {"left-a": "r1", "left-b": "r1", "right-a": "r3", "right-b": "r3"},
    "r3": {"left-a": "r2", "left-b": "r2"},
}
LOOPBACKS = ("rlo1", "service1", "service2")
# Seconds until what has to happen has happened, however busy the machine is.
LIMIT = 240
# Seconds until a BGP session is given up, in frr.conf and bird.conf.
HOLD = 30

failures = []


def say(text):
    print(text, flush=True)


def title(text):
    say(f"\n=== {text}\n")


def shown(prompt, text):
    """What a person types, and sees."""
    say(f"       {prompt}")
    for line in text.strip("\n").splitlines():
        say(f"       {line}".rstrip())
    say("")


def expect(name, expected, found):
    if found == expected:
        say(f"[ ok ] {name}")
    else:
        failures.append(name)
        say(f"[FAIL] {name}\n       expected: {expected}\n       found:    {found}")
    return found == expected


def wait(expected, look):
    """Looks until it finds what is expected; what it found last."""
    end = time.monotonic() + LIMIT
    while True:
        found = look()
        if found == expected or time.monotonic() > end:
            return found
        time.sleep(0.3)


def eventually(name, expected, look):
    begun = time.monotonic()
    found = wait(expected, look)
    expect(f"{name} ({time.monotonic() - begun:.1f} s)", expected, found)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(map(str, command))}: {done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def inside(router):
    """This thread, and the processes that it starts, are in the router's namespace."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{router}", "rb") as there:
        os.setns(there.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(home.fileno(), os.CLONE_NEWNET)


def number(router):
    return int(router[1:])


def address(router):
    """Of its loopback rlo1."""
    return f"10.255.0.{number(router)}"


def others(router):
    return [other for other in ROUTERS if other != router]


def template(daemon, router):
    values = dict(zip(("peer1", "peer2"), map(address, others(router))), n=number(router))
    return string.Template((HERE / f"{daemon}.conf").read_text()).substitute(values)


def transmitted(router, device):
    """Packets that a device of a router has sent."""
    seen = json.loads(run("ip", "-j", "-s", "-n", router, "link", "show", device))
    return seen[0]["stats64"]["tx"]["packets"]


def received():
    """Packets that each loopback of each router has received."""
    packets = {}
    for router in ROUTERS:
        with inside(router):
            table = pathlib.Path("/proc/thread-self/net/dev").read_text()
        for device in ("lo", *LOOPBACKS):
            packets[router, device] = int(re.search(rf"^ *{device}:\s*\d+\s+(\d+)", table, re.M)[1])
    return packets


def moved(before):
    after = received()
    return {key: after[key] - before[key] for key in after if after[key] != before[key]}


def answers(router, destination, count=5, source=None):
    """How many echoes of so many come back."""
    command = ["ping", "-q", "-n", "-c", str(count), "-i", "0.1", "-W", "5", destination]
    with inside(router):
        done = subprocess.run(
            command + (["-I", source] if source else []), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
    match = re.search(r"(\d+) received", done.stdout)
    return int(match[1]) if match else 0


def next_hops(router, destination):
    """The devices that the kernel's route to a prefix leads over."""
    routes = json.loads(run("ip", "-j", "-n", router, "route", "show", destination) or "[]")
    return sorted(
        hop["dev"] for route in routes for hop in route.get("nexthops", [route]) if "dev" in hop
    )


def connections(router):
    """The router's BGP sessions as the kernel sees them, of each its two ends."""
    with inside(router):
        sockets = run("ss", "-Htn", "state", "established", "( sport = 179 or dport = 179 )")
    return sorted(" - ".join(line.split()[2:4]) for line in sockets.splitlines())


class Ping:
    """Echoes between two loopbacks, ten a second, until it is asked what became of them."""

    def __init__(self, source, destination):
        self.log = RUN / "ping"
        with inside(source), self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["ping", "-n", "-i", "0.1", "-I", address(source), address(destination)],
                stdout=log, stderr=log,
            )

    def replies(self):
        return [int(n) for n in re.findall(r"bytes from .* icmp_seq=(\d+)", self.log.read_text())]

    def end(self):
        """Sent, lost, and the longest run of lost ones, up to the last reply."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        replies = self.replies()
        gaps = [after - before - 1 for before, after in zip([0] + replies, replies)]
        return replies[-1], sum(gaps), max(gaps)


class Stream:
    """A TCP connection between two loopbacks: a number of 8 bytes every 10 ms."""

    def __init__(self, source, destination):
        with inside(destination):
            listener = socket.create_server((address(destination), 5201))
        with inside(source):
            self.sender = socket.create_connection(
                (address(destination), 5201), timeout=LIMIT, source_address=(address(source), 0)
            )
        self.receiver = listener.accept()[0]
        self.receiver.settimeout(LIMIT)
        listener.close()
        self.sent = self.good = 0
        self.pause = 0.0
        self.wrong = ""
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        try:
            while not self.ending.wait(0.01):
                self.sender.sendall(struct.pack("!Q", self.sent))
                self.sent += 1
            self.sender.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.wrong = f"sender: {error}"

    def receive(self):
        last = time.monotonic()
        try:
            with self.receiver.makefile("rb") as data:
                while record := data.read(8):
                    now = time.monotonic()
                    self.pause, last = max(self.pause, now - last), now
                    if record != struct.pack("!Q", self.good):
                        self.wrong = f"receiver: {record!r} in place of {self.good}"
                    self.good += 1
        except OSError as error:
            self.wrong = f"receiver: {error}"

    def end(self):
        """What was wrong, if something was."""
        self.ending.set()
        for thread in self.threads:
            thread.join()
        self.sender.close()
        self.receiver.close()
        return self.wrong


class Frr:
    """FRR's programs, each router's under its name as their path space (-N)."""

    # mgmtd has the part of the configuration that is zebra's.
    programs = {"mgmtd": [], "zebra": ["-f", "/dev/null"], "ospfd": ["-f", "/dev/null"],
                "bgpd": ["-f", "/dev/null"]}
    sockets = pathlib.Path("/run/frr")

    def __init__(self):
        say(run("/usr/lib/frr/zebra", "--version").splitlines()[0])

    def start(self):
        starting = []
        for router in ROUTERS:
            for folder in (self.sockets / router, RUN / router):
                folder.mkdir(parents=True, exist_ok=True)
                run("chown", "-R", "frr:frr", folder)
            (RUN / router / "frr.conf").write_text(template("frr", router))
        for program, options in self.programs.items():
            for router in ROUTERS:
                folder = RUN / router
                with inside(router), (folder / f"{program}.out").open("w") as output:
                    starting.append(subprocess.Popen(
                        [f"/usr/lib/frr/{program}", "-d", "-N", router, *options,
                         "-i", folder / f"{program}.pid", "--log", f"file:{folder}/{program}.log"],
                        stdout=output, stderr=output,
                    ))
        self.ended(starting)
        self.ended([
            subprocess.Popen(
                ["vtysh", "-N", router, "-f", RUN / router / "frr.conf"],
                stdout=(RUN / router / "vtysh.out").open("w"), stderr=subprocess.STDOUT,
            ) for router in ROUTERS
        ])

    def ended(self, processes):
        for process in processes:
            if process.wait():
                said = "".join(path.read_text() for path in sorted(RUN.glob("*/*.out")))
                raise SystemExit(f"error: {process.args} failed:\n{said}")

    def vty(self, router, program, *commands):
        """What a daemon says, on the socket and in the form that vtysh uses. To start vtysh
        takes seconds under emulation."""
        said = ""
        with socket.socket(socket.AF_UNIX) as vty:
            vty.settimeout(LIMIT)
            vty.connect(str(self.sockets / router / f"{program}.vty"))
            for command in ("enable", *commands):
                vty.sendall(command.encode() + b"\0")
                answer = b""
                while not (len(answer) >= 4 and answer[-4:-1] == b"\0\0\0"):
                    data = vty.recv(65536)
                    if not data:
                        raise SystemExit(f"error: {program} of {router} has ended")
                    answer += data
                said += answer[:-4].decode()
                if answer[-1] not in (0, 1):
                    raise SystemExit(f"error: {program} of {router}: {command}: {said}")
        return said

    def configure(self, router, program, *lines):
        shown(f"{router}(config)#", "\n".join(lines))
        return self.vty(router, program, "configure terminal", *lines, "end")

    def neighbours(self, router):
        seen = json.loads(self.vty(router, "ospfd", "show ip ospf neighbor json"))["neighbors"]
        return sorted(
            f"{entry['ifaceName'].split(':')[0]} {name} {entry['nbrState'].split('/')[0]}"
            for name, entries in seen.items() for entry in entries
        )

    def peers(self, router):
        seen = json.loads(self.vty(router, "bgpd", "show bgp ipv4 unicast summary json"))["peers"]
        return {peer: entry["state"] for peer, entry in seen.items()}

    def router_ids(self, router):
        ospf = json.loads(self.vty(router, "ospfd", "show ip ospf json"))
        bgp = json.loads(self.vty(router, "bgpd", "show bgp vrfs json"))["vrfs"]
        return {"ospfd": ospf["routerId"], "bgpd": bgp["default"]["routerId"]}

    def show(self, router):
        for program, command in (
            ("ospfd", "show ip ospf neighbor"),
            ("bgpd", "show bgp ipv4 unicast summary"),
            ("zebra", "show ip route"),
        ):
            shown(f"{router}# {command}", self.vty(router, program, command))

    def several_loopbacks(self):
        """What FRR makes of IFF_LOOPBACK devices beside lo, on r2."""
        title("r2: OSPF on all loopbacks")
        run("ip", "-n", "r2", "addr", "add", "10.9.2.1/32", "dev", "lo")
        self.configure(
            "r2", "ospfd", *(line for device in ("lo", "service1", "service2")
                             for line in (f"interface {device}", " ip ospf area 0")),
        )
        hosts = [f"{host}/32" for host in ("10.1.2.1", "10.2.2.1", "10.255.0.2", "10.9.2.1")]
        eventually("r1: r2 announces each of its loopbacks, lo too, as a host", sorted(hosts),
                   lambda: sorted(stub for stub in self.stubs("r1", "10.255.0.2")
                                  if not stub.startswith("192.168.")))
        # Of these BGP has only the first.
        for prefix in ("10.1.2.1", "10.9.2.1", "10.2.2.1"):
            eventually(f"r1: a route of OSPF to {prefix}", ["ospf"], lambda: protocols("r1", prefix))
        expect("r1: the prefix of service2 is still a route of BGP", ["bgp"],
               protocols("r1", "10.2.2.0/24"))

        title("r2: which address becomes the router-id")
        expect("r2: 'show ip router-id' does not show zebra's own choice", False,
               "10.255.0.2" in self.vty("r2", "zebra", "show ip router-id"))
        self.higher("dummy", "dummy0", "10.255.255.254")
        self.higher("rlo", "rlo9", "10.255.255.2")
        chosen = {"ospfd": "10.255.255.2", "bgpd": "10.255.0.2"}
        eventually("r2: ospfd takes the highest address of all loopbacks at once, bgpd keeps its own",
                   chosen, lambda: self.router_ids("r2"))
        time.sleep(HOLD)
        expect("r2: and so after a hold time", chosen, self.router_ids("r2"))
        self.configure("r2", "bgpd", "no router bgp 65000", "router bgp 65001")
        eventually("r2: a new bgpd takes the highest address of all loopbacks, not of the dummy",
                   "10.255.255.2", lambda: self.router_ids("r2")["bgpd"])
        self.configure("r2", "mgmtd", "ip router-id 10.255.0.2")
        eventually("r2: what is configured wins", "10.255.0.2",
                   lambda: self.router_ids("r2")["bgpd"])
        expect("r2: 'show ip router-id' shows it", True,
               "10.255.0.2" in self.vty("r2", "zebra", "show ip router-id"))
        self.configure("r2", "mgmtd", "no ip router-id 10.255.0.2")
        for device in (*LOOPBACKS, "rlo9"):
            say(f"       # ip -n r2 link del {device}")
            run("ip", "-n", "r2", "link", "del", device)
        say("       # ip -n r2 addr del 10.9.2.1/32 dev lo")
        run("ip", "-n", "r2", "addr", "del", "10.9.2.1/32", "dev", "lo")
        eventually("r2: without loopbacks bgpd takes the highest address of all, a link's",
                   "192.168.232.2", lambda: self.router_ids("r2")["bgpd"])

    def higher(self, kind, device, high):
        for command in (f"link add {device} type {kind}", f"link set {device} up",
                        f"addr add {high}/32 dev {device}"):
            say(f"       # ip -n r2 {command}")
            run("ip", "-n", "r2", *command.split())
        eventually(f"r2: zebra has seen {device}", True,
                   lambda: high in self.vty("r2", "zebra", f"show interface {device}"))

    def stubs(self, router, origin):
        """The stub networks that a router's LSA has."""
        lsa = json.loads(self.vty(router, "ospfd", f"show ip ospf database router {origin} json"))
        found = []
        for area in lsa["routerLinkStates"]["areas"].values():
            for state in area:
                for link in state["routerLinks"].values():
                    if link["linkType"] == "Stub Network":
                        mask = socket.inet_aton(link["networkMask"])
                        bits = bin(int.from_bytes(mask)).count("1")
                        found.append(f"{link['networkAddress']}/{bits}")
        return found


class Bird:
    """BIRD, each router's with a control socket of its own."""

    def __init__(self):
        say(run("bird", "--version").strip())

    def start(self):
        for router in ROUTERS:
            folder = RUN / router
            folder.mkdir()
            (folder / "bird.conf").write_text(template("bird", router))
            self.run_bird(router, "bird")

    def run_bird(self, router, name):
        folder = RUN / router
        with inside(router):
            run("bird", "-c", folder / f"{name}.conf", "-s", folder / f"{name}.ctl",
                "-D", folder / f"{name}.log")

    def ask(self, router, command, name="bird"):
        said = subprocess.run(["birdcl", "-s", RUN / router / f"{name}.ctl", command],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        return "\n".join(line for line in said.splitlines() if not line.startswith("BIRD "))

    def neighbours(self, router):
        lines = map(str.split, self.ask(router, "show ospf neighbors backbone").splitlines())
        return sorted(f"{line[4]} {line[0]} {line[2].split('/')[0]}" for line in lines
                      if len(line) == 6 and line[0][0].isdigit())

    def details(self, router, field):
        """Of each neighbour, what 'show protocols all' says."""
        blocks = re.split(r"^(?=peer\d )", self.ask(router, "show protocols all"), flags=re.M)[1:]
        return {re.search(r"Neighbor address: (\S+)", block)[1]:
                re.search(rf"{field}: +(.*)", block)[1] for block in blocks}

    def peers(self, router):
        return self.details(router, "BGP state")

    def router_ids(self, router, name="bird"):
        return {name: re.search(r"Router ID is (\S+)", self.ask(router, "show status", name))[1]}

    def show(self, router):
        for command in ("show ospf neighbors", "show protocols", "show route"):
            shown(f"{router}: bird> {command}", self.ask(router, command))

    def several_loopbacks(self):
        """What BIRD makes of IFF_LOOPBACK devices beside lo, on r2."""
        title("r2: OSPF on all loopbacks")
        run("ip", "-n", "r2", "addr", "add", "10.9.2.1/32", "dev", "lo")
        conf = RUN / "r2/bird.conf"
        conf.write_text(conf.read_text().replace('interface "rlo1";', 'interface "rlo1", "service*", "lo";'))
        shown("r2: bird> configure", self.ask("r2", "configure"))
        stubs = ["10.1.2.1/32", "10.2.2.0/24", "10.255.0.2/32", "10.9.2.1/32"]
        eventually("r1: r2 announces each of its loopbacks, lo too, with its prefix", stubs,
                   lambda: self.stubs("r1", "10.255.0.2"))
        for prefix in ("10.9.2.1/32", "10.2.2.0/24"):
            eventually(f"r1: a route of OSPF to {prefix}", True,
                       lambda: "[backbone " in self.ask("r1", f"show route {prefix} primary"))

        title("r2: which address becomes the router-id")
        for command in ("link add dummy0 type dummy", "link set dummy0 up",
                        "addr add 10.0.2.1/32 dev dummy0", "link add rlo8 type rlo",
                        "addr add 10.0.0.1/32 dev rlo8"):
            say(f"       # ip -n r2 {command}")
            run("ip", "-n", "r2", *command.split())
        for name, line, chosen in (
            ("none", "", "10.0.2.1"),
            ("service2", 'router id from "service2";', "10.2.2.1"),
            ("explicit", "router id 10.255.0.2;", "10.255.0.2"),
        ):
            config = f"{line}\nprotocol device {{\n}}\n"
            shown(f"# cat {name}.conf", config)
            (RUN / f"r2/{name}.conf").write_text(config)
            self.run_bird("r2", name)
            expect(f"r2: the router-id of a BIRD so configured is {chosen}", {name: chosen},
                   self.router_ids("r2", name))

    def stubs(self, router, origin):
        """The stub networks on a loopback that a router's LSA has."""
        state = self.ask(router, "show ospf state all backbone")
        own = re.search(rf"^\trouter {re.escape(origin)}\n(.*?)(?:\n\n|\Z)", state, re.M | re.S)[1]
        return sorted(stub for stub in re.findall(r"stubnet (\S+)", own)
                      if not stub.startswith("192.168."))


def protocols(router, prefix):
    """Who made the kernel's routes to a prefix."""
    routes = json.loads(run("ip", "-j", "-n", router, "route", "show", prefix) or "[]")
    return [route["protocol"] for route in routes]


def full(router, without=()):
    """The neighbours of a router over all links but those without which it is."""
    return sorted(f"{device} {address(other)} Full" for device, other in LINKS[router].items()
                  if (router, device) not in without)


def established(router, without=()):
    return {address(other): "Established" for other in others(router) if other not in without}


class Lab:
    """What is expected of the routers, whoever runs on them."""

    def __init__(self, daemon):
        self.daemon = daemon

    def loopbacks_up(self):
        title("Three routers with three loopbacks each, and two links between neighbours")
        run(HERE / "topology.sh", "up")
        for router in ROUTERS:
            shown(f"# ip -n {router} -br addr", run("ip", "-n", router, "-4", "-br", "addr"))
            found = json.loads(run("ip", "-j", "-n", router, "link"))
            expect(f"{router}: its loopbacks are lo and three more", ["lo", *LOOPBACKS],
                   [link["ifname"] for link in found if "LOOPBACK" in link["flags"]])

    def converge(self):
        title("OSPF and BGP")
        self.daemon.start()
        for router in ROUTERS:
            eventually(f"{router}: OSPF is full over each link", full(router),
                       lambda: self.daemon.neighbours(router))
        for router in ROUTERS:
            eventually(f"{router}: BGP is established with both others", established(router),
                       lambda: self.daemon.peers(router))
        for router in ROUTERS:
            for program, found in self.daemon.router_ids(router).items():
                expect(f"{router}: the router-id of {program} is the address of rlo1",
                       address(router), found)
        self.routed()
        self.daemon.show("r1")
        shown("# ip -n r1 route", run("ip", "-n", "r1", "route"))
        for router in ROUTERS:
            ends = {frozenset(re.sub(r":\d+", "", pair).split(" - "))
                    for pair in connections(router)}
            expect(f"{router}: the sessions are between loopbacks",
                   {frozenset((address(router), address(other))) for other in others(router)}, ends)

    def routed(self):
        for prefix in ("10.1.3.1", "10.2.3.0/24"):
            eventually(f"r1: the way to {prefix} on r3 is over both links", ["right-a", "right-b"],
                       lambda: next_hops("r1", prefix))

    def counters(self):
        title("Whose traffic goes through which loopback")
        for device, to in zip(LOOPBACKS, ("10.255.0.1", "10.1.1.1", "10.2.1.77")):
            before = received()
            expect(f"r1: its own {to} answers, five times", 5, answers("r1", to))
            expect(f"r1: ten packets through {device}, none through another loopback",
                   {("r1", device): 10}, moved(before))
        for to in ("10.1.1.1", "10.2.1.77"):
            before = received()
            expect(f"r3: {to} on r1 answers, five times", 5,
                   answers("r3", to, source=address("r3")))
            expect("no packet through a loopback: they come and go over the links", {},
                   moved(before))

    def one_link(self, what, cut, mend, least):
        """Cuts the link that packets take from r1 to r3, and mends it. Loses so many echoes at
        least."""
        device = json.loads(run("ip", "-j", "-n", "r1", "route", "get", address("r3"),
                                "from", address("r1")))[0]["dev"]
        other = {"right-a": "right-b", "right-b": "right-a"}[device]
        far = device.replace("right", "left")
        title(f"One link {what}: {device} of r1, which packets from rlo1 to r3 take")
        before = {router: connections(router) for router in ROUTERS}
        by = {link: transmitted("r1", link) for link in (device, other)}
        ping, stream = Ping("r1", "r3"), Stream("r1", "r3")
        eventually("20 echoes are answered, 100 numbers have arrived", True,
                   lambda: len(ping.replies()) >= 20 and stream.good >= 100)
        by = {link: transmitted("r1", link) - sent for link, sent in by.items()}
        expect(f"r1: they went by {device}", True, by[device] > 2 * by[other])
        cut(device)
        eventually("r1: OSPF has noticed", full("r1", [("r1", device)]),
                   lambda: self.daemon.neighbours("r1"))
        eventually("r2: OSPF has noticed", full("r2", [("r2", far)]),
                   lambda: self.daemon.neighbours("r2"))
        eventually("r1: the way to r3 is over the other link", [other],
                   lambda: next_hops("r1", address("r3")))
        eventually("r2: the way to r1 is over the other link", [other.replace("right", "left")],
                   lambda: next_hops("r2", address("r1")))
        replies, good = len(ping.replies()), stream.good
        eventually("the echoes and the TCP connection go on", True,
                   lambda: len(ping.replies()) > replies + 20 and stream.good > good + 100)
        shown(f"# ip -n r1 route show {address('r3')}",
              run("ip", "-n", "r1", "route", "show", address("r3")))
        wrong = stream.end()
        sent, lost, longest = ping.end()
        expect("TCP: each number arrived, once and in order", ("", stream.sent),
               (wrong, stream.good))
        say(f"       TCP: {stream.good} numbers, the longest pause {stream.pause:.2f} s")
        say(f"       ping: {sent} sent, {lost} lost, {longest} of them in a row"
            f" (one every 0.1 s)\n")
        expect("the echoes that were lost are one gap", lost, longest)
        if least:
            expect(f"{least} of them at least", True, lost >= least)
        expect("the gap and the pause are shorter than the hold time", True,
               max(longest * 0.1, stream.pause) < HOLD)
        self.undisturbed(before)
        mend(device)
        self.full_again()
        self.undisturbed(before)

    def undisturbed(self, before):
        for router, ends in before.items():
            expect(f"{router}: the BGP sessions are the same connections as before", ends,
                   connections(router))
            expect(f"{router}: and established", established(router), self.daemon.peers(router))

    def full_again(self):
        for router in ("r1", "r2"):
            eventually(f"{router}: OSPF is full over each link again", full(router),
                       lambda: self.daemon.neighbours(router))
        for router, to, side in (("r1", "r3", "right"), ("r2", "r1", "left")):
            eventually(f"{router}: the way to {to} is over both links again",
                       [f"{side}-a", f"{side}-b"], lambda: next_hops(router, address(to)))

    def both_links(self):
        title("Both links between r1 and r2 fall silent")
        before = connections("r3")
        for device in ("right-a", "right-b"):
            silence(device)
        eventually("r1: OSPF has no neighbours", [], lambda: self.daemon.neighbours("r1"))
        eventually("r1: no BGP session", True,
                   lambda: "Established" not in self.daemon.peers("r1").values())
        eventually("r3: the session with r2 alone", [address("r2")],
                   lambda: [peer for peer, state in self.daemon.peers("r3").items()
                            if state == "Established"])
        for router, prefix in (("r1", "10.1.3.1"), ("r1", "10.2.3.0/24"), ("r1", "10.255.0.3"),
                               ("r3", "10.1.1.1")):
            eventually(f"{router}: no route to {prefix}", [], lambda: next_hops(router, prefix))
        expect("r1: rlo1 of r3 does not answer", 0,
               answers("r1", address("r3"), source=address("r1")))
        expect("r1: its own service does", 5, answers("r1", "10.1.1.1"))
        expect("r3: that of r2 does", 5, answers("r3", "10.1.2.1", source=address("r3")))
        expect("r3: the session with r2 is the same connection as before", True,
               set(before) > set(connections("r3")) != set())

        title("Both are restored")
        for device in ("right-a", "right-b"):
            heard(device)
        self.full_again()
        for router in ROUTERS:
            eventually(f"{router}: BGP is established with both others", established(router),
                       lambda: self.daemon.peers(router))
        self.routed()
        expect("r1: rlo1 of r3 answers", 5, answers("r1", address("r3"), source=address("r1")))


def ends(device):
    """Both ends of a link between r1 and r2."""
    return (("r1", device), ("r2", device.replace("right", "left")))


def pull(device):
    say(f"       # ip -n r1 link set {device} down\n")
    run("ip", "-n", "r1", "link", "set", device, "down")


def plug(device):
    say(f"       # ip -n r1 link set {device} up\n")
    run("ip", "-n", "r1", "link", "set", device, "up")


def silence(device):
    """Packets vanish in both directions, and neither router is told."""
    for router, end in ends(device):
        say(f"       # tc -n {router} qdisc add dev {end} root netem loss 100%")
        run("tc", "-n", router, "qdisc", "add", "dev", end, "root", "netem", "loss", "100%")
    say("")


def heard(device):
    for router, end in ends(device):
        say(f"       # tc -n {router} qdisc del dev {end} root")
        run("tc", "-n", router, "qdisc", "del", "dev", end, "root")
    say("")


def logs():
    """The ends of what the daemons logged, for who looks for the reason of a failure."""
    for path in sorted(RUN.glob("*/*.log")) + sorted(RUN.glob("*/*.out")):
        lines = path.read_text(errors="replace").splitlines()[-8:]
        if lines:
            shown(f"{path}:", "\n".join(lines))


def main():
    daemons = {"frr": Frr, "bird": Bird}
    if len(sys.argv) != 2 or sys.argv[1] not in daemons:
        raise SystemExit("usage: lab.py frr|bird")
    RUN.mkdir(parents=True)
    done = False
    try:
        daemon = daemons[sys.argv[1]]()
        lab = Lab(daemon)
        lab.loopbacks_up()
        lab.converge()
        lab.counters()
        lab.one_link("pulled out", pull, plug, 0)
        # Six seconds or more have 60, of which a busy machine may have sent the half.
        lab.one_link("falls silent", silence, heard, 30)
        lab.both_links()
        daemon.several_loopbacks()
        done = True
    finally:
        if not done or failures:
            logs()
        run(HERE / "topology.sh", "down")
        for folder in (RUN, *(Frr.sockets / router for router in ROUTERS)):
            shutil.rmtree(folder, ignore_errors=True)
    say("")
    if failures:
        raise SystemExit("error: not as expected: " + "; ".join(failures))
    say("All is as expected.")


main()
