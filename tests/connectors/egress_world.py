"""A network of its own for tests of what goes out: `unshare --user --map-root-user --net --mount python egress_world.py`.

In it every address is local, so that one listener stands behind all of them, and it knows under which it was reached; a name server answers
from a script. Prints what happened as JSON. Nothing of it touches the machine's network.
"""

from __future__ import annotations

import datetime
import itertools
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relorch.lib.addresses import Allow, parse_allow
from relorch.lib.egress import EgressError, request

PORT, TLS_PORT = 8000, 8443
NAMES: dict[str, Any] = {
    # name: addresses of each answer in turn, for ever
    "public.test": [["93.184.215.14"]],
    "both.test": [["93.184.215.14", "2606:4700::1111"]],
    "private.test": [["10.0.0.1"]],
    "loopback.test": [["127.0.0.1"]],
    "metadata.test": [["169.254.169.254"]],
    "metadata6.test": [["fd00:ec2::254"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "nat64.test": [["64:ff9b::7f00:1"]],
    "mixed.test": [["93.184.215.14", "10.0.0.1"]],
    "mixed6.test": [["93.184.215.14", "::1"]],
    "last.test": [["93.184.215.14", "93.184.215.15", "93.184.215.16", "127.0.0.1"]],
    "rebinding.test": [["93.184.215.14"], ["127.0.0.1"]],
    "rebinding6.test": [["2606:4700::1111"], ["::1"]],
    "nowhere.test": [[]],
    "silent.test": None,
}
seen: list[str] = []


class Hears(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        seen.append(self.connection.getsockname()[0])
        head = b""
        while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
            head += line
        path = head.split(b" ")[1].decode() if head.count(b" ") > 1 else "/"
        if path.startswith("/to="):
            self.wfile.write(f"HTTP/1.1 302 Found\r\nLocation: {path[4:]}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Names(socketserver.DatagramRequestHandler):
    turns: dict[str, Any] = {}

    def handle(self) -> None:
        query = self.rfile.read()
        labels, at = [], 12
        while size := query[at]:
            labels.append(query[at + 1 : at + 1 + size].decode())
            at += size + 1
        name, kind = ".".join(labels), struct.unpack("!H", query[at + 1 : at + 3])[0]
        script = NAMES.get(name, [[]])
        if script is None:
            return
        # A and AAAA of one look-up are asked apart: each has its own turn.
        addresses = next(self.turns.setdefault((name, kind), itertools.cycle(script)))
        found = [socket.inet_pton(family, text) for text in addresses for family in [socket.AF_INET6 if ":" in text else socket.AF_INET]]
        found = [data for data in found if len(data) == {1: 4, 28: 16}.get(kind)]
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data for data in found)
        self.wfile.write(query[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, len(found), 0, 0) + query[12 : at + 5] + records)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    def handle_error(self, *_: object) -> None:
        pass


class Server6(Server):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


class TLS(Server):
    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__(("0.0.0.0", TLS_PORT), Hears)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True), address


def authority(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for the name, and a client's that trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem + private)
        file.flush()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file.name)
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client


def prepare() -> None:
    """Every address local, our own name server."""
    for words in ("link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    settings = Path(tempfile.mkdtemp()) / "resolv.conf"
    settings.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    subprocess.run(["mount", "--bind", str(settings), "/etc/resolv.conf"], check=True)


def ask(url: str, allow: Allow, **more: Any) -> dict[str, Any]:
    """What came of it, and which addresses were connected to."""
    before = len(seen)
    try:
        code = str(request("GET", url, allow=allow, seconds=20, **more).status)
        message = ""
    except EgressError as problem:
        code, message = problem.code, problem.message
    return {"code": code, "message": message, "reached": seen[before:]}


def main() -> None:
    cases = json.load(sys.stdin)
    prepare()
    server, client = authority("public.test")
    servers = [Server(("0.0.0.0", PORT), Hears), Server6(("::", PORT), Hears), TLS(server), socketserver.UDPServer(("127.0.0.1", 53), Names)]
    for each in servers:
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    found: dict[str, Any] = {"cases": [ask(case["url"], parse_allow(case.get("allow", ""))) for case in cases["cases"]]}
    nothing = parse_allow("")
    found["tls"] = {
        "right name": ask(f"https://public.test:{TLS_PORT}/", nothing, context=client),
        "wrong name": ask(f"https://both.test:{TLS_PORT}/", nothing, context=client),
        "address only": ask(f"https://93.184.215.14:{TLS_PORT}/", nothing, context=client),
        "unknown authority": ask(f"https://public.test:{TLS_PORT}/", nothing),
    }
    for name in ("rebinding.test", "rebinding6.test"):
        found[name] = [ask(f"http://{name}:{PORT}/", nothing) for _ in range(cases["tries"])]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
