"""README.md tells what is so."""

import re

import pytest

from .readme_tables import PARAMETERS, README, ROOT, presets_table, settings_table, with_tables

TEXT = README.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_declaration():
    assert with_tables(TEXT) == TEXT, "Run: python tests/install/readme_tables.py"
    assert presets_table() in TEXT
    assert settings_table() in TEXT


def test_a_stale_table_is_noticed():
    stale = TEXT.replace(PARAMETERS[0].help, "Something else.")
    assert stale != TEXT
    assert with_tables(stale) == TEXT


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("option", ["--demo", "--test", "--where", "--uninstall"])
def test_install_commands_are_shown(option):
    assert f"python3 install.py {option}" in TEXT
