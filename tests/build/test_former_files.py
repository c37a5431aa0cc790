"""What a former theme or a wrong clock left: the output is that of a full render all the same."""

import logging
import shutil
from pathlib import Path

import pytest
from histories import DAY_S, full_render, pass_time, tree, trial_site
from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.output import Output
from generator.build.engine import REDIRECT_S, Engine
from generator.core.errors import SettingsError
from generator.core.model import Event, EventKind, OutPath, VideoId


def themed(folder: Path) -> Engine:
    settings = trial.settings(folder).model_copy(update={"templates": folder / "theme"})
    return Engine(settings, TEMPLATES)


def edit(folder: Path, name: str, text: str) -> None:
    file = folder / "theme" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_assets_of_a_former_theme_go_with_the_last_page_that_needs_them(tmp_path: Path) -> None:
    edit(tmp_path, "assets/style.css", "a {}")
    edit(tmp_path, "assets/extra.txt", "extra")
    with themed(tmp_path) as engine:
        trial.fill(engine.catalogue, 5)
        engine.refresh(trial.NOW)
        Output(tmp_path / "out").write(OutPath("assets/mine.txt"), b"not of reelshelf")

        edit(tmp_path, "assets/style.css", "b {}")
        receipt = engine.refresh(trial.NOW + 1)
        assert receipt.removed == 1
        shutil.rmtree(tmp_path / "theme" / "assets")
        engine.refresh(trial.NOW + 2)

        (tmp_path / "out" / "assets" / "mine.txt").unlink()
        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_assets_stay_while_a_page_with_its_former_content_needs_them(tmp_path: Path) -> None:
    edit(tmp_path, "assets/style.css", "a {}")
    with themed(tmp_path) as engine:
        trial.fill(engine.catalogue, 5)
        engine.refresh(trial.NOW)
        page = tmp_path / "out" / "404.html"
        page.unlink()
        page.mkdir()  # it cannot be written
        (page / "mine.txt").touch()
        style = next((tmp_path / "out" / "assets").glob("style-*.css"))

        edit(tmp_path, "assets/style.css", "b {}")
        assert engine.refresh(trial.NOW + 1).failed == 1
        assert style.exists()
        shutil.rmtree(page)
        engine.refresh(trial.NOW + 2, lambda *_, **__: None)
        assert not style.exists()
        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_one_build_with_a_clock_far_ahead_drops_no_redirect() -> None:
    with trial_site(200) as (engine, folder):
        engine.refresh(trial.NOW)
        engine.catalogue.append(
            Event(f"{kind}-{number}", kind, trial.NOW, "scan", VideoId(number))
            for number in range(1, 150)
            for kind in (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
        )
        engine.refresh(trial.NOW + 10)
        redirects = engine.ledger.redirects()
        assert redirects

        engine.refresh(trial.NOW + 70 * 365 * DAY_S)
        assert engine.ledger.redirects() == redirects
        pass_time(engine, trial.NOW + 20, REDIRECT_S + DAY_S)

        assert engine.ledger.redirects() == {}
        assert tree(folder / "out") == full_render(engine, folder / "full")


def test_what_is_being_repaired_is_logged_once_until_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 5)
        engine.refresh(trial.NOW)
        shutil.rmtree(tmp_path / "out" / "watch")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(Output, "write", full)
            for number in range(3):
                with pytest.raises(OSError, match="No space"):
                    engine.refresh(trial.NOW + number, verify=True)
        assert len(caplog.messages) == len(set(caplog.messages)), caplog.messages
        caplog.clear()
        engine.refresh(trial.NOW + 5, verify=True)
        assert (tmp_path / "out" / "watch").exists()
        shutil.rmtree(tmp_path / "out" / "watch")
        engine.refresh(trial.NOW + 6, verify=True)
        assert "missing" in caplog.text


def test_a_render_into_another_folder_claims_nothing_for_the_site(tmp_path: Path) -> None:
    edit(tmp_path, "assets/style.css", "a {}")
    with themed(tmp_path) as engine:
        trial.fill(engine.catalogue, 5)
        engine.refresh(trial.NOW)
    edit(tmp_path, "assets/style.css", "b {}")
    with themed(tmp_path) as engine:
        before = engine.ledger.all_owned()

        engine.render_into(Output(tmp_path / "other"))

        assert engine.ledger.all_owned() == before


def test_a_scratch_file_of_a_killed_first_mark_is_no_reason_to_refuse_the_folder(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    left = out / ".0123456789ab-4711-0.tmp"
    left.write_bytes(b'{"folder": "01')
    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 3)
        engine.refresh(trial.NOW)
    assert left.exists()  # perhaps it is not ours

    (tmp_path / "else").mkdir()
    (tmp_path / "else" / ".mine.tmp").touch()
    with pytest.raises(SettingsError, match=r"\.mine\.tmp"):
        Output(tmp_path / "else").check()
