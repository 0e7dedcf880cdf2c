"""Control groups of a cluster, of version 1 and 2. Each cluster has a group of its own in each
hierarchy; its cgroup namespace is made from within, so the groups of pods come below, and clusters
don't meet.

In version 2 only the topmost group may hold processes and have groups below that are limited. So the
cluster's group is made there, and its own processes go into a leaf, NODE.
"""
import os
import pathlib
import time

TOP = pathlib.Path("/sys/fs/cgroup")
NODE = "node"


def is_version_2():
    return (TOP / "cgroup.controllers").exists()


def hierarchies():
    """(controllers, path of this process) of each hierarchy of version 1."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        controllers, path = line.split(":", 2)[1:]
        if controllers:
            yield controllers, path


def enable(group):
    """Lets the groups below a group of version 2 be limited, by what there is."""
    for controller in (group / "cgroup.controllers").read_text().split():
        (group / "cgroup.subtree_control").write_text(f"+{controller}")


def make(name):
    """Makes the cluster's groups, from outside."""
    if is_version_2():
        enable(TOP)
        group = TOP / name
        (group / NODE).mkdir(parents=True)
        return [group]
    groups = []
    for controllers, path in hierarchies():
        folder = TOP / controllers.removeprefix("name=")
        if not folder.is_dir():
            continue
        parent = folder / path.lstrip("/")
        group = parent / name
        group.mkdir()
        groups.append(group)
        if (group / "cpuset.cpus").exists():
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((parent / file).read_text())
    return groups


def started(groups, pid):
    """Puts the process outside that holds the namespaces out of the way."""
    if is_version_2():
        (groups[0] / NODE / "cgroup.procs").write_text(str(pid))


def mount(sh):
    """Mounts the hierarchies as this cgroup namespace sees them, from inside."""
    if is_version_2():
        sh("umount", "-l", TOP)
        sh("mount", "-t", "cgroup2", "cgroup2", TOP)
        (TOP / NODE / "cgroup.procs").write_text(str(os.getpid()))
        return
    found = list(hierarchies())
    sh("mount", "-t", "tmpfs", "tmpfs", TOP)
    for controllers, _ in found:
        folder = TOP / controllers.removeprefix("name=")
        folder.mkdir()
        options = f"none,{controllers}" if controllers.startswith("name=") else controllers
        sh("mount", "-t", "cgroup", "-o", options, "cgroup", folder)


def enable_inside(seconds=10):
    """In version 2, lets pods be limited, once all processes are in their leaf."""
    deadline = time.monotonic() + seconds
    while is_version_2():
        try:
            enable(TOP)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def remove(groups, deadline):
    """Removes groups, which can go when their last process is gone; that takes a moment. Those that
    are still there at the deadline are returned."""
    for group in groups:
        while group.is_dir() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            time.sleep(0.02)
    return [g for g in groups if g.is_dir()]
