"""What is published: workflows, metadata and what a package must hold agree with one another."""

import configparser
import re
from pathlib import Path

import pytest
import yaml

import s5_hf

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read_yaml(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def jobs():
    return read_yaml(".github/workflows/tests.yml")["jobs"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_parse_and_every_job_has_a_machine_or_a_workflow(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["name"] == path.stem
    assert content[True]  # what YAML 1.1 reads in place of "on"
    for job in content["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
        else:
            assert job["runs-on"] and all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_tests_run_on_three_systems_and_every_python_that_is_promised(setup, jobs):
    matrix = jobs["newest"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    classifiers = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    assert matrix["python"] == classifiers == ["3.10", "3.11", "3.12", "3.13"]
    assert setup["options"]["python_requires"] == f">={classifiers[0]}"


def test_the_oldest_transformers_that_is_allowed_is_tested(setup, jobs):
    allowed = re.search(r"^transformers>=([\d.]+)$", setup["options"]["install_requires"], re.MULTILINE)[1]
    commands = " ".join(step.get("run", "") for step in jobs["oldest"]["steps"])
    assert f"transformers=={allowed}.0" in commands
    assert f"transformers {allowed} and later" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_continuous_integration_runs_both_test_commands_of_the_readme(jobs):
    assert any(step.get("run") == ".ci/run" for step in jobs["pinned"]["steps"])
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["make test", "make test-kernels"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in lines[-2:]:
        assert re.search(rf"^{command} +#", readme, re.MULTILINE), command


def test_kernel_tests_name_files_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    names = re.search(r"^NUMBERS := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)[1].replace("\\", " ").split()
    assert len(names) >= 5
    assert [name for name in names if not (ROOT / name).exists()] == []
    recipe = makefile.split("\ntest-kernels:")[1].split("\n\n")[0]
    assert "ATEN_CPU_CAPABILITY=default" in recipe and "S5_HF_SHIFT_WEIGHTS=1" in recipe


def test_pre_commit_uses_the_pinned_ruff():
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]
    pinned = re.search(r"^ruff==([\d.]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert repository["rev"] == f"v{pinned}"
    assert {hook["id"] for hook in repository["hooks"]} == {"ruff-check", "ruff-format"}


def test_the_citation_names_this_version_and_the_paper():
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == s5_hf.__version__
    paper = citation["preferred-citation"]
    assert "arXiv:2508.12409" in [identifier["value"] for identifier in paper["identifiers"]]
    assert [author["family-names"] for author in paper["authors"]] == ["Lv", "Wang", "Zhang", "Zhang"]


def test_type_hints_are_published_and_every_package_is_listed(setup):
    assert (Path(s5_hf.__file__).parent / "py.typed").is_file()
    data = setup["options.package_data"]
    assert data["s5_hf"].split() == ["py.typed"]
    recipes = Path(s5_hf.__file__).parent / "recipes"
    assert set(recipes.glob(data["s5_hf.recipes"])) == {path for path in recipes.rglob("*") if path.suffix == ".yaml"}
    found = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in ROOT.glob("s5_hf/**/__init__.py")}
    found |= {"s5_hf.modeling", "s5_hf.dataset_builders", "s5_hf.examples"}
    assert set(setup["options"]["packages"].split()) == found
