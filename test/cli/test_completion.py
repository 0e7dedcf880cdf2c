"""What shells offer: the engine, and the scripts in shells that are real."""
import subprocess

import pytest

from conftest import OSM


def offers(osm, *words):
    return osm("__complete", "--", *words).stdout.splitlines()


def words(lines):
    return [line.split("\t")[0] for line in lines]


def test_commands(osm):
    found = offers(osm, "names")
    assert found == ["namespace\tWhich namespaces belong to a mesh"]
    assert words(offers(osm, "namespace", "")) == ["add", "remove", "ignore", "list"]
    assert words(offers(osm, "ns", "a")) == ["add"]
    assert "__complete" not in words(offers(osm, ""))


def test_flags(osm):
    assert words(offers(osm, "namespace", "add", "--d")) == ["--disable-sidecar-injection"]
    assert "--osm-namespace" in words(offers(osm, "namespace", "add", "--"))
    assert "--osm-namespace" not in words(offers(osm, "local", "up", "--"))
    assert words(offers(osm, "local", "up", "--st")) == ["--state-dir"]


def test_values(osm):
    assert words(offers(osm, "mesh", "list", "-o", "")) == ["table", "json", "yaml"]
    assert words(offers(osm, "mesh", "list", "--output=j")) == ["--output=json"]
    assert words(offers(osm, "install", "--atomic=")) == ["--atomic=true", "--atomic=false"]
    assert offers(osm, "install", "--osm-chart-path", "") == [":files"]
    assert words(offers(osm, "support", "error-info", "E500")) == [
        f"E500{i}" for i in range(10)]
    assert words(offers(osm, "proxy", "get", "c")) == ["certs", "clusters", "config_dump"]


def test_nothing_without_a_cluster(osm):
    assert offers(osm, "namespace", "add", "") == []
    assert offers(osm, "proxy", "get", "certs", "") == []
    assert offers(osm, "env", "x") == []


@pytest.mark.parametrize("shell", ["tcsh", ""])
def test_another_shell(osm, shell):
    done = osm("completion", shell)
    assert done.returncode == 1
    assert done.stderr == f'osm: expected bash, zsh or fish, found "{shell}"\n'


BASH = """
source <(osm completion bash)
COMP_LINE="$1" COMP_POINT=${#1}
_osm
printf '%s\\n' "${COMPREPLY[@]}"
"""


def bash(line, folder):
    done = subprocess.run(["bash", "-c", BASH, "bash", line], capture_output=True, text=True,
                          cwd=folder, env={"PATH": f"{OSM.parent}:/usr/bin:/bin",
                                           "HOME": str(folder)})
    assert done.stderr == ""
    return done.stdout.split()


def test_bash(tmp_path):
    assert bash("osm namesp", tmp_path) == ["namespace"]
    assert bash("osm namespace ", tmp_path) == ["add", "remove", "ignore", "list"]
    assert bash("osm mesh list --output=", tmp_path) == ["table", "json", "yaml"]
    assert bash("osm mesh list -o y", tmp_path) == ["yaml"]
    (tmp_path / "my-chart").mkdir()
    assert bash("osm install --osm-chart-path my", tmp_path) == ["my-chart"]


@pytest.mark.parametrize("shell, arguments", [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_other_shells_can_read_theirs(osm, tmp_path, shell, arguments):
    """The syntax, by the shell itself."""
    script = tmp_path / "script"
    script.write_text(osm("completion", shell).stdout)
    done = subprocess.run([shell, *arguments, script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


FISH = "osm completion fish | source; complete -C 'osm namespace a'"


def test_fish(tmp_path):
    done = subprocess.run(["fish", "--no-config", "-c", FISH], capture_output=True, text=True,
                          env={"PATH": f"{OSM.parent}:/usr/bin:/bin", "HOME": str(tmp_path)})
    assert done.stdout == "add\tLet namespaces join a mesh\n", done.stderr


ZSH = """
autoload -Uz compinit; compinit -u -d $HOME/dump
source <(osm completion zsh)
# What would be shown, instead of showing it.
_describe() { print -l -- "${found[@]}" }
words=(osm namespace a) CURRENT=3
_osm
"""


def test_zsh(tmp_path):
    done = subprocess.run(["zsh", "-f", "-c", ZSH], capture_output=True, text=True,
                          env={"PATH": f"{OSM.parent}:/usr/bin:/bin", "HOME": str(tmp_path)})
    assert done.stdout == "add:Let namespaces join a mesh\n", done.stderr
