"""Our check of regular expressions against RE2 itself, the engine that Envoy has: what we accept it
compiles, and to no larger a program than we said; what we refuse it refuses too, but for the few
reasons that are ours."""
import os
import pathlib
import random
import subprocess

import re2

CHECKER = pathlib.Path(os.environ["OSM_BUILD"]) / "test/unit/regex_lines"
# Stricter than RE2 on purpose: our limits, and characters outside ASCII where Envoy reads bytes.
OURS = ("characters, ", "zero byte", "too complex", "nested", "deep", "ASCII", "UTF-8")
ATOMS = [b"a", b"b", b".", b"\\d", b"\\W", b"\\pL", b"\\p{Greek}", b"[a-z]", b"[^0-9_]", b"[[:alpha:]]",
         b"(", b"(?:", b"(?i)", b"(?P<n>", b")", b"|", b"*", b"+", b"?", b"{2}", b"{1,3}", b"{,2}",
         b"{3,1}", b"{1001}", b"{0,}", b"*?", b"**", b"^", b"$", b"\\b", b"\\A", b"\\z", b"\\Z", b"\\Q",
         b"\\E", b"\\", b"[", b"]", b"-", b"\\x41", b"\\x{263a}", b"\\C", b"\\1", b"(?=", b"(?<n>", b"/",
         b"\\n", b"\\/", b"\xc3\xa9", b"{", b"}", b"(?s:", b"[]a]", b"[a-\\d]", b"[z-a]"]
PLAIN = [b"", b".*", b"/books/[0-9]+", b"/a(b|c)*d", b"(?i)agent-.*", b"^$", b"a{1000}", b"(a{100}){10}",
         b"((((((((((a))))))))))", b"(a|b|c|d|e)+/x", b"[a-z0-9]([-a-z0-9]*[a-z0-9])?", b"a" * 1024]


def ours(patterns):
    text = b"".join(b"%d\n%s" % (len(p), p) for p in patterns)
    out = subprocess.run([CHECKER], input=text, capture_output=True, check=True).stdout
    lines = out.decode(errors="replace").splitlines()
    assert len(lines) == len(patterns)
    return [line.partition(" ")[::2] for line in lines]


def theirs(pattern):
    """The size of RE2's program, or None when it refuses."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    try:
        return re2.compile(pattern, options).programsize
    except re2.error:
        return None


def compare(patterns):
    counts = {"ok": 0, "bad": 0}
    for pattern, (verdict, detail) in zip(patterns, ours(patterns)):
        size = theirs(pattern)
        counts[verdict] += 1
        if verdict == "ok":
            assert size is not None, f"{pattern!r}: accepted, RE2 refuses it"
            assert size <= int(detail), f"{pattern!r}: a program of {size}, said at most {detail}"
        elif not any(reason in detail for reason in OURS):
            assert size is None, f"{pattern!r}: refused ({detail}), RE2 accepts it"
    return counts


def test_expressions_that_people_write():
    assert compare(PLAIN)["ok"] == len(PLAIN)


def test_random_expressions():
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed}")
    roll = random.Random(seed)
    patterns = [b"".join(roll.choice(ATOMS) for _ in range(roll.randrange(1, 9)))
                for _ in range(20000)]
    counts = compare(patterns)
    assert min(counts.values()) > 1000, counts
