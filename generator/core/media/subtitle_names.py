# ruff: noqa: RUF001 - languages are written in their own letters
"""Names of subtitles: language, flags and label.

`film.pt-BR.forced.srt` has them between the name of the video and the suffix, an embedded track in
its language code and title.
"""

import re
from dataclasses import dataclass, field

from generator.core.formatting import readable

_MAX_LABEL = 80  # characters
_MAX_UNKNOWN = 3  # parts; a name with more belongs to another video
_UNKNOWN = "Subtitles"

# Tag, codes of ISO 639-2 (and what else people write), English name, the language's own name.
_LANGUAGES = """
af afr|Afrikaans|Afrikaans
am amh|Amharic|አማርኛ
ar ara|Arabic|العربية
az aze|Azerbaijani|Azərbaycan
be bel|Belarusian|Беларуская
bg bul|Bulgarian|Български
bho|Bhojpuri|भोजपुरी
bn ben|Bengali|বাংলা
bs bos|Bosnian|Bosanski
ca cat|Catalan|Català
ceb|Cebuano|Cebuano
ckb|Central Kurdish|کوردیی ناوەندی
cs ces cze cz|Czech|Čeština
cy cym wel|Welsh|Cymraeg
da dan dk|Danish|Dansk
de deu ger|German|Deutsch
el ell gre gr|Greek|Ελληνικά
en eng|English|English
eo epo|Esperanto|Esperanto
es spa esp|Spanish|Español
et est|Estonian|Eesti
eu eus baq|Basque|Euskara
fa fas per|Persian|فارسی
fi fin|Finnish|Suomi
fil|Filipino|Filipino
fr fra fre|French|Français
fy fry|Frisian|Frysk
ga gle|Irish|Gaeilge
gd gla|Gaelic|Gàidhlig
gl glg|Galician|Galego
gsw|Swiss German|Schwiizerdütsch
gu guj|Gujarati|ગુજરાતી
hak|Hakka|客家話
haw|Hawaiian|ʻŌlelo Hawaiʻi
he heb iw|Hebrew|עברית
hi hin|Hindi|हिन्दी
hmn|Hmong|Hmoob
hr hrv scr|Croatian|Hrvatski
hu hun|Hungarian|Magyar
hy hye arm|Armenian|Հայերեն
id ind in|Indonesian|Bahasa Indonesia
is isl ice|Icelandic|Íslenska
it ita|Italian|Italiano
ja jpn jp|Japanese|日本語
ka kat geo|Georgian|ქართული
kk kaz|Kazakh|Қазақша
km khm|Khmer|ខ្មែរ
kn kan|Kannada|ಕನ್ನಡ
ko kor kr|Korean|한국어
ku kur|Kurdish|Kurdî
ky kir|Kyrgyz|Кыргызча
la lat|Latin|Latina
lb ltz|Luxembourgish|Lëtzebuergesch
lo lao|Lao|ລາວ
lt lit|Lithuanian|Lietuvių
lv lav|Latvian|Latviešu
mk mkd mac|Macedonian|Македонски
ml mal|Malayalam|മലയാളം
mn mon|Mongolian|Монгол
mr mar|Marathi|मराठी
ms msa may|Malay|Bahasa Melayu
mt mlt|Maltese|Malti
my mya bur|Burmese|မြန်မာ
nan|Min Nan|閩南語
nb nob|Bokmål|Norsk bokmål
ne nep|Nepali|नेपाली
nl nld dut|Dutch|Nederlands
nn nno|Nynorsk|Norsk nynorsk
no nor|Norwegian|Norsk
nso|Northern Sotho|Sesotho sa Leboa
pa pan|Punjabi|ਪੰਜਾਬੀ
pl pol|Polish|Polski
ps pus|Pashto|پښتو
pt por|Portuguese|Português
ro ron rum|Romanian|Română
ru rus|Russian|Русский
si sin|Sinhala|සිංහල
sk slk slo|Slovak|Slovenčina
sl slv|Slovenian|Slovenščina
so som|Somali|Soomaali
sq sqi alb|Albanian|Shqip
sr srp scc|Serbian|Српски
sv swe|Swedish|Svenska
sw swa|Swahili|Kiswahili
ta tam|Tamil|தமிழ்
te tel|Telugu|తెలుగు
th tha|Thai|ไทย
tl tgl|Tagalog|Tagalog
tr tur|Turkish|Türkçe
uk ukr ua|Ukrainian|Українська
ur urd|Urdu|اردو
uz uzb|Uzbek|Oʻzbek
vi vie|Vietnamese|Tiếng Việt
yi yid ji|Yiddish|ייִדיש
wuu|Wu Chinese|吴语
yue|Cantonese|粵語
zh zho chi cmn cn|Chinese|中文
zu zul|Zulu|isiZulu
"""
# The rest of ISO 639-1, in pairs.
_OTHER_CODES = """
aa aar ab abk ae ave ak aka an arg as asm av ava ay aym ba bak bh bih bi bis bm bam bo bod bo tib
br bre ce che ch cha co cos cr cre cu chu cv chv dv div dz dzo ee ewe ff ful fj fij fo fao gn grn
gv glv ha hau ho hmo ht hat hz her ia ina ie ile ig ibo ii iii ik ipk io ido iu iku jv jav kg kon
ki kik kj kua kl kal kr kau ks kas kv kom kw cor lg lug li lim ln lin lu lub mg mlg mh mah mi mri
mi mao na nau nd nde ng ndo nr nbl nv nav ny nya oc oci oj oji om orm or ori os oss pi pli qu que
rm roh rn run rw kin sa san sc srd sd snd se sme sg sag sh hbs sm smo sn sna ss ssw st sot su sun
tg tgk ti tir tk tuk tn tsn to ton ts tso tt tat tw twi ty tah ug uig ve ven vo vol wa wln wo wol
xh xho yo yor za zha
"""
_REGIONAL = {
    "es-419": "Español (Latinoamérica)",
    "pt-BR": "Português (Brasil)",
    "sr-Latn": "Srpski",
    "zh-Hans": "简体中文",
    "zh-CN": "简体中文",
    "zh-Hant": "繁體中文",
    "zh-TW": "繁體中文",
}
_ALSO = {  # names in lower case, of single words or more
    "brazilian": "pt-BR",
    "brazilian portuguese": "pt-BR",
    "portuguese brazilian": "pt-BR",
    "portuguese brazil": "pt-BR",
    "português brasil": "pt-BR",
    "castellano": "es",
    "castilian": "es",
    "latin american spanish": "es-419",
    "spanish latin america": "es-419",
    "español latinoamérica": "es-419",
    "simplified chinese": "zh-Hans",
    "chinese simplified": "zh-Hans",
    "traditional chinese": "zh-Hant",
    "chinese traditional": "zh-Hant",
    "mandarin": "zh",
    "farsi": "fa",
    "flemish": "nl-BE",
    "vlaams": "nl-BE",
    "slovene": "sl",
    "bahasa": "id",
    "srpski": "sr",
}
_CODES = {"chs": "zh-Hans", "cht": "zh-Hant", "pob": "pt-BR", "ptbr": "pt-BR"}
_FORCED = {"forced", "foreign"}
_SDH = {"sdh", "cc", "hoh", "captions", "hearing", "impaired"}
_HI = "hi"  # Hindi, or hearing impaired
# Files of yt-dlp and others that are named like subtitles, and are none.
_NO_SUBTITLES = {"live_chat", "live-chat", "rechat", "danmaku"}
_ORIGINAL = "orig"  # after a language: YouTube's automatic captions, untranslated
# ISO 3166-1: the regions that may follow a language.
_COUNTRY_CODES = """
ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt
bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh
er es et fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht
hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls
lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni
nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg
sh si sj sk sl sm sn so sr ss st sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug
um us uy uz va vc ve vg vi vn vu wf ws xk ye yt za zm zw
"""
_COUNTRIES = frozenset(_COUNTRY_CODES.split())
# Languages with a region in lower case; other pairs are translations by yt-dlp: de-es is German
# translated from Spanish, es-mx is Mexico's.
_LOCALE_CODES = """
ar-ae ar-dz ar-ma ar-sa bn-bd bn-in ca-es cs-cz cy-gb da-dk de-at de-be de-ch de-de de-li de-lu
el-cy el-gr en-au en-ca en-gb en-ie en-in en-nz en-ph en-sg en-us en-za es-ar es-bo es-cl es-co
es-cr es-cu es-do es-ec es-es es-gt es-mx es-pe es-pr es-us es-uy es-ve et-ee eu-es fa-af fa-ir
fi-fi fil-ph fr-be fr-ca fr-ch fr-fr fr-lu fy-nl ga-ie gd-gb gl-es gu-in he-il hi-in hr-ba hr-hr
hu-hu hy-am id-id is-is it-ch it-it ja-jp ka-ge kk-kz km-kh kn-in ko-kp ko-kr lb-lu lt-lt lv-lv
mk-mk ml-in mr-in ms-my ms-sg mt-mt my-mm nb-no ne-np nl-be nl-nl nn-no no-no pa-in pa-pk pl-pl
ps-af pt-ao pt-br pt-mz pt-pt ro-md ro-ro ru-by ru-kz ru-ru ru-ua si-lk sk-sk sl-si so-so sq-al
sq-xk sr-ba sr-me sr-rs sv-fi sv-se sw-ke sw-tz ta-in ta-lk ta-sg te-in th-th tl-ph tr-cy tr-tr
uk-ua ur-in ur-pk uz-uz vi-vn zh-cn zh-hk zh-mo zh-sg zh-tw
"""
_LOCALES = frozenset(_LOCALE_CODES.split())
_SAY_NOTHING = {"sub", "subs", "subtitle", "subtitles", "default", "full", "utf8", "und"}

