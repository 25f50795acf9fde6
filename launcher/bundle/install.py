"""Install a bundle into a project's folder: all of it, or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import signal

from launcher.bundle.archive import hash_md5, read_bundle
from launcher.bundle.errors import BundleError
from launcher.bundle.generations import (
    CACHE,
    RECORD,
    find_current,
    generation_path,
    is_linked,
    locked,
    make_generation,
    prune,
    read_installed,
    switch,
    sync,
    unwritable,
)
from launcher.bundle.installed import Installed, InstalledPackage, Source, render_installed
from launcher.bundle.model import LOCK, MANIFESTS, OK, SOURCE, UNPROVEN, Contents, Target
from launcher.bundle.plan import Wish, find_faults, find_platform, list_packages, plan_project
from launcher.bundle.progress import render_size
from launcher.bundle.tarball import hash_tarball, open_tarball, require_unchanged
from launcher.bundle.tools import AUTO, Tools, install_packages
from launcher.bundle.verify import find_gaps, is_whole, open_to_all, prefix_of
from launcher.config.problems import Origin, Problem
from launcher.errors import ConfigError, HostError
from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.bundle.model import Listed, Project
    from launcher.bundle.progress import Progress
    from launcher.bundle.tarball import Tarball

FULL = (errno.ENOSPC, errno.EDQUOT)
SHOWN = 20  # faults of packages
AGAIN = "copy the bundle again, or make it again"


@record
class Order:
    """What is to be installed, and where.

    `sha256` is the tar's, in lower case, or empty. `by` is AUTO, PIXI or RATTLER; `pixi` is the
    path of the pixi on PATH, or empty.
    """

    tar: str
    root: str
    environments: tuple[str, ...]
    sha256: str = ""
    by: str = AUTO
    pixi: str = ""
    force: bool = False


@record
class _Work:
    """An installation under way: `root` is the new generation's folder."""

    order: Order
    tarball: Tarball
    root: str
    lock: int
    environ: Mapping[str, str]
    progress: Progress

    def __repr__(self) -> str:
        """Show no environment."""
        return f"_Work({self.root})"


def install(order: Order, environ: Mapping[str, str], progress: Progress) -> Installed:
    """Install a bundle, unless exactly that is installed; return what is installed.

    Raises:
        BundleError: the bundle cannot be used.
        ConfigError: packages are missing, or are not what their checksums say.
        HostError: the folder cannot be written, is full, or nothing can install packages here.
    """
    order = replace(order, root=os.path.realpath(order.root))
    done = _find_done(order, progress)
    if done is not None:
        return done
    with locked(order.root, progress) as lock:
        done = _find_done(order, progress)
        if done is not None:
            return done
        try:
            with open_tarball(order.tar) as tarball:
                return _install_new(order, tarball, lock, environ, progress)
        except PermissionError as error:
            raise unwritable(order.root, error) from None
        except OSError as error:
            if error.errno in FULL:
                raise HostError(
                    f"the disk of '{order.root}' is full; the environment is as it was before",
                    "make room, or name a folder on a larger disk",
                ) from None
            if error.errno == errno.EROFS:
                raise unwritable(order.root, error) from None
            raise


def _find_done(order: Order, progress: Progress) -> Installed | None:
    """Return what is installed where it is what is ordered."""
    found = read_installed(order.root)
    if found is None or order.force or found.root != order.root:
        return None
    if not set(order.environments) <= set(found.environments) or not is_linked(order.root):
        return None
    if not is_whole(found, order.root) or not _is_same(found.source, order, progress):
        return None
    progress.say(f"'{order.root}' has it already: {_summary(found)}")
    return found


def _is_same(source: Source, order: Order, progress: Progress) -> bool:
    """Tell whether a tar is the one that was installed; it is read only where it has to be."""
    if order.sha256:
        return order.sha256 == source.sha256
    with open_tarball(order.tar) as tarball:
        status = tarball.status
        if (status.st_size, status.st_mtime_ns) == (source.size, source.changed_ns):
            return True
        if status.st_size != source.size:
            return False
        progress.begin(f"comparing '{order.tar}' ({render_size(status.st_size)})")
        return hash_tarball(tarball, progress) == source.sha256


def _install_new(
    order: Order, tarball: Tarball, lock: int, environ: Mapping[str, str], progress: Progress
) -> Installed:
    source = _check_tar(order, tarball, progress)
    former, own = read_installed(order.root), _own_project(order.root)
    if former is not None and former.root == order.root and former.source.sha256 == source.sha256:
        both = {*order.environments, *former.environments}
        order = replace(order, environments=tuple(sorted(both)))
    current = find_current(order.root)
    prune(order.root, {current} if current else set())
    name = make_generation(order.root)
    root = generation_path(order.root, name)
    work = _Work(
        order=order, tarball=tarball, root=root, lock=lock, environ=environ, progress=progress
    )
    try:
        installed = _fill(work, source, own)
        sync(order.root)
        _ignore_stops()
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    try:
        switch(order.root, name)
    except HostError:
        shutil.rmtree(root, ignore_errors=True)
        raise
    progress.say(f"installed into '{order.root}': {_summary(installed)}")
    return installed


