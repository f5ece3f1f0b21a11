"""The examples in a page: found by their fences, run, and shown with what they print.

    ```{run}            commands that run in the sandbox; their output is shown
    ```{run} exit=7     the last command ends with that exit code; its errors are shown
    ```{run} hide       only the commands are shown
    ```{run} lines=8    only the first lines of the output are shown
    ```sh               commands that are too slow to run: they are checked to parse
    ```python           runs in the sandbox, after the Python before it on the page
    ```toml             a recipe, or sections of one: read as such

Behind the comment ``<!-- not run: why -->`` Python is only compiled, and other blocks are left alone.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from deploytool.recipe import parse_recipe
from manual.commands import commands, own_options
from manual.sandbox import PROJECT, Outcome, Sandbox, smaller_recipe

FENCE: Final = re.compile(
    r"(?:^<!-- not run: (?P<why>[^>]*) -->\n+)?^```(?P<language>\{run\}|\w+)(?P<options>[^\n]*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    """One fenced block of a page. ``why`` says why it is not run, where it is not."""

    language: str
    options: str
    body: str
    line: int
    why: str = ""

    @property
    def commands(self) -> list[str]:
        """The commands, one per line; a backslash at the end of a line goes on in the next one."""
        lines = self.body.replace("\\\n", " ").splitlines()
        return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]

    @property
    def exit_code(self) -> int:
        found = re.search(r"exit=(\d+)", self.options)
        return int(found[1]) if found else 0


def examples(text: str) -> Iterator[Example]:
    """The fenced blocks of a page in order."""
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        language = match["language"].strip("{}")
        yield Example(language, match["options"].strip(), match["body"], line, (match["why"] or "").strip())


def shown(text: str, sandbox: Sandbox) -> str:
    """``text`` with every ``{run}`` block as what a terminal shows; every other block is checked on the way."""
    names: dict[str, Any] = {}

    def replacement(match: re.Match[str]) -> str:
        example = next(examples(match[0]))
        if example.language == "run":
            return f"```console\n{''.join(_transcript(example, sandbox))}```"
        check(example, sandbox, names)
        return match[0].removeprefix(f"<!-- not run: {example.why} -->\n")

    return FENCE.sub(replacement, text)


def _transcript(example: Example, sandbox: Sandbox) -> Iterator[str]:
    source = [line for line in re.split(r"(?<!\\)\n", example.body) if line.strip()]
    commands_ = [line for line in source if not line.startswith("#")]
    for line, command in zip(commands_, example.commands, strict=True):
        outcome = run(example, command, sandbox)
        yield f"$ {sandbox.named(line)}\n"
        output = outcome.stdout or outcome.stderr
        if "hide" not in example.options:
            yield _cut(output, example.options)


def _cut(output: str, options: str) -> str:
    """The output without spaces at the ends of lines, and only its first lines where ``options`` says so."""
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    if found := re.search(r"lines=(\d+)", options):
        count = int(found[1])
        lines = lines[:count] + ["..."] * (len(lines) > count)
    return "".join(f"{line}\n" for line in lines)


def run(example: Example, command: str, sandbox: Sandbox) -> Outcome:
    """What ``command`` does. Raises AssertionError unless it ends as the example says."""
    wanted = example.exit_code if command == example.commands[-1] else 0
    outcome = sandbox.run(command)
    said = f"{command}\nexit code {outcome.exit_code}, expected {wanted}\n{outcome.stdout}{outcome.stderr}"
    assert outcome.exit_code == wanted, said
    return outcome


def check(example: Example, sandbox: Sandbox, names: dict[str, Any]) -> None:
    """Runs ``example``, or checks what can be checked of it. Raises AssertionError, or what the example raises."""
    match example.language:
        case "run":
            for command in example.commands:
                run(example, command, sandbox)
        case "sh":
            for command in example.commands:
                parse(command)
        case "python":
            code = compile(example.body, f"<line {example.line}>", "exec")
            if not example.why:
                with sandbox.inside(), contextlib.redirect_stdout(io.StringIO()):
                    exec(code, names)
        case "toml" if not example.why:
            parse_recipe(completed(tomllib.loads(example.body)), f"line {example.line}")


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """A whole recipe: ``values``, and what they leave out from that of the digits."""
    complete = tomllib.loads(smaller_recipe())
    for name, section in values.items():
        own = complete.get(name, {})
        whole = name == "network" or not isinstance(section, dict) or {"set", "method"} & section.keys()
        complete[name] = section if whole else {**own, **section}
    return complete


def parse(command: str) -> None:
    """Raises AssertionError unless ``command`` could run: its options, extras, make targets and files exist."""
    words = shlex.split(command)
    match words:
        case ["deploytool", *arguments]:
            _parse_deploytool(arguments)
        case ["torchrun", *_, "-m", "deploytool", _, _] | ["python", "-m", "deploytool", *_]:
            _parse_deploytool(words[words.index("deploytool") + 1 :])
        case ["make", *given]:
            targets = [word for word in given if "=" not in word]
            makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
            assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), command
        case ["python", "-m", "tests.fuzz", family, *_]:
            families = (PROJECT / "tests" / "fuzz" / "families").glob("*.py")
            assert any(f'"{family}"' in path.read_text(encoding="utf-8") for path in families), command
        case ["pip", "install", *packages] | ["python", "-m", "pip", "install", *packages]:
            _require_extras(re.findall(r"\[([\w,-]+)\]", " ".join(packages)))
        case ["pip", "wheel", "--no-deps", "."]:
            assert "pip wheel" in (PROJECT / ".ci" / "wheel-check").read_text(encoding="utf-8"), command
        case ["docker", "build", "--build-arg", argument, "-t", "deploytool", "."]:
            assert (PROJECT / "Dockerfile").is_file(), command
            _require_extras([argument.removeprefix("EXTRAS=")])
        case ["docker", "run", "--rm", "-v", _, "deploytool", *arguments]:
            _parse_deploytool(arguments)
        case ["pytest", folder, "--device", _]:
            assert (PROJECT / folder).is_dir(), command
        case _:
            raise AssertionError(f"nobody knows whether this works: {command}")


def _require_extras(groups: list[str]) -> None:
    """Raises AssertionError unless every extra in ``groups``, such as "onnx,datasets", exists."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {extra for group in groups for extra in group.split(",")}
    assert wanted <= project["optional-dependencies"].keys(), wanted


def _parse_deploytool(arguments: list[str]) -> None:
    if len(arguments) == 1 and arguments[0] in own_options():
        return
    known = commands()
    count = 2 if " ".join(arguments[:2]) in known else 1
    name = " ".join(arguments[:count])
    assert name in known, f"no command {name}"
    known[name].make_context(name, list(arguments[count:]))
