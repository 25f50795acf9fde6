"""`vllmd bundle install`: what becomes of a good bundle, by everything that installs packages."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import tomli

from tests.support.bundles import Bundle, make_wheel, sha256_of
from tests.support.commands import Commands

if TYPE_CHECKING:
    from tests.support.installing import Workplace


def test_bundle_becomes_an_environment(each: Workplace, bundle: Bundle) -> None:
    said = each.install_well(bundle)
    assert each.marker() == "one"
    assert "2 packages are what their checksums say" in said
    assert "installed into 'FOLDER/app': 2 packages in 'default', by " in said


def test_prefix_in_files_is_where_they_are(each: Workplace, bundle: Bundle) -> None:
    each.install_well(bundle)
    baked = (each.prefix / "bin/python").read_text().splitlines()[1].removeprefix("# ")
    assert baked == str(each.prefix.resolve())


def test_channels_and_lock_are_of_the_bundle(each: Workplace, bundle: Bundle) -> None:
    each.install_well(bundle)
    manifest = (each.app / "pixi.toml").read_text()
    assert tomli.loads(manifest)["workspace"]["channels"] == ["./channel"]
    assert manifest.startswith("# the project\n")
    lock = (each.app / "pixi.lock").read_text()
    assert "/build/project" not in lock
    assert f"- conda: {each.prefix.resolve().parents[2]}/channel/noarch/stubmodel" in lock


def test_environment_is_marked_as_pixi_does(each: Workplace, bundle: Bundle) -> None:
    each.install_well(bundle)
    marker = json.loads((each.prefix / "conda-meta/pixi").read_text())
    assert marker["environment_name"] == "default"
    assert marker["manifest_path"] == str((each.app / "pixi.toml").resolve())


def test_second_run_changes_nothing(each: Workplace, bundle: Bundle) -> None:
    each.install_well(bundle)
    before = sorted((path, path.lstat().st_ctime_ns) for path in each.app.rglob("*"))
    tar = each.folder / "bundle.tar"
    assert "'FOLDER/app' has it already: 2 packages" in each.install_well(tar)
    assert sorted((path, path.lstat().st_ctime_ns) for path in each.app.rglob("*")) == before


def test_known_checksum_needs_no_tar_the_second_time(place: Workplace, bundle: Bundle) -> None:
    place.install_well(bundle)
    tar = place.folder / "bundle.tar"
    sha256 = sha256_of(tar)
    tar.unlink()
    assert "has it already" in place.install_well(tar, AUTO_INFER_VLLM_BUNDLE_SHA256=sha256)


def test_same_tar_at_another_place_is_the_same(place: Workplace, bundle: Bundle) -> None:
    place.install_well(bundle)
    other = bundle.write(place.folder / "other.tar")
    assert "has it already" in place.install_well(other)


def test_damaged_environment_is_installed_again(place: Workplace, bundle: Bundle) -> None:
    place.install_well(bundle)
    next((place.prefix / "conda-meta").glob("stubmodel-*.json")).unlink()
    place.install_well(bundle)
    assert place.marker() == "one"
    assert place.generations() == ["1", "2"]


def test_force_installs_again(place: Workplace, bundle: Bundle) -> None:
    place.install_well(bundle)
    assert "installed into" in place.install_well(bundle, "--force")


def test_newer_bundle_takes_the_place(each: Workplace, bundle: Bundle, newer: Bundle) -> None:
    each.install_well(bundle)
    former = each.prefix.resolve()
    each.install_well(newer)
    assert each.marker() == "two"
    assert (former / "bin/python").exists()  # a server may still run from it


def test_older_generations_go(place: Workplace, bundle: Bundle, newer: Bundle) -> None:
    for each in (bundle, newer, bundle):
        place.install_well(each)
    assert place.generations() == ["2", "3"]


def test_moved_folder_is_installed_again_where_it_is(each: Workplace, bundle: Bundle) -> None:
    each.install_well(bundle)
    elsewhere = each.folder / "elsewhere"
    each.app.rename(elsewhere)
    each.app.symlink_to(elsewhere)
    each.install_well(bundle)
    assert f"{elsewhere}/.vllmd/2" in (each.prefix / "bin/python").read_text()


def test_bundle_in_one_folder_and_compressed_is_taken(place: Workplace, bundle: Bundle) -> None:
    tar = bundle.write(place.folder / "b.tar.gz", "w:gz", top="./project/")
    place.install_well(tar)
    assert place.marker() == "one"


def test_online_lock_is_taken(each: Workplace, bundle: Bundle) -> None:
    online = bundle.edit(
        "pixi.lock",
        lambda text: text.replace(
            "/build/project/channel/", "https://conda.example/forge/"
        ).replace("file://https:", "https:"),
    )
    each.install_well(online)
    assert each.marker() == "one"


def test_packed_channel_alone_gets_a_project(each: Workplace, bundle: Bundle) -> None:
    each.install_well(bundle.without("pixi.toml", "pixi.lock"))
    assert each.marker() == "one"
    manifest = tomli.loads((each.app / "pixi.toml").read_text())
    assert manifest["dependencies"]["stubmodel"] == {"version": "==1.0", "build": "py_0"}


def test_packed_channel_is_installed_for_the_project_that_is_there(
    place: Workplace, bundle: Bundle, newer: Bundle
) -> None:
    place.app.mkdir()
    for name in ("pixi.toml", "pixi.lock"):
        (place.app / name).write_bytes(bundle.files[name])
    place.install_well(bundle.without("pixi.toml", "pixi.lock"))
    assert (place.app / "pixi.toml").read_text().startswith("# the project\n")
    wrong = place.install(newer.without("pixi.toml", "pixi.lock"))  # its lock is for the other
    assert wrong.code == 78
    assert place.marker() == "one"


def test_environment_that_was_there_before_is_replaced_and_kept(
    place: Workplace, bundle: Bundle
) -> None:
    old = place.prefix / "bin/python"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    place.install_well(bundle)
    assert place.marker() == "one"
    assert (place.app / ".vllmd/0/.pixi/envs/default/bin/python").read_text() == "old"


def test_wheels_are_installed(each: Workplace, bundle: Bundle) -> None:
    name, data = make_wheel()
    whole = bundle.without("pixi.toml", "pixi.lock").with_file(f"pypi/{name}", data)
    said = each.install_well(whole)
    assert f"warning: nothing says which checksum 'pypi/{name}' has" in said
    assert (each.prefix / "lib/python3.11/site-packages/wheelmodel.py").exists()


def test_wheel_brings_its_command(place: Workplace, bundle: Bundle) -> None:
    name, data = make_wheel()
    place.install_well(bundle.without("pixi.toml", "pixi.lock").with_file(f"pypi/{name}", data))
    script = (place.prefix / "bin/wheelmodel").read_text()
    assert script.startswith(f"#!{place.prefix.resolve()}/bin/python\n")


def test_records_can_be_read_by_other_users(each: Workplace, bundle: Bundle) -> None:
    each.install_well(bundle)
    assert all(path.stat().st_mode & 0o004 for path in (each.prefix / "conda-meta").iterdir())


def test_folder_that_cannot_be_written_is_fine_where_nothing_is_to_do(
    place: Workplace, bundle: Bundle, newer: Bundle
) -> None:
    place.install_well(bundle)
    words = place.words(place.folder / "bundle.tar")
    subprocess.run(["chmod", "-R", "a-w", place.app], check=True)
    again = Commands(place.folder).run(*words, humble=True)
    other = Commands(place.folder).run(*place.words(newer), humble=True)
    subprocess.run(["chmod", "-R", "u+w", place.app], check=True)
    assert (again.code, other.code) == (0, 69)
    assert "error: the folder 'FOLDER/app' cannot be written: permission denied\n" in other.err
    assert place.marker() == "one"


def test_machine_without_certificates_will_do(place: Workplace, bundle: Bundle) -> None:
    nowhere = {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"}
    place.install_well(bundle, **nowhere)
    assert place.marker() == "one"
