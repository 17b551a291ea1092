"""What is printed: any text on any console, and streams that are full, closed or read no further."""

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Table

import spquant_snn
from cases import case
from spquant_snn import RunError
from spquant_snn.io.output import Outlet, encodable, finish, lines, say, say_error, say_json, styled, visible
from spquant_snn.io.terminal import print_tables, to_stderr, to_stdout
from spquant_snn.train.console import Display
from spquant_snn.train.metrics import LayerActivity, Metrics

PACKAGE = Path(spquant_snn.__file__).parent
ANY = st.text(st.characters(exclude_categories=()))  # with surrogates
WILD = "a\x1b[31m\x07\r\n\x9b2J\u202e\u2028\udcff\x7fé→z"
ENCODINGS = ["ascii", "latin-1", "cp1252", "utf-8", "utf-16", "shift_jis"]


def stream(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="")


def written(target):
    target.flush()
    return target.buffer.getvalue().decode(target.encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=ANY)
def test_any_text_is_one_line_on_any_console(encoding, text):
    target = stream(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", target)
        say(text)
    found = written(target)
    assert found.endswith("\n")
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in found[:-1])
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI") for c in found)


@given(text=st.text(st.characters(codec="ascii", exclude_categories=("Cc",))))
def test_plain_text_stays_as_it_is(text):
    assert visible(text) == styled(text) == encodable(text, "ascii") == text


def test_what_is_not_seen_is_written_out():
    assert visible(WILD) == r"a\x1b[31m\x07\r\n\x9b2J\u202e\u2028\udcff\x7fé→z"
    assert lines("a\n\tb") == "a\n\\tb"
    assert styled("\x1b[1mbold\x1b[0m\x1b[2J") == "\x1b[1mbold\x1b[0m\\x1b[2J"


def test_what_a_console_lacks_is_replaced_by_its_like():
    assert encodable("3×3→µ…", "ascii") == "3x3>u~"
    assert encodable("é", "ascii") == "\\xe9"
    assert encodable("é×", "latin-1") == "é×"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("terminal", [False, True])
def test_tables_and_bars_of_any_names_are_drawn_on_any_console(encoding, terminal, monkeypatch):
    for name, color in (("FORCE_COLOR", terminal), ("TTY_COMPATIBLE", terminal)):
        monkeypatch.setenv(name, str(int(color)))
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", stream(encoding))
    monkeypatch.setattr(sys, "stderr", stream(encoding))
    table = Table("what", WILD)
    table.add_row(WILD * 9, "×")
    print_tables([table, WILD])
    for console in (to_stdout(), to_stderr()):
        with Progress(console=console) as bar:
            bar.advance(bar.add_task(WILD, total=2))
    with Display(1) as display:
        display.begin(0, 1)
        display.step(0.5, 50.0)
        display.end(0, 60.0, Metrics(50.0, 0.5, (LayerActivity(WILD, 0.0, 0.0, 1.0),)), best=True)
        display.say(WILD)
    for target in (sys.stdout, sys.stderr):
        found = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written(target)).replace("\r", "")  # what rich draws with
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", found)
        assert "\x07" not in found
    drawn = [line for line in written(sys.stdout).splitlines() if "what" in line or "x1b" in line]
    assert drawn
    assert encoding.startswith("utf") or not set("│━┃") & set(written(sys.stdout))


@given(
    st.recursive(st.one_of(st.floats(), ANY, st.integers(), st.none()), lambda x: st.dictionaries(ANY, x) | st.lists(x))
)
def test_data_are_always_json(value):
    target = stream("ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", target)
        say_json(value)

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(written(target), parse_constant=refuse)
    assert isinstance(found, type(value)) or (isinstance(value, float) and not math.isfinite(value) and found is None)