_TAG = re.compile(
    r"([a-z]{2,3})(?:[-_](arab|beng|cyrl|deva|grek|guru|hans|hant|hebr|jpan|kore|latn|mong))?"
    r"(?:[-_]([a-z]{2}|\d{3}))?",
    re.ASCII,
)
# yt-dlp's name of a track that YouTube translated: a tag, and the original language.
_TRANSLATED = re.compile(r"([\w-]+)-([a-z]{2,3}(?:-(?:[A-Z]{2}|[A-Z][a-z]{3}|\d{3}))?)", re.ASCII)
# YouTube's tracks with names of their own, as yt-dlp writes them: the code, and an id.
_YOUTUBE = re.compile(r"([a-z]{2,3})-(?=[^A-Z\d]*[A-Z\d])[\w-]{8,12}", re.ASCII)
_WORD = re.compile(r"[^\W_]+")
_NUMERAL = re.compile(r"[ivx]+", re.IGNORECASE | re.ASCII)  # ii is a language, and a second part
_EPISODE = re.compile(r"s\d{1,3}e\d{1,4}", re.IGNORECASE | re.ASCII)
_MIN_NAME = 4  # letters; what is shorter may be a word of any language


@dataclass(frozen=True, slots=True)
class SubtitleSuffix:
    """The parsed name of subtitles: a BCP 47 tag or "", two flags, and a label for people.

    `label` is one line and never empty.
    """

    language: str
    forced: bool
    sdh: bool
    label: str


