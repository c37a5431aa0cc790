"""The tables of reelshelf.toml, and names that settings had before."""

import logging
import re
import tomllib
from pathlib import Path

import pytest

from generator.adapters.settings import Settings, commented, load
from generator.adapters.settings.toml_tables import (
    FIRST,
    RENAMED,
    TABLES,
    file_key,
    flattened,
    place_of,
)
from generator.core.errors import SettingsError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "videos").mkdir()
    monkeypatch.setattr("generator.adapters.settings.settings._advised", set())
    return tmp_path / "reelshelf.toml"


def test_every_setting_has_one_place() -> None:
    in_tables = [name for names in TABLES.values() for name in names]

    assert len(set(in_tables)) == len(in_tables)
    assert {*in_tables, *FIRST} <= set(Settings.model_fields)
    assert set(RENAMED.values()) <= set(in_tables)
    places = [place_of(name) for name in Settings.model_fields]
    assert len(set(places)) == len(places)


def test_the_commented_file_is_read_as_it_is_and_with_every_default_written_out(file: Path) -> None:
    file.write_text(commented(), encoding="utf-8")
    usual = load(file, {}).model_dump()
    text = re.sub(r"^# (?=\w+ = )", "", commented(), flags=re.MULTILINE)
    text = re.sub(r'^(templates|backup_dir) = "my-\1"\n', "", text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")

    assert load(file, {}).model_dump() == usual
    assert flattened(tomllib.loads(text))[1:] == ([], [])
    assert text.index("library = ") < text.index("state = ") < text.index("[watch]")


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_works_in_the_file_and_in_the_environment_with_advice(
    file: Path, old: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = RENAMED[old]
    value = {"endpoint": "http://127.0.0.1:9", "region": "eu-west-1", "distribution": "E1"}
    content = value.get(old, "0.25" if old == "loss_limit" else "7")
    quoted = f'"{content}"' if old in value else content
    file.write_text(f"{old} = {quoted}\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        from_file = getattr(load(file, {}), name)
    assert f"{old} is {place_of(name)} now" in caplog.text

    file.write_text("", encoding="utf-8")
    monkeypatch.setenv(f"REELSHELF_{old.upper()}", content)
    from_environment = getattr(load(file, {}), name)
    monkeypatch.setenv(f"REELSHELF_{name.upper()}", content)
    monkeypatch.delenv(f"REELSHELF_{old.upper()}")

    assert from_file == from_environment == getattr(load(file, {}), name)
    assert str(from_file).removesuffix(".0") == content
    assert f"REELSHELF_{old.upper()} is REELSHELF_{name.upper()} now" in caplog.text


@pytest.mark.parametrize("name", [name for names in TABLES.values() for name in names])
def test_what_is_in_a_table_now_is_taken_before_the_tables_too(
    file: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    default = Settings.model_fields[name].default
    line = next(
        line.removeprefix("# ")
        for line in commented().splitlines()
        if re.match(rf"# {file_key(name)} = ", line)
    )
    file.write_text(line.replace(file_key(name), name, 1) + "\n", encoding="utf-8")

    with caplog.at_level(logging.WARNING):
        assert getattr(load(file, {}), name) == default
    assert f"{name} is {place_of(name)} now" in caplog.text


def test_all_mistakes_are_listed_with_where_they_stand(file: Path) -> None:
    file.write_text(
        'titel = "x"\n[s3]\nbukket = "x"\n[media]\njobs = "many"\n'
        "[watch]\nquiet_s = 1\nsettle_s = 3\n[nothing]\na = 1\n",
        encoding="utf-8",
    )

    with pytest.raises(SettingsError) as refusal:
        load(file, {})

    lines = str(refusal.value).splitlines()[1:]
    assert sorted(lines) == [
        (
            "  [media] jobs: Input should be a valid integer, unable to parse string as an integer"
            " (got many)"
        ),
        "  [watch] settle_s: [watch] settle_s is set twice",
        "  nothing: unknown setting",
        "  s3.bukket: unknown setting; did you mean [s3] bucket?",
        "  titel: unknown setting; did you mean title?",
    ]
