"""Build the documentation site: the pages of the repository and a reference of every module, from its docstrings.

    python docs/build_site.py          # or: make docs

Nothing is imported: sources are read as text, so neither torch nor transformers is needed, only the extra `docs`.
Packages come from setup.cfg and modules from their folders, so that a new or moved module needs no change here.
"""

import argparse
import ast
import configparser
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import yaml
from docstrings import bare_names

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


@dataclass(frozen=True)
class Module:
    """A module or package: its dotted name, its file, and what its source says."""

    name: str
    path: Path

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring on one line, fit for a table."""
        return _summary(ast.get_docstring(self.tree))

    @property
    def page(self) -> str:
        """Path of the page below the site's folder of pages."""
        return f"api/{self.name.replace('.', '/')}{'/index' if self.is_package else ''}.md"


def public_modules(root: Path = ROOT) -> list[Module]:
    """Every package that setup.cfg installs, followed by its modules without a leading underscore, sorted by name."""
    settings = configparser.ConfigParser()
    settings.read(root / "setup.cfg", encoding="utf-8")
    placed = dict(re.split(r"\s*=\s*", line) for line in settings["options"]["package_dir"].strip().splitlines())
    modules = []
    for package in sorted(settings["options"]["packages"].split()):
        folder = root / placed.get(package, package.replace(".", "/"))
        if not (folder / "__init__.py").is_file():  # scripts to run, not modules to import
            continue
        modules.append(Module(package, folder / "__init__.py"))
        modules += [
            Module(f"{package}.{path.stem}", path)
            for path in sorted(folder.glob("*.py"))
            if not path.stem.startswith("_")
        ]
    return modules


def site_path(page: str) -> str:
    """Where a file of the repository lies in the site: README.md becomes index.md, docs/scenes.md guides/scenes.md."""
    page = re.sub(r"(^|/)README\.md$", r"\1index.md", page)
    page = re.sub(r"^docs/(?=[^/]+\.md$)", "guides/", page)
    return page.removeprefix("docs/").replace("CHANGELOG", "changelog")


def pages_of(nav: list) -> Iterator[str]:
    """The paths in a navigation, from top to bottom."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(value, str):
                yield value
            else:
                yield from pages_of(value)


def in_the_site(nav: list) -> list:
    """The navigation with the paths that pages have in the site."""
    return [
        {title: site_path(value) if isinstance(value, str) else in_the_site(value) for title, value in entry.items()}
        for entry in nav
    ]


def reference_nav(modules: list[Module]) -> list:
    """Navigation of the reference: a section for each package, headed by the package's page."""
    sections: dict[str, list] = {}
    for module in modules:
        if module.is_package:
            sections[module.name] = [module.page]
        else:
            package, _, name = module.name.rpartition(".")
            sections[package].append({name: module.page})
    return [{"Overview": "api/index.md"}, *({name: pages} for name, pages in sections.items())]


def hand_written_pages(root: Path = ROOT) -> list[str]:
    """The pages that mkdocs.yml names, as they lie in the repository."""
    return list(pages_of(yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))


def configuration(modules: list[Module], root: Path = ROOT) -> dict:
    """mkdocs.yml with the paths of the staged pages, and the reference in the navigation, before the benchmarks."""
    settings = yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))
    nav = in_the_site(settings["nav"])
    nav.insert(3, {"API reference": reference_nav(modules)})
    return settings | {"nav": nav, "extra_css": [site_path(style) for style in settings["extra_css"]]}


def write_pages(pages: list[str], target: Path, root: Path = ROOT) -> None:
    """Copy the hand-written pages and what they show; links keep their targets.

    A link to a file that is not part of the site, such as a test, becomes its text.
    """
    for page in pages:
        text = (root / page).read_text(encoding="utf-8")
        path = target / site_path(page)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LINK.sub(lambda link, page=page: _moved_link(link, page, pages), text), encoding="utf-8")
        for is_image, _, link, _ in LINK.findall(text):
            if is_image:
                picture = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
                (target / site_path(picture)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / picture, target / site_path(picture))


def write_reference(modules: list[Module], target: Path) -> None:
    """Write a page for every module, and one that lists the packages."""
    (target / "api").mkdir(parents=True, exist_ok=True)
    packages = [module for module in modules if module.is_package]
    listed = ((f"[`{module.name}`]({module.page.removeprefix('api/')})", module.summary) for module in packages)
    overview = ["# API reference", "", *_table("package", listed)]
    (target / "api" / "index.md").write_text("\n".join(overview) + "\n", encoding="utf-8")
    for module in modules:
        (target / module.page).parent.mkdir(parents=True, exist_ok=True)
        lines = [f"# {module.name}", "", f"::: {module.name}"]
        if module.is_package:
            lines += ["    options:", "      members: false", *_contents(module, modules)]
        (target / module.page).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_sources(modules: list[Module], target: Path) -> None:
    """Lay the sources out as they are installed: s5_hf/modeling, not modeling."""
    for module in modules:
        path = target.joinpath(*module.name.split("."))
        path = path / "__init__.py" if module.is_package else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module.path, path)


