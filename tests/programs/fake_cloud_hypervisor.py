"""A Cloud Hypervisor without virtual machines: its API on a UNIX socket, its order, its errors.

It takes the options of the real program that we use. FAKE_CH, a JSON object, turns its knobs:

    version   "53.0.0": also decides the shape and code of errors, and what a stale socket does
    boot      "ok", "hang" (for ever, and every other call with it), "fail"
    booted    "ok", "hang" (the guest runs, and the answer does not come)
    create    "ok", "fail"
    button    "obey", "ignore", "refuse"
    quit      "obey", "ignore"
    signals   "obey", "ignore" (SIGTERM)
    errors    "list", "text", "object", "empty": over what the version says
    reports   lines that the guest sends to the host by vsock
    events    pairs of source and event, after the boot
    paused    true: the guest is paused after its boot, and hears the button once it is resumed

FAKE_CH_OPENAPI names the official OpenAPI file: every request is held against it, strictly, and
what breaks it is answered with 400 and noted in the file that FAKE_CH_BROKEN names.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import UnixStreamServer
from typing import Any

KNOBS: dict[str, Any] = {
    "version": "53.0.0",
    "boot": "ok",
    "booted": "ok",
    "create": "ok",
    "button": "obey",
    "quit": "obey",
    "signals": "obey",
    "reports": [],
    "events": [],
    "paused": False,
    **json.loads(os.environ.get("FAKE_CH", "{}")),
}
MAJOR = int(KNOBS["version"].split(".")[0])
ROOT = "/api/v1/"
BODY_BYTES = 51_200 if MAJOR <= 53 else 4 << 20
REPORT_PORT = 9110
WITH_BODY = {"vm.create"}


class Refused(Exception):  # noqa: N818  (an answer, not a failure of ours)
    """An error to answer."""

    def __init__(self, status: int, *causes: str) -> None:
        super().__init__(causes[-1])
        self.status = status
        self.causes = causes


class Schema:
    """The official description of the API: which calls there are, and what their bodies hold."""

    def __init__(self, path: str) -> None:
        import yaml  # noqa: PLC0415  (without the file, no need of the library)

        with open(path, encoding="utf-8") as file:
            self.document = yaml.safe_load(file)
        for schema in self.document["components"]["schemas"].values():
            if schema.get("type") == "object":
                # The real parser ignores unknown keys without a word; here a typo has to show.
                schema.setdefault("additionalProperties", False)

    def find_fault(self, method: str, page: str, body: bytes) -> str:
        """Return what is wrong with a request; empty where nothing is."""
        import jsonschema  # noqa: PLC0415

        operation = self.document["paths"].get(f"/{page}", {}).get(method.lower())
        if operation is None:
            return f"{method} {page} is not in the API"
        wanted = operation.get("requestBody")
        if wanted is None:
            return f"{page} takes no body" if body else ""
        schema = wanted["content"]["application/json"]["schema"]
        whole = {**schema, "components": self.document["components"]}
        errors = jsonschema.Draft7Validator(whole).iter_errors(json.loads(body))
        return "; ".join(f"{error.json_path}: {error.message}" for error in errors)


class Guest:
    """The guest, and the VMM around it."""

    def __init__(self, options: dict[str, str]) -> None:
        self.api = options["api-socket"]
        path = options.get("event-monitor")
        self.events = os.open(path, os.O_WRONLY | os.O_NONBLOCK) if path else -1
        self.config: dict[str, Any] | None = None
        self.state = "Created"
        self.console: socket.socket | None = None
        self.accepting = threading.Thread()
        self.began = time.monotonic()
        self.emit("vmm", "starting")

    def emit(self, source: str, event: str) -> None:
        """Write an event as the real one does: on many lines, and a blank one after it."""
        spent = time.monotonic() - self.began
        message = {
            "timestamp": {"secs": int(spent), "nanos": int(spent % 1 * 1e9)},
            "source": source,
            "event": event,
            "properties": None,
        }
        with contextlib.suppress(OSError):  # nobody reads, or it is full: it is lost
            os.write(self.events, json.dumps(message, indent=2).encode() + b"\n\n")

    def require_created(self) -> dict[str, Any]:
        """Return the config."""
        if self.config is None:
            raise Refused(404 if MAJOR >= 53 else 500, "Error from API", "VM is not created")
        return self.config

    def require_booted(self) -> dict[str, Any]:
        """Return the config of a guest that runs."""
        config = self.require_created()
        if self.state == "Created":
            raise Refused(500, "Error from API", "The VM is not booted", "VM is not booted")
        return config

    def create(self, config: dict[str, Any]) -> None:
        """Keep the config, then open the consoles: in this order, as the real one."""
        if self.config is not None:
            raise Refused(500, "Error from API", "VM is already created")
        self.config = config
        if KNOBS["create"] == "fail":
            raise Refused(500, "Error from API", "The VM could not be created", "no console")
        serial = config.get("serial", {})
        if serial.get("mode") == "Socket":
            self._listen(serial["socket"])

    def _listen(self, path: str) -> None:
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(path)
        except OSError as error:
            raise Refused(500, "Error from API", f"Error opening console: {error}") from None
        listener.listen(1)

        def accept() -> None:
            self.console, _ = listener.accept()

        self.accepting = threading.Thread(target=accept, daemon=True)
        self.accepting.start()

    def boot(self) -> None:
        """Check the files now, as the real one does; then the guest says hello."""
        config = self.require_created()
        if self.state != "Created":
            raise Refused(500, "Error from API", "VM is already booted")
        self.emit("vm", "booting")
        while KNOBS["boot"] == "hang":
            time.sleep(1)
        for path in (config["payload"]["kernel"], *(disk["path"] for disk in config["disks"])):
            if not os.path.exists(path):
                raise Refused(500, "Error from API", "The VM could not boot", f"no {path}")
        if KNOBS["boot"] == "fail":
            cause = "Kernel lacks PVH header"
            raise Refused(500, "Error from API", "The VM could not boot", cause)
        self.state = "Paused" if KNOBS["paused"] else "Running"
        self.emit("vm", "booted")
        if self.accepting.ident is not None:
            self.accepting.join(60)  # the real one keeps what was said before
        if self.console is not None:
            self.console.sendall(b"hello from the guest\r\n")
        for source, event in KNOBS["events"]:
            self.emit(source, event)
        self._report(config)
        while KNOBS["booted"] == "hang":
            time.sleep(1)

    def _report(self, config: dict[str, Any]) -> None:
        if KNOBS["reports"]:
            reports = socket.socket(socket.AF_UNIX)
            reports.connect(f"{config['vsock']['socket']}_{REPORT_PORT}")
            for line in KNOBS["reports"]:
                reports.sendall(json.dumps(line).encode() + b"\n")

    def press(self) -> None:
        """Press the power button."""
        self.require_booted()
        if KNOBS["button"] == "refuse":
            raise Refused(500, "Error from API", "The power button could not be triggered", "no")
        if KNOBS["button"] == "obey" and self.state == "Running":
            self.end_soon("vm", "shutdown")

    def resume(self) -> None:
        """Go on."""
        self.require_booted()
        self.state = "Running"

    def quit(self) -> None:
        """End, unless a knob says otherwise."""
        if KNOBS["quit"] == "obey":
            self.end_soon("vmm", "shutdown")

    def end_soon(self, source: str, event: str) -> None:
        """End once the answer has been sent."""

        def end() -> None:
            self.emit(source, event)
            self.end()

        threading.Timer(0.05, end).start()

    def end(self) -> None:
        """End as the real one does: its sockets go with it."""
        with contextlib.suppress(FileNotFoundError):  # two who end it at once
            os.unlink(self.api)
        os._exit(0)

    def info(self) -> dict[str, Any]:
        """Answer vm.info."""
        config = self.require_created()
        size = config["memory"]["size"]
        return {"config": config, "state": self.state, "memory_actual_size": size}


class Handler(BaseHTTPRequestHandler):
    """One call after another, in one thread: a boot that hangs makes everybody wait."""

    protocol_version = "HTTP/1.1"
    guest: Guest
    schema: Schema | None = None

    def do_GET(self) -> None:
        """Answer a question."""
        self._serve("GET")

    def do_PUT(self) -> None:
        """Do what is asked."""
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        self.close_connection = True
        try:
            self._check(method, size, body)
            answer = self._act(method, self.path.removeprefix(ROOT), body)
        except Refused as refused:
            self._answer(refused.status, render_error(refused.causes))
        else:
            self._answer(200 if answer else 204, json.dumps(answer).encode() if answer else b"")

    def _check(self, method: str, size: int, body: bytes) -> None:
        page = self.path.removeprefix(ROOT)
        if "chunked" in self.headers.get("Transfer-Encoding", "") or size > BODY_BYTES:
            raise Refused(400, "Error from HTTP", "payload")
        if not self.path.startswith(ROOT):
            raise Refused(404, "Not found")
        if (page in WITH_BODY) != bool(body):
            raise Refused(400, "Error from API", "The body is wrong for this call")
        fault = self.schema.find_fault(method, page, body) if self.schema else ""
        if fault:
            with open(os.environ["FAKE_CH_BROKEN"], "a", encoding="utf-8") as file:
                file.write(f"{fault}\n")
            raise Refused(400, "Error from API", fault)

    def _act(self, method: str, page: str, body: bytes) -> dict[str, Any] | None:
        guest = self.guest
        if method == "GET" and page == "vmm.ping":
            version = KNOBS["version"]
            build = f"v{version.removesuffix('.0')}"
            features = ["kvm"]
            return {
                "build_version": build,
                "version": version,
                "pid": os.getpid(),
                "features": features,
            }
        if method == "GET" and page == "vm.info":
            return guest.info()
        if page == "vm.create":
            guest.create(json.loads(body))
            return None
        orders = {
            "vm.boot": guest.boot,
            "vm.power-button": guest.press,
            "vm.resume": guest.resume,
            "vmm.shutdown": guest.quit,
        }
        if page not in orders:
            raise Refused(404, "Not found")
        orders[page]()
        return None

    def _answer(self, status: int, body: bytes) -> None:
        # The status line of the real server has no reason.
        self.send_response_only(status, "")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def render_error(causes: tuple[str, ...]) -> bytes:
    """Render an error in the shape of the version, or of the knob."""
    shape = KNOBS.get("errors") or ("list" if MAJOR >= 47 else "text")
    if shape == "list":
        return json.dumps(causes).encode()
    if shape == "object":
        return b'{ "error": "' + causes[-1].encode() + b'\n" }'
    return b"" if shape == "empty" else causes[-1].encode()


def read_options(words: list[str]) -> dict[str, str]:
    """Read `--name path=VALUE` and `--name VALUE`."""
    options = {}
    for name, value in zip(words, [*words[1:], ""], strict=True):
        if name.startswith("--"):
            options[name.removeprefix("--")] = value.removeprefix("path=")
    return options


def main() -> None:
    """Serve until something ends us."""
    if "--version" in sys.argv:
        print(f"cloud-hypervisor v{KNOBS['version']}")
        return
    os.umask(0o077)
    options = read_options(sys.argv[1:])
    api = options["api-socket"]
    if os.path.exists(api):
        if MAJOR < 53:
            print("Error: Failed to start the VMM: address in use", file=sys.stderr)
            sys.exit(1)
        os.unlink(api)
    Handler.guest = guest = Guest(options)
    if os.environ.get("FAKE_CH_OPENAPI"):
        Handler.schema = Schema(os.environ["FAKE_CH_OPENAPI"])
    ending = (lambda *_: None) if KNOBS["signals"] == "ignore" else (lambda *_: guest.end())
    signal.signal(signal.SIGTERM, ending)
    with UnixStreamServer(api, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
