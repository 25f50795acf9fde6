"""A port that somebody else holds: seen before anything is started."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.support.launching import Launcher, Stub

if TYPE_CHECKING:
    from tests.support.launching import Run


def assert_nothing_started(launcher: Launcher, run: Run, *lines: str) -> None:
    """See that the launcher gave up with 71 and these lines, and did nothing."""
    assert run.wait() == 71
    assert run.stderr().splitlines() == list(lines)
    assert not run.log("a").parent.exists()
    assert launcher.left() == []


def hold_port(port: int, *, listen: bool) -> socket.socket:
    """Bind a port as vLLM does, which allows others to bind it too until it listens."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", port))
    if listen:
        holder.listen()
    return holder


def test_port_that_another_program_listens_on_is_refused(launcher: Launcher) -> None:
    stub = Stub(name="b")
    with hold_port(stub.port, listen=True):
        run = launcher.start(Stub(name="a"), stub)
        assert_nothing_started(
            launcher,
            run,
            f"error: 'b' cannot listen: port {stub.port} on 127.0.0.1: address already in use",
            "hint: stop the program that holds it, or change the port",
        )


def test_port_that_a_loading_server_has_bound_is_refused(launcher: Launcher) -> None:
    stub = Stub()
    with hold_port(stub.port, listen=False):
        run = launcher.start(stub)
        assert_nothing_started(
            launcher,
            run,
            f"error: 'a' cannot listen: port {stub.port} on 127.0.0.1: address already in use",
            "hint: stop the program that holds it, or change the port",
        )


def test_port_with_connections_of_a_former_server_is_free(launcher: Launcher) -> None:
    stub = Stub()
    with hold_port(stub.port, listen=True) as server:
        client = socket.create_connection(("127.0.0.1", stub.port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        client.recv(1)
        client.close()
    launcher.start(stub).wait_healthy()


def test_unix_socket_that_another_program_listens_on_is_refused(launcher: Launcher) -> None:
    path = str(launcher.folder / "api.sock")
    with socket.socket(socket.AF_UNIX) as holder:
        holder.bind(path)
        holder.listen()
        run = launcher.start(Stub(server={"uds": path}))
        assert_nothing_started(
            launcher,
            run,
            f"error: 'a' cannot listen: another program answers on '{path}'",
            "hint: stop it, or change uds",
        )


def test_unix_socket_that_another_program_holds_is_refused(launcher: Launcher) -> None:
    path = str(launcher.folder / "api.sock")
    with socket.socket(socket.AF_UNIX) as holder:
        holder.bind(path)  # and listens once its model is loaded
        run = launcher.start(Stub(server={"uds": path}))
        message = f"error: 'a' cannot listen: another program holds '{path}', and does not answer"
        assert_nothing_started(launcher, run, f"{message} yet", "hint: stop it, or change uds")


def test_unix_socket_of_a_server_that_has_ended_is_free(launcher: Launcher) -> None:
    path = str(launcher.folder / "api.sock")
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(path)
        former.listen()
    launcher.start(Stub(server={"uds": path})).wait_healthy()


def test_unix_socket_that_is_a_file_is_left_alone(launcher: Launcher) -> None:
    path = launcher.folder / "api.sock"
    path.write_text("precious")
    run = launcher.start(Stub(server={"uds": str(path)}))
    run.wait_for("a: ended while starting")
    assert path.read_text() == "precious"


def test_unix_socket_in_no_folder_is_refused(launcher: Launcher) -> None:
    folder = launcher.folder / "none"
    run = launcher.start(Stub(server={"uds": f"{folder}/api.sock"}))
    message = f"'{folder}/api.sock': there is no folder '{folder}'"
    hint = "hint: make the folder, or change uds"
    assert_nothing_started(launcher, run, f"error: 'a' cannot listen: {message}", hint)


def test_unix_socket_that_is_a_folder_is_refused(launcher: Launcher) -> None:
    folder = str(launcher.folder)
    run = launcher.start(Stub(server={"uds": folder}))
    message = f"error: 'a' cannot listen: '{folder}' is a folder"
    assert_nothing_started(launcher, run, message, "hint: name a file in it as uds")


def test_address_of_another_machine_is_refused(launcher: Launcher) -> None:
    stub = Stub(server={"host": "192.0.2.1"})  # set aside for documentation (RFC 5737)
    run = launcher.start(stub)
    assert_nothing_started(
        launcher,
        run,
        f"error: 'a' cannot listen: port {stub.port} on 192.0.2.1: cannot assign requested address",
        "hint: correct host: it has to be an address of this machine",
    )
