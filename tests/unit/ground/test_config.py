from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lakehouse.config import current_user, find_pointer, read_pointer, resolve, using, write_pointer
from lakehouse.errors import ConfigurationError, InvalidName


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder below a home of its own, with nothing configured."""
    home = tmp_path / "home"
    work = home / "project" / "deep"
    work.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "LAKEHOUSE_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(work)
    return work


def configure(text: str) -> Path:
    file = Path.home() / ".config" / "lakehouse" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_each_source_yields_to_the_one_before_it(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert (resolve().instance, resolve().origin["instance"]) == (None, "default")
    file = configure('instance = "/from/config"')
    assert (resolve().instance, resolve().origin["instance"]) == ("/from/config", str(file))
    pointer = write_pointer(folder.parent, "/from/pointer")
    assert (resolve().instance, resolve().origin["instance"]) == ("/from/pointer", str(pointer))
    monkeypatch.setenv("LAKEHOUSE_INSTANCE", "/from/environment")
    assert (resolve().instance, resolve().origin["instance"]) == ("/from/environment", "LAKEHOUSE_INSTANCE")
    with using(instance="/from/context"):
        assert (resolve().instance, resolve().origin["instance"]) == ("/from/context", "context")
        settings = resolve(instance="/from/argument")
        assert (settings.instance, settings.origin["instance"]) == ("/from/argument", "argument")


def test_the_user_is_found_in_the_stated_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("getpass.getuser", lambda: "login")
    assert current_user() == "login"
    (Path.home() / ".gitconfig").write_text("[core]\n\tname = no\n[user]\n\temail = g@x.org\n")
    assert current_user() == "g@x.org"
    (Path.home() / ".gitconfig").write_text('; a comment\n[user]\n\tname = "Git User"\n\temail = g@x.org\n')
    assert current_user() == "Git User"
    repository = Path.cwd().parent / ".git"
    repository.mkdir()
    (repository / "config").write_text("[user]\n  name = Repository User\n")
    assert current_user() == "Repository User"
    configure('user = "config"')
    assert current_user() == "config"
    monkeypatch.setenv("LAKEHOUSE_USER", "environment")
    assert current_user() == "environment"
    with using(user="context"):
        assert current_user() == "context"
        assert current_user("argument") == "argument"


def test_a_user_without_a_name_is_called_by_number(monkeypatch: pytest.MonkeyPatch):
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", unknown)
    monkeypatch.setattr("os.getuid", lambda: 1234)
    assert current_user() == "uid1234"


BAD_NAMES = ["", "   ", "a\x00b", "a\nb", "a\u202eb", "\ud800", "x" * 201]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_cannot_be_stored_is_refused_with_its_source(name: str):
    with pytest.raises(InvalidName, match=r"from argument\).*LAKEHOUSE_USER"):
        current_user(name)


def test_odd_but_honest_names_pass():
    for name in ["Zoë", "王芳", "o'brien", 'a"b', "'; DROP TABLE x;--", "a%_b"]:
        assert current_user(name) == name


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKEHOUSE_INSTANCE", "")
    assert resolve().instance is None


def test_a_context_ends_with_its_block_and_stays_in_its_thread():
    seen: list[str | None] = []
    with using(instance="outer"):
        with using(user="inner"):
            assert (resolve().instance, resolve().user) == ("outer", "inner")
        thread = threading.Thread(target=lambda: seen.append(resolve().instance))
        thread.start()
        thread.join()
    assert seen == [None]
    assert resolve().instance is None


def test_a_pointer_is_found_from_below(folder: Path):
    write_pointer(folder.parent, folder.parent / "lake")
    assert find_pointer(folder) == folder.parent / "lake"


def test_no_pointer_anywhere_is_none(folder: Path):
    assert find_pointer(folder) is None


def test_a_pointer_to_a_lake_beside_it_survives_a_move(folder: Path):
    write_pointer(folder, folder / "lake")
    moved = folder.rename(folder.parent / "moved")
    assert find_pointer(moved) == moved / "lake"


def test_a_pointer_to_a_lake_elsewhere_is_absolute(folder: Path, tmp_path: Path):
    pointer = write_pointer(folder, tmp_path / "elsewhere")
    assert read_pointer(pointer) == str(tmp_path / "elsewhere")


def test_a_pointer_is_replaced_whole(folder: Path):
    write_pointer(folder, "first")
    pointer = write_pointer(folder, "second")
    assert read_pointer(pointer) == str(folder / "second")
    assert [file.name for file in folder.iterdir()] == [".lakehouse"]


def test_a_folder_called_lakehouse_points_to_the_instance_around_it(folder: Path):
    (folder / ".lakehouse").mkdir()
    assert write_pointer(folder, folder).is_dir()
    assert find_pointer(folder) == folder


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "naïve", "a b", "100%"])
def test_odd_folder_names_round_trip(folder: Path, name: str):
    assert read_pointer(write_pointer(folder, folder / name)) == str(folder / name)


def test_a_pointer_keeps_a_url_as_it_is_and_offers_no_folder(folder: Path):
    pointer = write_pointer(folder, "s3://bucket/lake")
    assert read_pointer(pointer) == "s3://bucket/lake"
    assert resolve().instance == "s3://bucket/lake"
    with pytest.raises(ConfigurationError, match="no folder"):
        find_pointer(folder)


def test_a_pointer_with_a_password_is_refused_and_not_shown(folder: Path):
    with pytest.raises(ConfigurationError, match="password") as caught:
        write_pointer(folder, "s3://key:hunter2@bucket/lake")
    assert "hunter2" not in str(caught.value)
    assert not (folder / ".lakehouse").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no instance"),
        ("instance = ", "not valid TOML"),
        ("instance = 3", "must be text"),
        ('instnce = "x"', "did you mean 'instance'"),
        ('__proto__ = "x"', "no setting"),
    ],
)
def test_a_broken_pointer_is_named(folder: Path, text: str, message: str):
    (folder / ".lakehouse").write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        resolve()
    assert str(folder / ".lakehouse") in str(caught.value)


def test_a_pointer_that_is_not_text_is_named(folder: Path):
    (folder / ".lakehouse").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        find_pointer(folder)


def test_a_broken_configuration_file_is_named():
    file = configure('log_levl = "INFO"')
    with pytest.raises(ConfigurationError, match="did you mean 'log_level'") as caught:
        resolve()
    assert str(file) in str(caught.value)


def test_log_levels_are_checked_and_name_their_source(monkeypatch: pytest.MonkeyPatch):
    assert resolve(log_level="debug").log_level == "DEBUG"
    monkeypatch.setenv("LAKEHOUSE_LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError, match="from LAKEHOUSE_LOG_LEVEL"):
        resolve()


def test_the_cache_lies_where_the_platform_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert resolve().cache_dir == Path.home() / ".cache" / "lakehouse"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert resolve().cache_dir == tmp_path / "caches" / "lakehouse"
    assert resolve(cache_dir="~/mine").cache_dir == Path.home() / "mine"
