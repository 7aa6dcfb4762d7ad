"""The examples of README.md and docs/, executed: all `python` blocks of a page that are not marked `no-run`, as one program."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def program(page: pathlib.Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", [p for p in PAGES if program(p)], ids=lambda p: p.name)
def test_examples(page, tmp_path):
    file = tmp_path / "page.py"  # a file: formulas are read from their source
    file.write_text(program(page))
    done = subprocess.run([sys.executable, "-W", "error", file], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
