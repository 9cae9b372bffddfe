"""What is the same for every command: JSON, examples, exit statuses, errors, completion, and where output goes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tinyms_core.cli.commands.completion import SHELLS
from tinyms_core.cli.docstring import docstring, formulas
from tinyms_core.cli.errors import ExitStatus
from tinyms_core.cli.filters import FLAGS, KINDS
from tinyms_core.cli.main import cli
from tinyms_core.cli.names import distinct
from tinyms_core.cli.output import console, plain_table, write_json
from tinyms_core.cli.plain_math import plain_math
from tinyms_core.registry import list_optimizers, optimizer_info
from tinyms_core.registry.registry import OptimizerRegistry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "command-line.md"
PROGRAM = Path(sys.executable).parent / "tinyms-optim"
COMMANDS = sorted(cli.commands)


def examples(command: click.Command) -> list[str]:
    """The lines of a help text that begin with this program."""
    return re.findall(r"^ *(?:[A-Z_]+=\S+ )?(tinyms-optim .*)$", command.help or "", re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_a_traceback_and_examples(name):
    command = cli.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--traceback"} <= options
    assert examples(command)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.show_default, f"{name} {parameter.opts} says nothing of itself"


@pytest.mark.parametrize("example", [text for command in (cli, *cli.commands.values()) for text in examples(command)])
def test_every_example_in_a_help_text_is_a_valid_command(example, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, name, *arguments = shlex.split(example.partition(" > ")[0])
    with cli.commands[name].make_context(name, arguments):
        pass


@pytest.mark.parametrize("name", [*COMMANDS, ""])
def test_help_fits_a_terminal_of_80_columns(name):
    shown = CliRunner().invoke(cli, [*([name] if name else []), "--help"], terminal_width=80).output
    assert "..." not in shown.partition("Commands:")[2], "a short help that is cut"
    long = [line for line in shown.splitlines() if len(line) > 100]
    assert not long, long


def test_the_page_lists_every_option_of_list():
    text = PAGE.read_text(encoding="utf-8")
    for parameter in cli.commands["list"].params:
        if isinstance(parameter, click.Option) and parameter.opts[0] not in ("--json", "--traceback"):
            assert f"`{parameter.opts[0]}" in text, parameter.opts[0]


class TestJson:
    """One option everywhere: a file, or the standard output."""

    @pytest.mark.parametrize("given", [["--json"], ["--json", "-"], ["--json=-"]])
    def test_it_goes_to_the_standard_output_alone(self, run, given):
        result = run("info", "adam", *given)
        assert json.loads(result.stdout)["name"] == "adam"
        assert result.stderr == ""

    @pytest.mark.parametrize(("command", "key"), [(["info", "adam"], "name"), (["doctor"], "healthy")])
    def test_beside_a_file_the_page_is_shown(self, run, tmp_path, command, key):
        path = tmp_path / "found.json"
        result = run(*command, "--json", str(path))
        assert result.exit_code == 0
        assert key in json.loads(path.read_text())
        assert "adam" in result.stdout
        assert "{" not in result.stdout

    def test_what_new_has_written_is_data(self, run, tmp_path):
        result = run("new", "json_demo", "--output", str(tmp_path), "--json")
        found = json.loads(result.stdout)
        assert {str(path.relative_to(found["folder"])) for path in Path(found["folder"]).rglob("*.toml")} <= set(
            found["files"]
        )
        assert found["next"][0] == f"cd {tmp_path / 'json_demo'}"

    def test_a_word_behind_it_is_not_taken_for_a_file(self, run):
        result = run("info", "--json", "adam")
        assert result.exit_code == 2
        assert "'adam' does not end in .json; put --json last" in result.stderr

    @pytest.mark.parametrize("folder", ["/proc", "/no-such-folder"])
    def test_a_place_that_cannot_be_written_to_is_refused_at_once(self, run, folder):
        result = run("list", "--json", f"{folder}/found.json")
        assert result.exit_code == 2
        assert f"'{folder}' is not a folder that can be written to" in result.stderr

    def test_what_has_no_number_is_null(self, tmp_path):
        write_json({"a": [float("nan"), float("inf"), 1.5]}, str(tmp_path / "a.json"))
        assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, None, 1.5]}


class TestFilters:
    """`list` with options: what is shown has what is asked for, and what is not shown has it not."""

    @staticmethod
    def _names(run, *options: str) -> set[str]:
        result = run("list", *options, "--json")
        assert result.exit_code == 0, result.output
        return {row["name"] for row in json.loads(result.stdout)}

    @pytest.mark.parametrize("flag", FLAGS)
    def test_a_capability(self, run, flag):
        able = self._names(run, "--with", flag)
        assert able == {name for name in list_optimizers() if getattr(optimizer_info(name).capabilities, flag)}
        assert able ^ self._names(run, "--without", flag) == set(list_optimizers())

    def test_each_optimizer_is_of_one_kind(self, run):
        found = [self._names(run, "--kind", kind) for kind in KINDS]
        assert set.union(*found) == set(list_optimizers())
        assert sum(map(len, found)) == len(list_optimizers())
        assert ("adam" in found[0], "lamb" in found[1], found[2], found[3]) == (True, True, {"lars"}, {"thor"})

    def test_options_together(self, run):
        options = ("--sparse", "exact", "--sparse", "lazy", "--weight-decay", "update", "--max-state", "8")
        found = self._names(run, *options, "--device", "GPU", "--dtype", "bfloat16", "--mode", "jit")
        assert found
        for name in list_optimizers():
            spec = optimizer_info(name)
            can = spec.capabilities
            asked = can.sparse != "none" and can.weight_decay == "update" and spec.state_bytes_per_element() <= 8
            kernels = {status.spec.device for status in spec.kernels}
            assert (name in found) is (asked and "GPU" in kernels and "bfloat16" in can.dtypes and "jit" in can.modes)

    def test_nothing_left_says_so(self, run):
        result = run("list", "--kind", "network", "--sparse", "exact")
        assert result.exit_code == 0
        assert "No optimizers are all that is asked for" in result.stderr

    def test_a_value_that_is_none_is_refused(self, run):
        result = run("list", "--with", "speed")
        assert result.exit_code == 2
        assert "'speed' is not one of" in result.stderr


class TestExitStatus:
    """Each status of the page is reached by what the page says of it."""

    def test_the_page_and_the_help_name_the_same(self):
        rows = re.findall(
            r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8").partition("## Exit status")[2], re.MULTILINE
        )
        assert [int(row) for row in rows] == [*ExitStatus, 130]
        assert re.findall(r"^ +(\d+)  ", cli.help or "", re.MULTILINE) == rows

    def test_0(self, run):
        assert run("list").exit_code == 0

    @pytest.mark.parametrize(
        "arguments", [["lst"], ["info"], ["info", "adm"], ["list", "--kind", "x"], ["info", "adam", "-x"]]
    )
    def test_2_is_what_the_message_explains(self, run, arguments):
        result = run(*arguments)
        assert result.exit_code == 2
        assert re.search(r"^(Error|error): ", result.stderr, re.MULTILINE)

    @pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (ZeroDivisionError, 3)])
    def test_130_is_an_interruption_and_3_what_nobody_expected(self, run, monkeypatch, error, status):
        def fail(name: str) -> None:
            raise error

        monkeypatch.setattr("tinyms_core.cli.commands.info.optimizer_info", fail)
        result = run("info", "adam")
        assert result.exit_code == status
        assert "Traceback" not in result.output

    @pytest.mark.parametrize("arguments", [["--traceback", "info", "adamm"], ["info", "--traceback", "adamm"]])
    def test_the_traceback_is_asked_for_before_or_behind_the_command(self, run, arguments):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "Traceback" in result.stderr


def test_a_folder_of_pictures_that_cannot_be_written_to_is_refused_at_once(run):
    for arguments in (["train", "adam", "--output"], ["compare", "adam", "--output"], ["bench", "adam", "--plots"]):
        result = run(*arguments, "/proc")
        assert result.exit_code == 2
        assert f"{arguments[-1]}: '/proc' is a folder that no file can be written to" in result.stderr


@pytest.mark.parametrize("command", ["warmup", "compare"])
def test_an_unknown_hyperparameter_is_told_with_the_known_ones(run, command, tmp_path):
    output = ["--output", str(tmp_path)] if command == "compare" else []
    result = run(command, "adam", "lion", *output, "--set", "bta1=0.5")
    assert result.exit_code == 2
    assert "none of adam, lion has a hyperparameter 'bta1': adam has learning_rate, beta1" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--max-state", "nan"],
        ["bench", "adam", "--limit", "nan"],
        ["train", "adam", "--goal", "nan"],
        ["train", "adam", "--learning-rate", "nan"],
        ["compare", "adam", "--target", "nan"],
    ],
)
def test_nan_is_no_number(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments[-2]}': 'nan' is not a number" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("bench adam --scaling --shapes large --memory", "--shapes, --memory would change nothing with --scaling"),
        ("bench adam --cold-start --steps 3 --plots x", "--steps, --plots would change nothing with --cold-start"),
        ("bench adam --largest 100000", "--largest would change nothing without --scaling"),
        ("bench adam --scaling --mode pynative,graph", "--scaling is for one --mode, got pynative, graph"),
        ("bench adam --scaling --dtype float32,float16", "--scaling is for one --dtype, got float32, float16"),
        ("bench adam --around sgd", "--around would change nothing for optimizers of which none is built around"),
        ("train adam lamb --around sgd", "--around would change nothing"),
        ("warmup adam --around sgd", "--around would change nothing"),
        ("gallery adam --around sgd", "--around would change nothing"),
        ("check adam --list", "[NAME]... would change nothing with --list"),
        ("check --list --all --mode graph -v", "--all, --mode, --verbose would change nothing with --list"),
        ("check adam --fuzz 3 --jobs 2", "--jobs would change nothing with --fuzz"),
        ("check adam --fuzz 3 --peer mindspore", "--peer would change nothing with --fuzz"),
        ("check adam --peer mindspore --jobs 2", "--jobs would change nothing with --peer"),
        ("compare adam --learning-rate 0.1 --trials 3", "--trials would change nothing with --learning-rate"),
    ],
)
def test_what_would_change_nothing_is_refused(run, arguments, told):
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert told in result.stderr


def test_an_optimizer_by_two_names_is_one():
    assert distinct(["Adam", "lamb", "tinyms-adam:adam", "adam"]) == ["Adam", "lamb"]


@pytest.mark.parametrize("command", ["gallery", "bench", "check", "warmup"])
def test_without_optimizers_a_command_says_what_to_install(run, use_registry, tmp_path, command):
    more = {"gallery": ["--output", str(tmp_path / "pictures")], "check": ["--all"]}.get(command, [])
    with use_registry(OptimizerRegistry(search_path=[str(tmp_path)])):
        result = run(command, *more)
    assert result.exit_code == 2
    assert "no optimizers are installed; install one, such as: pip install tinyms-adam" in result.stderr
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(("columns", "width"), [("0", 200), ("wide", 200), ("", 200), ("33", 33)])
def test_a_width_that_is_none_is_not_taken(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert console().width == width


class TestFormulas:
    """`info` shows formulas as text; of a class that is not imported."""

    @pytest.mark.parametrize("name", list_optimizers())
    def test_every_optimizer_of_this_project_has_one_with_a_plain_form(self, name):
        found = formulas(docstring(optimizer_info(name)))
        assert found
        lines = [line for formula in found for line in plain_math(formula)]
        assert all(line.count("(") == line.count(")") for line in lines)
        assert not set("\\{}") & set("".join(lines)), lines

    @pytest.mark.parametrize(
        ("tex", "plain"),
        [
            (r"\frac{a}{b} c", "(a / b) c"),
            (r"\frac{a + 1}{b}", "(a + 1) / b"),
            (r"\frac{a}{b} + c", "a / b + c"),
            (r"\sqrt{a_t + 1}^2", "√(aₜ + 1)²"),
            (r"x^{q+w}_{\max}", "x^(q+w)_(max)"),
            (r"\lVert w_{t-1} \rVert", "‖wₜ₋₁‖"),
            (r"\unheardof{x}", r"\unheardof{x}"),
            (r"\frac{a", r"\frac{a"),
        ],
    )
    def test_what_is_written(self, tex, plain):
        assert plain_math(tex) == [plain]

    def test_without_signs_it_is_tex(self):
        done = subprocess.run(
            [PROGRAM, "info", "lamb"], capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
        )
        assert r"\beta_1 m_{t-1}" in done.stdout.decode("ascii")

    def test_no_source_is_no_formula(self):
        assert docstring(optimizer_info("adam")).startswith("Adaptive moment estimation.")
        assert formulas("") == []


class TestWhereOutputGoes:
    """Terminals of any width, and none."""

    @pytest.mark.parametrize("width", [40, 60, 80, 120])
    @pytest.mark.parametrize("arguments", [["list"], ["info", "muon"], ["doctor"]])
    def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(self, arguments, width):
        result = CliRunner(env={"COLUMNS": str(width)}).invoke(cli, arguments)
        assert result.exit_code in (0, 1)
        assert max(map(len, result.stdout.splitlines())) <= width
        assert "…" not in result.stdout

    def test_a_table_that_does_not_fit_is_a_block_for_each_row(self, capsys, monkeypatch):
        table = plain_table("Title", caption="Caption")
        for heading in ("name", "where\nfrom", "empty"):
            table.add_column(heading)
        table.add_row("adam", "a-long-word" * 3, "")
        for width, shape in ((80, "│ adam │"), (30, "name        adam")):
            monkeypatch.setenv("COLUMNS", str(width))
            console().print(table)
            shown = capsys.readouterr().out
            assert shape in shown
            assert "Title" in shown
            assert "Caption" in shown
        assert "where from" in shown
        assert "empty" not in shown

    def test_without_a_terminal_there_is_no_colour(self):
        done = subprocess.run([PROGRAM, "doctor"], capture_output=True, check=True)
        assert b"\x1b" not in done.stdout

    def test_no_color_is_heard(self, run, monkeypatch):
        monkeypatch.setattr("tinyms_core.cli.commands.doctor.versions", lambda: {"mindspore": None})
        monkeypatch.setenv("FORCE_COLOR", "1")
        red = re.compile(r"\x1b\[3[0-7]m")
        assert red.search(run("doctor").stdout)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not red.search(run("doctor").stdout)


class TestCompletion:
    """What shells are given, and what they ask for."""

    @pytest.mark.parametrize("shell", SHELLS)
    def test_a_script_asks_this_program(self, run, shell):
        result = run("completion", shell)
        assert result.exit_code == 0
        assert f"_TINYMS_OPTIM_COMPLETE={shell}_complete" in result.stdout
        assert json.loads(run("completion", shell, "--json").stdout)["script"] == result.stdout.rstrip("\n")

    @pytest.mark.parametrize("shell", SHELLS)
    def test_a_script_is_one_of_its_shell(self, run, shell):
        found = shutil.which(shell)
        if found is None:
            pytest.skip(f"{shell} is not installed")
        subprocess.run([found, "-n"], input=run("completion", shell).stdout, text=True, check=True)

    @pytest.mark.parametrize(
        ("shell", "words", "place", "expected"),
        [
            ("bash", "tinyms-optim info ada", 2, {"plain,adam", "plain,adafactor"}),
            ("bash", "tinyms-optim train adam ada", 3, {"plain,adamw"}),
            ("bash", "tinyms-optim bench lars --around mom", 4, {"plain,momentum"}),
            ("bash", "tinyms-optim com", 1, {"plain,compare", "plain,completion"}),
            ("bash", "tinyms-optim list --spars", 2, {"plain,--sparse"}),
            ("bash", "tinyms-optim bench --mode pynative,j", 3, {"plain,pynative,jit"}),
            ("fish", "tinyms-optim info lam", None, {"plain,lamb"}),
            ("zsh", "tinyms-optim info lam", 2, {"lamb"}),
        ],
    )
    def test_names_and_options_are_completed(self, shell, words, place, expected):
        variables = {"_TINYMS_OPTIM_COMPLETE": f"{shell}_complete", "COMP_WORDS": words}
        variables["COMP_CWORD"] = words.split()[-1] if place is None else str(place)
        result = CliRunner(env=variables).invoke(cli, prog_name="tinyms-optim")
        assert expected <= set(re.split(r"[\n\t]", result.stdout)), result.output
        if shell != "bash":
            assert "layer by layer" in result.stdout, "the summary stands beside the name"
        if "train" in words:
            assert "plain,adam\n" not in result.stdout, "what is there already is not offered"

    def test_bash_completes(self):
        bash = shutil.which("bash")
        if bash is None:
            pytest.skip("bash is not installed")
        script = (
            'eval "$(tinyms-optim completion bash)"; COMP_WORDS=(tinyms-optim info lam); COMP_CWORD=2; '
            '_tinyms_optim_completion tinyms-optim; echo "${COMPREPLY[@]}"'
        )
        path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run([bash, "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path})
        assert done.stdout.split() == ["lamb"], done.stderr
