from fnmatch import fnmatchcase
from unicodedata import normalize

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from generator.core.errors import SettingsError
from generator.core.library.file_filter import PARTIAL_SUFFIXES, VIDEO_SUFFIXES, compile_filter

PLAIN = compile_filter()
names = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=20)
unkind = names | st.text("ab.*[]!-~\n\udcff é", min_size=1, max_size=12)
suffixes = st.sampled_from(sorted(VIDEO_SUFFIXES))
wild = st.text("ab*?[]!-.^\\&|~", min_size=1, max_size=10)


@pytest.mark.parametrize(
    "name",
    [
        "film.mp4",
        "FILM.MKV",
        "a.b.c.WebM",
        "No. 5 #?%'\"&*<>.avi",
        "two\nlines.mov",
        "latin \udce9.mpg",
        "🎬.m2ts",
        "~ intro ~.ts",
        "Room Temperature.3gp",
        "temp.mp4",
        "Part.1.vob",
        "x" * 251 + ".mp4",
    ],
)
def test_a_video_is_known_by_the_end_of_its_name(name: str) -> None:
    assert PLAIN.takes_file(name)


@pytest.mark.parametrize(
    "name",
    [
        "film",
        "mp4",
        ".mp4",
        ".film.mp4",
        "._film.mp4",
        "film.mp4.part",
        "film.mp4.crdownload",
        "film.mp4.tmp",
        "film.mp4.!qB",
        "film.mp4.download",
        "film.mp4.opdownload",
        "film.mp4.aria2",
        "film.mp4.part-Frag7",
        "film.temp.mp4",
        "film.tmp.mkv",
        "film.mp4~",
        "film.mp4.",
        "film.mp4 ",
        "film.srt",
        "film.m4a",
        "",
    ],
)
def test_what_is_hidden_or_unfinished_or_no_video_is_not_taken(name: str) -> None:
    assert not PLAIN.takes_file(name)


@given(stem=unkind, suffix=suffixes, upper=st.booleans())
def test_any_name_before_the_suffix_will_do(stem: str, suffix: str, *, upper: bool) -> None:
    assume(not stem.startswith(".") and not stem.endswith((".tmp", ".temp")))

    assert PLAIN.takes_file(f"{stem}.{suffix.upper() if upper else suffix}")


@given(name=unkind | st.builds("{}.{}".format, unkind, suffixes))
def test_what_happens_to_a_video_always_matters(name: str) -> None:
    assert not (PLAIN.takes_file(name) and PLAIN.passes_over(name))


@pytest.mark.parametrize(
    ("name", "matters"),
    [
        ("film.srt", True),
        ("poster.jpg", True),
        ("film.nfo", True),
        ("README", True),
        ("film.mp4.PART", False),
        ("film.mp4.part-Frag12", False),
        (".nfs0000123", False),
        ("film.nfo~", False),
    ],
)
def test_sidecars_matter_and_passing_files_do_not(name: str, *, matters: bool) -> None:
    assert PLAIN.passes_over(name) is not matters


def test_no_suffix_is_both_a_videos_and_an_unfinished_files() -> None:
    assert not VIDEO_SUFFIXES & PARTIAL_SUFFIXES
    assert all(suffix == suffix.lower() for suffix in VIDEO_SUFFIXES | PARTIAL_SUFFIXES)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("Season 1", True),
        ("film.mp4", True),
        ("Some.Show.S01.mkv", True),
        ("@eaDir", False),
        ("@EADIR", False),
        ("#recycle", False),
        ("$RECYCLE.BIN", False),
        ("System Volume Information", False),
        ("lost+found", False),
        (".Trash-1000", False),
        (".git", False),
        ("film.mp4.download", False),
    ],
)
def test_folders_of_the_system_are_not_walked(name: str, *, taken: bool) -> None:
    assert PLAIN.takes_folder(name) is taken


@settings(deadline=None)
@given(pattern=wild, name=unkind | wild)
def test_a_pattern_without_a_slash_matches_names_as_a_shell_does(pattern: str, name: str) -> None:
    assume(pattern not in {".", ".."})

    intake = compile_filter([pattern])

    barred = fnmatchcase(name, pattern)
    assert intake.takes_file(f"{name}.mp4") is (
        PLAIN.takes_file(f"{name}.mp4") and not fnmatchcase(f"{name}.mp4", pattern)
    )
    assert intake.takes_folder(name) is (PLAIN.takes_folder(name) and not barred)


def matches(parts: list[str], path: list[str]) -> bool:
    """Match a path pattern part by part: the slow and obvious way."""
    if not parts:
        return not path
    if parts == ["**"]:
        return bool(path)
    if parts[0] == "**":
        return any(matches(parts[1:], path[at:]) for at in range(len(path)))
    return bool(path) and fnmatchcase(path[0], parts[0]) and matches(parts[1:], path[1:])


