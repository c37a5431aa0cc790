"""Tone mapping: FFmpeg filters from HDR and wide gamut to sRGB.

PQ and HLG (ITU-R BT.2100) become sRGB with paper white, 203 cd/m2 (BT.2408), as white; what is
brighter is white as well. Wide gamuts of standard dynamic range are mapped to BT.709.
"""

from dataclasses import dataclass

from generator.core.media.stills import Size

# As ITU-T H.273 numbers them.
UNSPECIFIED = 2
_PQ, _HLG = 16, 18
_HDR_CURVES = {_PQ, _HLG}
_BT2020 = 9
_P3 = 12
_P3S = {11, _P3}
RGB = 0
_IPT = 15
_INTENSITY = {14, _IPT}  # ICtCp and IPT-PQ-C2: only the intensity can be decoded without metadata

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}
_Rows = tuple[tuple[float, float, float], ...]
_MIX: dict[int, _Rows] = {  # linear light to that of BT.709: a row each for red, green and blue
    _BT2020: (
        (1.6604910, -0.5876411, -0.0728499),
        (-0.1245505, 1.1328999, -0.0083494),
        (-0.0181508, -0.1005789, 1.1187297),
    ),
    _P3: (
        (1.2249402, -0.2249402, 0.0),
        (-0.0420570, 1.0420570, 0.0),
        (-0.0196376, -0.0786361, 1.0982736),
    ),
}
# 14 bits: linear light in as fine steps as 8-bit sRGB needs, from tables that are quickly built.
_FORMAT, _MAX = "gbrp14le", 255 << 6  # where swscale has white, and lutrgb cuts
_HEADROOM = 4  # times paper white; what is brighter is clipped here, before gamuts are mapped
_WHITE = _MAX / _HEADROOM
_PEAK_NITS, _HLG_NITS, _PAPER_NITS = 10_000, 1_000, 203
_EXACT = "flags=accurate_rnd+full_chroma_int"

_PQ_LIGHT = (
    f"0*st(0,pow(min(val/{_MAX},1),{32 / 2523!r}))+"
    f"{_WHITE * _PEAK_NITS / _PAPER_NITS!r}"
    f"*pow(max(ld(0)-{3424 / 4096!r},0)/({2413 / 128!r}-{2392 / 128!r}*ld(0)),{16384 / 2610!r})"
)
# The system gamma of a screen of 1,000 cd/m2, for each color, as zimg has it.
_HLG_LIGHT = (
    f"0*st(0,min(val/{_MAX},1))+"
    f"{_WHITE * _HLG_NITS / _PAPER_NITS!r}"
    "*pow(if(lte(ld(0),0.5),ld(0)*ld(0)/3,(exp((ld(0)-0.55991073)/0.17883277)+0.28466892)/12),1.2)"
)
_SRGB_LIGHT = (
    f"0*st(0,min(val/{_MAX},1))+"
    f"{_WHITE!r}*if(lte(ld(0),0.04045),ld(0)/12.92,pow((ld(0)+0.055)/1.055,2.4))"
)
_ENCODE = (
    f"0*st(0,min(val/{_WHITE!r},1))+"
    f"{_MAX}*if(lte(ld(0),0.0031308),12.92*ld(0),1.055*pow(ld(0),1/2.4)-0.055)"
)

Step = tuple[str, str]  # a filter of FFmpeg's, and its options


@dataclass(frozen=True, slots=True)
class ColorSpace:
    """The color space of a frame, in the numbers of ITU-T H.273; `is_full`: its range.

    `matrix` is 0 for RGB.
    """

    primaries: int
    curve: int
    matrix: int
    is_full: bool = False

    @property
    def is_wide(self) -> bool:
        """Return whether it has colors or a brightness that an sRGB screen cannot show."""
        return (
            self.curve in _HDR_CURVES
            or self.primaries == _BT2020
            or self.primaries in _P3S
            or self.matrix in _INTENSITY
        )


def completed(frame: ColorSpace, stream: ColorSpace) -> ColorSpace:
    """Return the color space of a frame, with the container's values where it has none."""

    def either(inner: int, outer: int) -> int:
        return inner if inner != UNSPECIFIED else outer

    return ColorSpace(
        either(frame.primaries, stream.primaries),
        either(frame.curve, stream.curve),
        either(frame.matrix, stream.matrix),
        frame.is_full,
    )


def unmapped(colors: ColorSpace) -> ColorSpace:
    """Return the color space of Dolby Vision without a compatible base layer (profile 5)."""
    return ColorSpace(_BT2020, _PQ, _IPT, is_full=True) if colors.curve == UNSPECIFIED else colors


def to_srgb(colors: ColorSpace, size: Size, flags: str) -> tuple[Step, ...]:
    """Return the filters that convert frames to sRGB, in 14-bit RGB.

    They are scaled first, with swscale's `flags`, so that the rest costs little. A frame of which
    only the intensity can be decoded becomes gray.
    """
    scaled = ("scale", f"{size.width_px}:{size.height_px}:flags={flags}")
    whole = f"in_range={'full' if colors.is_full else 'limited'}:{_EXACT}"
    decode = {_PQ: _PQ_LIGHT, _HLG: _HLG_LIGHT}.get(colors.curve, _SRGB_LIGHT)
    if colors.matrix in _INTENSITY:
        named = ("setparams", "colorspace=bt2020nc")  # swscale does not know these at all
        light = (
            named,
            scaled,
            ("format", "gray14le"),
            ("scale", f"{whole}:out_range=full"),
            ("format", _FORMAT),
        )
        decode = decode if colors.curve in _HDR_CURVES else _PQ_LIGHT
        return (*light, _table(decode), _table(_ENCODE), *_FINISH)
    if colors.matrix != RGB:
        whole = f"in_color_matrix={_MATRICES.get(colors.matrix, 'bt2020')}:{whole}"
    steps = [scaled, ("scale", whole), ("format", _FORMAT), _table(decode)]
    primaries = _P3 if colors.primaries in _P3S else colors.primaries
    if primaries == UNSPECIFIED and colors.curve in _HDR_CURVES:
        primaries = _BT2020
    rows = _MIX.get(primaries)
    if rows is not None:
        steps.append(_mixed(rows))
    return (*steps, _table(_ENCODE), *_FINISH)


def _table(expression: str) -> Step:
    exact = f"if(gt(val,16383),0,{expression}+0.5)"  # it asks for 16 bits; it cuts, we round
    return "lutrgb", ":".join(f"{name}='{exact}'" for name in "rgb")


def _mixed(rows: _Rows) -> Step:
    weights = (
        f"{name}{of}={weight!r}"
        for name, row in zip("rgb", rows, strict=True)
        for of, weight in zip("rgb", row, strict=True)
    )
    return "colorchannelmixer", ":".join(weights)


_FINISH = (("setparams", "color_primaries=bt709:color_trc=iec61966-2-1:colorspace=gbr:range=full"),)