def offered_names(package: Module, modules: list[Module]) -> list[tuple[str, Module, str]]:
    """What a package offers: name, the module that defines it, and the first line of its docstring.

    A package names them in `__all__`, or in the dictionary that it gives to `lazy_face`. Names that no module of the
    package defines as a class, a function or a value with a docstring, such as `__version__`, are left out.
    """
    inside = [module for module in modules if module.name.startswith(package.name + ".") and not module.is_package]
    definitions = {
        (module.name, name): summary for module in inside for name, summary in defined_names(module.tree).items()
    }
    sources = {
        alias.asname or alias.name: f"{package.name}.{node.module}"
        for node in ast.walk(package.tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
        for alias in node.names
    }
    lazy = {name: f"{package.name}.{source}" for name, source in _lazy_members(package.tree).items()}
    sources |= lazy
    offered = []
    for name in [*_exported(package.tree), *sorted(lazy)]:
        places = [module for module in inside if (module.name, name) in definitions]
        # A source may be a folder, whose own face leads on to the module.
        places.sort(key=lambda module, name=name: not f"{module.name}.".startswith(f"{sources.get(name)}."))
        if places:
            offered.append((name, places[0], definitions[places[0].name, name]))
    return offered


def build(target: Path, strict: bool, root: Path = ROOT) -> None:
    """Write the site into `target`.

    Raises:
        subprocess.CalledProcessError: the builder found something wrong; it has said what.
    """
    work = root / "build" / "docs"
    shutil.rmtree(work, ignore_errors=True)
    modules = public_modules(root)
    settings = configuration(modules, root)
    write_pages(
        list(pages_of(yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])), work / "pages"
    )
    write_reference(modules, work / "pages")
    write_sources(modules, work)
    for style in settings["extra_css"]:
        shutil.copyfile(root / "docs" / style, work / "pages" / style)
    (python,) = [plugin["mkdocstrings"] for plugin in settings["plugins"] if "mkdocstrings" in plugin]
    python["handlers"]["python"]["paths"] = ["."]
    options = python["handlers"]["python"]["options"]
    options["extensions"] = [str(root / extension) for extension in options["extensions"]]
    settings |= {"docs_dir": "pages", "site_dir": "site"}
    (work / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--config-file", "mkdocs.yml"]
    subprocess.run([*command, *(["--strict"] if strict else [])], cwd=work, check=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(work / "site", target)


def _moved_link(link: re.Match, page: str, pages: list[str]) -> str:
    is_image, text, target, anchor = link.groups()
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    if target + "/README.md" in pages:
        target += "/README.md"
    if not is_image and target not in pages:
        return text
    here = posixpath.dirname(site_path(page))
    return f"{is_image}[{text}]({posixpath.relpath(site_path(target), here or '.')}{anchor or ''})"


def _contents(package: Module, modules: list[Module]) -> list[str]:
    """Tables of what a package offers and of its modules."""
    offered = (
        (f"[`{name}`][{module.name}.{name}]", summary) for name, module, summary in offered_names(package, modules)
    )
    inside = [module for module in modules if module.name.rpartition(".")[0] == package.name]
    folder = posixpath.dirname(package.page)
    listed = (
        (f"[`{module.name.rpartition('.')[2]}`]({posixpath.relpath(module.page, folder)})", module.summary)
        for module in inside
    )
    return [*_section("Offered here", "name", offered), *_section("Modules", "module", listed)]


def _section(title: str, what: str, rows: Iterator[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    return ["", f"## {title}", "", *_table(what, rows)] if rows else []


def _table(what: str, rows: Iterator[tuple[str, str]]) -> list[str]:
    return [f"| {what} | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]


def defined_names(tree: ast.Module) -> dict[str, str]:
    """The classes, functions and documented values of a module, each with the first line of its docstring."""
    names = {
        node.name: _summary(ast.get_docstring(node))
        for node in tree.body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }
    for node, follower in pairwise(tree.body):
        text = getattr(getattr(follower, "value", None), "value", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(text, str) and isinstance(follower, ast.Expr):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            names[getattr(target, "id", "")] = _summary(text)
    return names


def _summary(docstring: str | None) -> str:
    paragraph = bare_names((docstring or "").split("\n\n")[0])
    return " ".join(paragraph.split()).replace("|", "\\|")


def _exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(name, "id", "") == "__all__" for name in node.targets):
            return [element.value for element in getattr(node.value, "elts", []) if isinstance(element, ast.Constant)]
    return []


def _lazy_members(tree: ast.Module) -> dict[str, str]:
    """Names to modules, from the dictionary that a package gives to `lazy_face`; empty without one."""
    members = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_face":
            table = node.args[1]
            for source, names in zip(table.keys, table.values, strict=True):
                constants = (part.value for part in ast.walk(names) if isinstance(part, ast.Constant))
                members |= dict.fromkeys(constants, source.value)
    return members


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "site", help="folder for the site")
    parser.add_argument("--strict", action="store_true", help="fail on any warning")
    arguments = parser.parse_args()
    try:
        build(arguments.output.resolve(), arguments.strict)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