path_parts = st.lists(
    st.sampled_from(["**", "a", "b*", "*", "?", "[ab]", "[!a]", "*a*b"]), min_size=2
)
short_paths = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab", "c", "\n"]), min_size=1)


@settings(deadline=None)
@given(parts=path_parts, path=short_paths)
def test_a_pattern_with_a_slash_matches_a_path_part_by_part(
    parts: list[str], path: list[str]
) -> None:
    intake = compile_filter(["/".join(parts)])

    assert intake.bars_file_at("/".join(path)) is matches(parts, path)


@pytest.mark.parametrize(
    ("pattern", "path", "taken"),
    [
        ("*sample*", "show/x-sample-y.mp4", False),
        ("*sample*", "show/Sample.mp4", True),
        ("extras", "show/extras/a.mp4", False),
        ("extras", "show/extras.mp4", True),
        ("raw/", "raw/a.mp4", False),
        ("raw*/", "a/raw1/b/c.mp4", False),
        ("*.mp4/", "a.mp4", True),
        ("/inbox", "inbox/a.mp4", False),
        ("/inbox", "b/inbox/a.mp4", True),
        ("/a.mp4", "a.mp4", False),
        ("/a.mp4", "b/a.mp4", True),
        ("/a.mp4/", "a.mp4", True),
        ("shows/*/extras", "shows/x/extras/a.mp4", False),
        ("shows/*/extras", "shows/x/y/extras/a.mp4", True),
        ("shows/**/extras", "shows/extras/a.mp4", False),
        ("shows/**/extras", "shows/x/y/extras/a.mp4", False),
        ("**/b/*.mp4", "b/a.mp4", False),
        ("a/**", "a/b/c.mp4", False),
        ("a/**", "a.mp4", True),
        ("a/**/", "a/c.mp4", True),
        ("a/**/", "a/b/c.mp4", False),
        ("[!a]/*", "b/c.mp4", False),
        ("d/x[!y]z", "d/x/z/c.mp4", True),
        ("d/x[.-0]z", "d/x/z/c.mp4", True),
        ("d/x[.-0]z", "d/x.z/c.mp4", False),
        ("[b-a]*", "b.mp4", True),
        ("[!b-a].mp4", "b.mp4", False),
        ("[]].mp4", "].mp4", False),
        ("[.mp4", "[.mp4", False),
        ("[*].mp4", "*.mp4", False),
        ("[*].mp4", "a.mp4", True),
        ("!a.mp4", "!a.mp4", False),
        ("a//b", "a/b/c.mp4", False),
    ],
)
def test_patterns_mean_what_the_docs_say(pattern: str, path: str, *, taken: bool) -> None:
    assert compile_filter([pattern]).takes_file_at(path) is taken


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("other", ["NFC", "NFD"])
def test_accents_may_be_written_whole_or_split(form: str, other: str) -> None:
    pattern, name = ("".join(normalize(f, "é")) for f in (form, other))  # type: ignore[arg-type]

    assert not compile_filter([f"caf{pattern}*"]).takes_file(f"caf{name}.mp4")
    assert not compile_filter([f"x/caf{pattern}"]).takes_folder_at(f"x/caf{name}")


@pytest.mark.parametrize("pattern", ["", "/", "//", ".", "..", "a/../b", "./a"])
def test_a_pattern_that_can_match_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError, match="cannot ignore"):
        compile_filter(["fine", pattern])


def test_many_stars_cost_no_more_than_the_length() -> None:
    intake = compile_filter(["*a" * 60 + "b", "x/" + "*a" * 60 + "b"])

    assert intake.takes_file("a" * 250 + ".mp4")
    assert intake.takes_file_at("x/" + "a" * 250 + ".mp4")


@given(path=short_paths, ignore=st.lists(st.builds("/".join, path_parts) | wild, max_size=3))
@settings(deadline=None)
def test_a_file_is_taken_where_a_walk_would_come_upon_it(
    path: list[str], ignore: list[str]
) -> None:
    assume(not {".", ".."} & set(ignore))
    intake = compile_filter(ignore)
    folders = path[:-1]

    reached = all(
        intake.takes_folder(name) and not intake.bars_folder_at("/".join(folders[: at + 1]))
        for at, name in enumerate(folders)
    )
    name = f"{path[-1]}.mp4"
    whole = "/".join([*folders, name])
    met = reached and intake.takes_file(name) and not intake.bars_file_at(whole)

    assert intake.takes_file_at(whole) is met
    assert intake.takes_folder_at("/".join(folders)) is reached


def test_the_root_itself_is_always_taken() -> None:
    assert compile_filter(["*", "**/*"]).takes_folder_at("")
