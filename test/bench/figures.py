"""What benchmarks say: a line for people and, when a file is named by OSM_BENCH_FIGURES, a record of
JSON for machines."""
import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def record(name, value, limit=""):
    """"11.2 s" is the number 11.2 and the unit "s"; what is no number stays text."""
    found = re.fullmatch(r"(-?[\d,]*\.?\d+)\s?([^\d].*)?", value.strip())
    number = float(found[1].replace(",", "")) if found else None
    return {"what": name, "value": value.strip(), "number": number,
            "unit": (found[2] or "") if found else "", "to_reach": limit}


WIDTH = 84
said = ""  # the last name that wasn't indented: what stands below belongs to it


def whole(name):
    """A name for machines, who read no indentation."""
    global said
    if not name.startswith(" "):
        said = name
        return name
    return f"{said}: {name.strip()}"


def line(name, value, limit=""):
    return f"{name:<{WIDTH}} {value:>18}  {limit}".rstrip()


def say(name, value, limit=""):
    print(line(name, value, limit), flush=True)
    file = os.environ.get("OSM_BENCH_FIGURES")
    if file:
        with open(file, "a") as f:
            f.write(json.dumps(record(whole(name), value, limit) | {"shown": name}) + "\n")


def machine():
    """What the figures are of."""
    cpu = next((x.split(": ")[1] for x in open("/proc/cpuinfo") if x.startswith("model name")), "?")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                            text=True).stdout.strip()
    return {"cores": os.cpu_count(), "cpu": cpu.strip(), "kernel": os.uname().release,
            "commit": commit or "unknown", "load": round(os.getloadavg()[0], 2)}


def machine_line(m):
    return (f"{m['cores']} cores, {m['cpu']}, Linux {m['kernel']}, commit {m['commit']}, "
            f"load {m['load']}")