@dataclass(slots=True)
class _ParsedName:
    """What was recognized so far, and the words that were not."""

    languages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    forced: bool = False
    sdh: bool = False
    is_hi: bool = False

    def read(self, text: str) -> None:
        tag, note = _youtube(text)
        if not tag:
            tag = _tag_of(text)
        if tag:
            self.languages.append(tag)
            self.notes += [note] if note else []
            return
        words = _WORD.findall(text)
        is_plain = all(map(_is_known, words))
        unknown = [word for word in words if not self._reads(word.casefold(), is_plain=is_plain)]
        if not words or unknown:
            self.others.append(text if len(unknown) == len(words) else " ".join(unknown))

    def _reads(self, word: str, *, is_plain: bool) -> bool:
        """Return whether a lower-case word is recognized; short ones only if all words are."""
        if word in _FORCED:
            self.forced = True
        elif word in _SDH:
            self.sdh = True
        elif not is_plain and len(word) < _MIN_NAME:
            return False
        elif word == _HI:
            self.is_hi = True
        elif tag := _tag_of(word):
            self.languages.append(tag)
        else:
            return is_plain
        return True

    def suffix(self, label: str = "") -> SubtitleSuffix:
        first, *more = self.languages or [_HI if self.is_hi else ""]
        sdh = self.sdh or (self.is_hi and bool(self.languages))
        more = [tag for tag in more if not f"{first}-".startswith(f"{tag}-")]
        notes = [*map(_name_of, more), *self.notes, *self.others]
        name = _name_of(first) if first else " ".join(notes) or _UNKNOWN
        notes = notes if first else []
        notes += ["forced"] * self.forced + ["SDH"] * sdh
        if name.endswith(")") and notes:
            name, notes = name.removesuffix(")"), ["", *notes]
            full_label = name + ", ".join(notes) + ")"
        else:
            full_label = f"{name} ({', '.join(notes)})" if notes else name
        return SubtitleSuffix(first, self.forced, sdh, (label or full_label)[:_MAX_LABEL].rstrip())


def suffix_of(middle: str) -> SubtitleSuffix | None:
    """Return the meaning of what is between a video's name and the suffix of its subtitles.

    Unknown words are kept for the label.

    Returns:
        None where there are so many, or another episode is named, that the subtitles must belong
        to another video.
    """
    parsed = _ParsedName()
    for part in readable(middle).split("."):
        if part.strip().casefold() in _NO_SUBTITLES:
            return None
        if part.strip():
            parsed.read(part.strip())
    if len(parsed.others) > _MAX_UNKNOWN or any(map(_EPISODE.search, parsed.others)):
        return None
    return parsed.suffix()


