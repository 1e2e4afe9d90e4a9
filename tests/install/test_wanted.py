"""The stamp, the digest of the sources, and finding damaged packages."""

import os
from pathlib import Path

import pytest

from backend.installer.wanted import WEIGHTS, Wanted, damaged_packages, digest_of, site_packages, source_files

from .conftest import add_package


def test_a_stamp_reads_back_as_it_was_saved(at):
    wanted = Wanted("r", "s", ("test",))
    wanted.save(at.stamp)
    assert Wanted.load(at.stamp) == wanted
    assert [path.name for path in at.home.iterdir() if "installed" in path.name] == ["installed.json"]


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null", '{"requirements": "r"}'])
def test_an_unreadable_stamp_counts_as_none(at, content):
    if content is not None:
        at.stamp.write_text(content, encoding="utf-8")
    assert Wanted.load(at.stamp) is None


def test_the_digest_sees_content_names_and_new_files_but_no_bytecode(checkout):
    before = digest_of(checkout)
    (checkout / "backend" / "__pycache__").mkdir()
    (checkout / "backend" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_x.py").write_text("", encoding="utf-8")
    assert digest_of(checkout) == before

    (checkout / "backend" / "new.py").write_text("", encoding="utf-8")
    added = digest_of(checkout)
    (checkout / "backend" / "new.py").rename(checkout / "backend" / "newer.py")
    renamed = digest_of(checkout)
    (checkout / "backend" / "newer.py").write_text("x", encoding="utf-8")
    assert len({before, added, renamed, digest_of(checkout)}) == 4


def test_requirements_and_sources_are_told_apart(checkout):
    before = Wanted.of(checkout, ())
    (checkout / "backend" / "__init__.py").write_text("changed", encoding="utf-8")
    other_sources = Wanted.of(checkout, ())
    assert other_sources.requirements == before.requirements
    assert other_sources.sources != before.sources
    (checkout / "pyproject.toml").write_text("changed", encoding="utf-8")
    assert Wanted.of(checkout, ()).requirements != before.requirements


def test_every_source_is_in_a_clean_clone():
    """What the installer copies is what is committed: nothing is missing when the checkout is fresh."""
    root = Path(__file__).parents[2]
    names = {path.relative_to(root).as_posix() for path in source_files(root)}
    assert {"pyproject.toml", "README.md", "LICENSE", "backend/demo/painting.jpg"} <= names


@pytest.fixture
def site(at):
    folder = at.env / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def test_the_package_folder_is_found_and_need_not_exist(at, site):
    assert site_packages(at.env) == site
    assert damaged_packages(site_packages(at.home / "nowhere")) == {}


def test_whole_packages_are_left_alone(site):
    add_package(
        site, "torch", "2.8.0+cpu", {"torch/a.py": b"a", "torch/b,c.bin": b"bb", "../../../bin/t": b"#!"}
    )
    assert damaged_packages(site) == {}


def test_what_pip_could_not_remove_on_windows_is_no_package(site):
    add_package(site, "~orch", "2.7.0", {"~orch/a.py": b"half"})
    (site / "~orch" / "a.py").unlink()
    assert damaged_packages(site) == {}


def harm_missing(site, info):
    (site / "torch" / "a.py").unlink()


def harm_truncated(site, info):
    os.truncate(site / "torch" / "a.py", 3)


def harm_no_record(site, info):
    (info / "RECORD").unlink()


def harm_empty_record(site, info):
    (info / "RECORD").write_text("", encoding="utf-8")


def harm_rubbish_record(site, info):
    (info / "RECORD").write_bytes(b"torch/a.py,sha256=x,many\n")


@pytest.mark.parametrize(
    "harm", [harm_missing, harm_truncated, harm_no_record, harm_empty_record, harm_rubbish_record]
)
def test_damage_is_found_by_package(site, harm):
    add_package(site, "zmq", "27.0", {"zmq/a.py": b"whole"})
    info = add_package(site, "torch", "2.8.0", {"torch/a.py": b"whole file"})
    harm(site, info)
    assert damaged_packages(site) == {"torch==2.8.0": info}


def test_the_weights_are_read_through_as_no_import_would_notice(site):
    name, version = WEIGHTS.replace("-", "_").split("==")
    info = add_package(site, name, version, {f"{name}/weights/a.h5": b"whole file"})
    add_package(site, "torch", "2.8.0", {"torch/a.py": b"whole file"})
    assert damaged_packages(site) == {}
    for package in (name, "torch"):
        for file in (site / package).rglob("a.*"):
            file.write_bytes(b"whole fil!")
    assert damaged_packages(site) == {f"{name}=={version}": info}