class Failing(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error


FULL, GONE = OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")
WAYS = {
    "say": lambda: say("x"),
    "say_json": lambda: say_json({}),
    "tables": lambda: print_tables(["x"]),
    "display": lambda: Display(1).say("x"),
    "finish": finish,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_every_way_to_a_stream_that_fails_ends_alike(monkeypatch, way, name):
    monkeypatch.setattr(sys, name, Failing(FULL))
    if name == "stderr":
        way()
        say_error("x")
        to_stderr().print("x")
        return
    with pytest.raises(RunError, match=r"standard output cannot be written \(No space left on device\)"):
        way()
    monkeypatch.setattr(sys, name, Failing(GONE))
    with pytest.raises(BrokenPipeError):
        way()
    monkeypatch.setattr(sys, name, None)
    way()


def test_a_stream_that_is_closed_is_nowhere():
    outlet = Outlet(None)
    assert (outlet.write("x"), outlet.isatty(), outlet.encoding) == (1, False, "utf-8")
    with pytest.raises(OSError, match="closed"):
        outlet.fileno()


def test_nothing_is_printed_by_another_way():
    for path in sorted(PACKAGE.rglob("*.py")):
        with case(path):
            if path.stem in ("output", "terminal"):
                continue
            source = re.sub(r'""".*?"""', "", path.read_text("utf-8"), flags=re.DOTALL)
            assert not re.search(r"(?<![\w.])print\(|\bConsole\(|std(out|err)\.write", source)
            assert all("console=" in bar for bar in re.findall(r"Progress\(\*.*", source))


def shell(words, folder, **environment):
    """Exit code and standard error of a command with redirections."""
    call = ["bash", "-c", f'"$0" -m spquant_snn {words}', sys.executable]
    given = os.environ | {"PYTHONUNBUFFERED": ""} | environment
    ended = subprocess.run(call, capture_output=True, timeout=120, check=False, cwd=folder, env=given)
    return ended.returncode, ended.stderr.decode(errors="replace")


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
FULL_SAYS = "spquant: standard output cannot be written (No space left on device): make room, or send it elsewhere\n"


@pytest.mark.slow
@needs_full
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--help > /dev/full", 2, FULL_SAYS),
        ("doctor > /dev/full", 2, FULL_SAYS),
        ("eval nowhere 2> /dev/full", 2, ""),
        ("eval --wings > /dev/full 2>&1", 2, ""),
        ("--help >&-", 0, ""),
        ("--help >&- 2>&- <&-", 0, ""),
        ("eval nowhere 2>&-", 2, ""),
        ("--help | true; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_process_whose_streams_fail_ends_quietly_with_its_code(tmp_path, words, code, said, unbuffered):
    assert shell(words, tmp_path, PYTHONUNBUFFERED=unbuffered) == (code, said)


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}


@pytest.mark.slow
def test_a_training_of_any_name_on_an_ascii_console_comes_to_its_end(tmp_path):
    name = r"$'n\xff\x1b[31m\u00e9'"
    options = "--dataset digits --model lenet-snn:0.1 --epochs 1"
    code, said = shell(f"train {options} --out {name} > out", tmp_path, **ASCII)
    assert (code, said) == (0, "")
    assert rb"run folder n\udcff\x1b[31m" in (tmp_path / "out").read_bytes()
    code, said = shell(f"report {name} --count 5 > out", tmp_path, **ASCII)
    assert (code, said) == (0, "")
    assert b"\x1b" not in (tmp_path / "out").read_bytes()
    page = next(tmp_path.glob("n*/report.html")).read_bytes()
    assert b"\x1b" not in page
    assert rb"n\udcff\x1b[31m" in page


COMMAND = """
import sys
from spquant_snn.__main__ import process
print("here", flush=True)
sys.exit(process())
"""


@pytest.mark.parametrize("moment", [0.02, 0.1, 0.5, 2.0])
def test_ctrl_c_at_any_moment_is_one_line(tmp_path, moment):
    call = [sys.executable, "-c", COMMAND, "train", "--dataset", "digits", "--epochs", "9999", "--out", "x"]
    process = subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **HEARD)
    assert process.stdout.readline() == "here\n"  # Python has started, which takes Ctrl-C in its own way
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "spquant: stopped\n")
    assert not out or out.splitlines()[-1].endswith("spquant train --resume x")


# Shells make Ctrl-C ignored in what they start in the background, and it stays so.
HEARD = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)} if os.name == "posix" else {}

STOPS = """
import os, signal, sys, time
from spquant_snn.cli import stopping
STOP = "os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)"
def main():
    try:
        act()
        return 0
    except KeyboardInterrupt:
        return stopping.stopped()
{}
sys.exit(stopping.run_as_process(main))
"""
DEAF = """
class Deaf:
    def __del__(self):
        {}
def act():
    Deaf()
    while True: time.sleep(0.01)
"""
WAYS_TO_STOP = {
    "plain": "def act(): exec(STOP)",
    "swallowed": DEAF.format("os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)"),
    "swallowed in a text": DEAF.format("exec(STOP)"),
    "another error": """
def act():
    try: exec(STOP)
    except BaseException: raise ImportError("no numpy")
""",
    "passed over": """
def act():
    try: exec(STOP)
    except BaseException: pass
""",
    "at exit": """
import atexit
def act(): atexit.register(lambda: exec(STOP))
""",
    "in a thread that is waited for": """
import threading
def act(): threading.Thread(target=lambda: (time.sleep(0.3), exec(STOP))).start()
""",
}


@pytest.mark.parametrize("act", WAYS_TO_STOP.values(), ids=WAYS_TO_STOP)
def test_whatever_becomes_of_a_ctrl_c_it_ends_with_130(act, tmp_path):
    (tmp_path / "stops.py").write_text(STOPS.format(act), "utf-8")
    call = [sys.executable, "-m", "stops"]  # as the command: a module ends otherwise than a text or a file
    ended = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, **HEARD)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "spquant: stopped\n")