def _ignore_stops() -> None:
    """Let nobody stop us any more: the rest takes no time, and leaves no half."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _check_tar(order: Order, tarball: Tarball, progress: Progress) -> Source:
    status = tarball.status
    progress.begin(f"reading '{order.tar}' ({render_size(status.st_size)})")
    sha256 = hash_tarball(tarball, progress)
    if order.sha256 and order.sha256 != sha256:
        raise BundleError(
            f"the bundle '{order.tar}' has the SHA-256 '{sha256}', not '{order.sha256}'",
            "copy it again, or correct AUTO_INFER_VLLM_BUNDLE_SHA256 or --sha256",
        )
    return Source(
        path=os.path.abspath(order.tar),
        sha256=sha256,
        size=status.st_size,
        changed_ns=status.st_mtime_ns,
    )


def _own_project(root: str) -> dict[str, str]:
    """Return the manifest and the lock that a folder had before any bundle brought its own."""
    installed = read_installed(root)
    if installed is not None and installed.manifest_origin != "project":
        return {}
    texts = {}
    for name in (*MANIFESTS, LOCK):
        path = os.path.join(root, name)
        if os.path.isfile(path):
            try:
                with open(path, encoding="utf-8") as file:
                    texts[name] = file.read()
            except UnicodeDecodeError:
                raise BundleError(f"'{path}' is no text", "correct it") from None
    return texts


def _fill(work: _Work, source: Source, own: Mapping[str, str]) -> Installed:
    order, progress = work.order, work.progress
    progress.begin("unpacking")
    contents = read_bundle(work.tarball, work.root, progress)
    require_unchanged(work.tarball)  # what was unpacked is what was hashed
    platform = find_platform(os.uname().machine)
    wish = Wish(environments=order.environments, platform=platform, root=work.root)
    try:
        project = plan_project(contents, own, wish)
    except BundleError as error:
        raise BundleError(f"'{order.tar}': {error.message}", error.hint) from None
    _check_packages(order.tar, project, _with_md5(contents, project, work.root), progress)
    _write(os.path.join(work.root, project.manifest_name), project.manifest)
    _write(os.path.join(work.root, LOCK), project.lock)
    tools = Tools(by=order.by, pixi=order.pixi, lock=work.lock, environ=work.environ)
    by = install_packages(tools, _targets(work.root, project, platform), progress)
    shutil.rmtree(os.path.join(work.root, CACHE), ignore_errors=True)
    _verify(work.root, project)
    installed = Installed(
        root=order.root,
        source=source,
        environments=order.environments,
        by=by,
        manifest_origin=project.origin,
        packages=tuple(_packages(project, contents)),
    )
    _write(os.path.join(work.root, RECORD), render_installed(installed))
    return installed


def _targets(root: str, project: Project, platform: str) -> tuple[Target, ...]:
    return tuple(
        Target(
            root=root,
            cache=os.path.join(root, CACHE),
            environment=environment,
            platform=platform,
            packages=packages,
        )
        for environment, packages in project.environments.items()
    )


def _packages(project: Project, contents: Contents) -> list[InstalledPackage]:
    return [
        InstalledPackage(
            environment=environment,
            kind=each.kind,
            name=each.name,
            version=each.version,
            build=each.build,
            file=each.file,
            sha256=contents.files[each.file].sha256 if each.file in contents.files else "",
        )
        for environment, packages in project.environments.items()
        for each in packages
    ]


def _with_md5(contents: Contents, project: Project, root: str) -> Contents:
    """Add the checksums of the old kind where a package has no other."""
    bare = {
        each.file
        for packages in project.environments.values()
        for each in packages
        if each.md5 and not each.sha256 and each.file in contents.files
    }
    files = {
        path: replace(digest, md5=hash_md5(os.path.join(root, path))) if path in bare else digest
        for path, digest in contents.files.items()
    }
    return Contents(files=files, texts=contents.texts)


def _check_packages(tar: str, project: Project, contents: Contents, progress: Progress) -> None:
    listed: list[Listed] = []
    for packages in project.environments.values():
        listed += list_packages(packages, contents.files)
    faults = tuple(dict.fromkeys(find_faults(tuple(listed))))
    if faults:
        origin = Origin(kind="file", name=tar)
        shown = [Problem(message=fault, hint=AGAIN, origin=origin) for fault in faults[:SHOWN]]
        if len(faults) > SHOWN:
            more = f"{len(faults) - SHOWN} more packages are missing or wrong"
            shown.append(Problem(message=more, hint="see 'vllmd bundle inspect'", origin=origin))
        raise ConfigError(tuple(shown))
    good = sum(each.state == OK for each in listed)
    progress.say(f"{good} packages are what their checksums say")
    for each in listed:
        if each.state in {UNPROVEN, SOURCE}:
            name = each.package.file or each.package.name
            progress.say(f"warning: nothing says which checksum '{name}' has")


def _verify(root: str, project: Project) -> None:
    for environment, packages in project.environments.items():
        prefix = prefix_of(root, environment)
        units = [(each.kind, each.name, each.file) for each in packages]
        gaps = find_gaps(prefix, units)
        if gaps or not os.path.isdir(prefix):
            first = gaps[0] if gaps else f"'{prefix}'"
            more = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            raise BundleError(
                f"the environment '{environment}' was installed without {first}{more}",
                "a pixi that keeps environments elsewhere ('detached-environments') cannot be used"
                if not gaps
                else AGAIN,
            )
        open_to_all(prefix)


def _write(path: str, text: str) -> None:
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(new, path)


def _summary(installed: Installed) -> str:
    count = len(installed.packages)
    names = ", ".join(f"'{name}'" for name in installed.environments)
    return f"{count} packages in {names}, by {installed.by}"