def says_only_language(middle: str) -> bool:
    """Return whether a part of a name has a language or flags, and nothing else."""
    if _NUMERAL.fullmatch(middle):
        return False
    parsed = _ParsedName()
    parsed.read(readable(middle))
    return not parsed.others and bool(parsed.languages or parsed.forced or parsed.sdh)


def suffix_of_stream(language: str, title: str, *, forced: bool, sdh: bool) -> SubtitleSuffix:
    """Return the meaning of an embedded subtitle track's tags.

    Args:
        language: a code or tag, or anything.
        title: its title, or "".
        forced: its disposition flag.
        sdh: likewise.
    """
    parsed = _ParsedName(forced=forced, sdh=sdh)
    label = readable(title)
    if label:
        parsed.read(label)
    code = language.strip().casefold()
    tag = _BY_CODE.get(code) or _tag_of(code)
    if tag and not any(other.startswith(f"{tag}-") for other in parsed.languages):
        parsed.languages = [tag, *(other for other in parsed.languages if other != tag)]
    return parsed.suffix(label if parsed.others else "")


def language_in(name: str) -> str:
    """Return the language at the end of a subtitle file's name, "" for none."""
    for part in reversed(readable(name).split(".")[1:-1]):
        parsed = _ParsedName()
        parsed.read(part)
        if parsed.languages:
            return parsed.languages[0]
        if parsed.others:
            break
    return ""


def _youtube(text: str) -> tuple[str, str]:
    """Return the tag of a track that yt-dlp named, and a note on it; "" for none."""
    translated = _TRANSLATED.fullmatch(text)
    if translated is not None:
        into, out_of = translated.groups()
        tag, source = _tag_of(into), _tag_of(out_of)
        second = out_of.casefold()
        is_region = f"{re.split('[-_]', into.casefold())[0]}-{second}" in _LOCALES
        if tag and source and not is_region and second != _HI:
            return tag, f"translated from {_name_of(source)}"
    base, _, end = text.rpartition("-")
    if end == _ORIGINAL and (tag := _tag_of(base)):
        return tag, "original"
    named = _YOUTUBE.fullmatch(text)
    if named is not None and not _tag_of(text) and named[1] in _BY_CODE:
        return _BY_CODE[named[1]], text[len(named[1]) + 1 :]
    return "", ""


def _tag_of(text: str) -> str:
    """Return the tag of a code, a tag in any spelling, or a name; "" for anything else."""
    text = text.casefold()
    match = _TAG.fullmatch(text)
    if match is not None:
        code, script, region = match.groups()
        tag = _BY_CODE.get(code, "")
        if region is None and script is None:
            return "" if text == _HI else tag or _BY_NAME.get(text, "")
        is_region = region is None or region.isdecimal() or region in _COUNTRIES
        if tag and is_region and region != "cc":
            parts = (tag, script and script.title(), region and region.upper())
            return "-".join(part for part in parts if part)
    return _BY_NAME.get(" ".join(_WORD.findall(text)), "")


def _is_known(word: str) -> bool:
    word = word.casefold()
    return (
        word in _FORCED
        or word in _SDH
        or word in _SAY_NOTHING
        or word == _HI
        or word.isdecimal()
        or bool(_tag_of(word))
    )


def _name_of(tag: str) -> str:
    if tag in _REGIONAL:
        return _REGIONAL[tag]
    language, _, more = tag.partition("-")
    name = _OWN_NAMES.get(language, language)
    return f"{name} ({more})" if more else name


def _tables() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return tags by code, tags by name in lower case, and own names by tag."""
    by_code, by_name, own_names = dict(_CODES), dict(_ALSO), {}
    for row in _LANGUAGES.strip().splitlines():
        codes, english, own = row.split("|")
        tag = codes.split()[0]
        by_code.update(dict.fromkeys(codes.split(), tag))
        for name in (english, own):
            by_name[" ".join(_WORD.findall(name.casefold()))] = tag
        own_names[tag] = own
    others = _OTHER_CODES.split()
    for tag, code in zip(others[::2], others[1::2], strict=True):
        by_code.setdefault(tag, tag)
        by_code[code] = tag
    by_name.update(_CODES)
    return by_code, by_name, own_names


_BY_CODE, _BY_NAME, _OWN_NAMES = _tables()
