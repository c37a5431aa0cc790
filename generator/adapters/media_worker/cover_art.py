"""Posters: pictures that somebody chose for a video become the stills that a frame would give.

A picture comes from as far as a video does. Its header is looked at before it is decoded, by the
decoders of five formats and no other; and it is made small while it is decoded, where it can be.
"""

import struct
import warnings
from io import BytesIO

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image, UnidentifiedImageError
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from generator.adapters.media_worker.stills import scaled, shot_of, stills_of
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.stills import PREVIEW_BOX, Size, fit, plausible_size
from generator.core.model import Stills

MOST_BYTES = 20 << 20
_MOST_PX = 50_000_000  # the largest that telephones take
_SCAN = b"\xff\xda"  # begins each of the layers that a progressive JPEG is made of, some ten
_MOST_SCANNED_PX = 1_000_000_000
_NOTE = b"\xff\xe1"  # EXIF begins with it in a JPEG
_MOST_NOTES = 2_000  # Pillow puts one behind the other, and copies all of them each time
# Imported above, so that Pillow needs not load all it has to find them.
_PLUGINS = (JpegImageFile, PngImageFile, WebPImageFile, GifImageFile, AvifImageFile)
_FORMATS = tuple(str(plugin.format) for plugin in _PLUGINS)
_GROUND = (128, 128, 128)  # behind what is transparent: black and white both show on it
_UPRIGHT = {  # EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = 5  # from this orientation on, width and height change places
_DEEP = ("I", "I;16", "I;16B")  # grey of 16 bits; Pillow would cut it off at 255
_TOO_LARGE = f"has more than {_MOST_PX // 1_000_000} million pixels"


def from_picture(content: bytes) -> Stills:
    """Return the stills of a picture: JPEG, PNG, WebP, GIF or AVIF, whatever it is called.

    Of an animation it is the first frame.

    Raises:
        UnfitError: it cannot be shown; nothing else leaves here.
    """
    if len(content) > MOST_BYTES:
        raise UnusableFileError(f"is larger than {MOST_BYTES >> 20} MB")
    if content.count(_NOTE) > _MOST_NOTES:
        raise UnusableFileError("holds too many notes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Pillow puts right by itself
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _stills(content)
    except UnusableFileError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableFileError("is damaged, or no JPEG, PNG, WebP, GIF or AVIF") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UnusableFileError(_TOO_LARGE) from error
    except MemoryError as error:
        raise UnusableFileError("needs too much memory") from error
    except Exception as error:  # a damaged file meets code of Pillow's that did not expect it
        raise UnusableFileError("is damaged, or cut short") from error


def from_cover(film: VideoFile) -> Stills | None:
    """Return the stills of the picture attached to a video; None without one that can be shown."""
    try:
        content = film.cover()
        return None if content is None else from_picture(content)
    except UnusableFileError:
        return None


def _stills(content: bytes) -> Stills:
    with Image.open(BytesIO(content), formats=_FORMATS) as picture:
        stored = _size(picture, content)
        # A JPEG is decoded at a half, a quarter or an eighth, if that is large enough lying or not.
        picture.draft(None, (PREVIEW_BOX.width_px, PREVIEW_BOX.width_px))
        picture.load()
        orientation = _orientation(picture)
        lying = orientation >= _LYING
        displayed = stored.turned() if lying else stored
        upright = fit(displayed, PREVIEW_BOX)
        small = _small(_plain(picture), upright.turned() if lying else upright)
    if orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    frame = scaled(
        _frame(small),
        upright,
        "yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
    )
    return stills_of(shot_of(frame, Colorspace.ITU601, displayed))


def _size(picture: Image.Image, content: bytes) -> Size:
    """Return the size that the header tells, if it is worth decoding.

    Raises:
        UnfitError: it is so large, or so made, that decoding would take too long.
    """
    size = plausible_size(*picture.size)
    if size is None:
        raise UnusableFileError("has a side that is nothing, or too long")
    pixels = size.width_px * size.height_px
    if pixels > _MOST_PX:
        raise UnusableFileError(_TOO_LARGE)
    scans = content.count(_SCAN) if isinstance(picture, JpegImageFile) else 1
    if scans * pixels > _MOST_SCANNED_PX:
        raise UnusableFileError("is put together of too many layers")
    return size


def _orientation(picture: Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; 1 where EXIF is damaged or says nothing."""
    try:
        orientation = picture.getexif().get(Base.Orientation)
    except (SyntaxError, struct.error):
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _plain(picture: Image.Image) -> Image.Image:
    """Return a picture as RGB, or as RGBA if anything shines through."""
    if picture.mode in _DEEP:
        return picture.convert("I").point(lambda grey: grey * (1 / 256)).convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _small(picture: Image.Image, size: Size) -> Image.Image:
    """Return a picture as RGB and of this size, first made about twice as large by averages."""
    shrink = (
        max(1, picture.width // (2 * size.width_px)),
        max(1, picture.height // (2 * size.height_px)),
    )
    small = picture.reduce(shrink).resize((size.width_px, size.height_px))
    if small.mode != "RGBA":
        return small
    ground = Image.new("RGB", small.size, _GROUND)
    ground.paste(small, mask=small.getchannel("A"))
    return ground


def _frame(picture: Image.Image) -> VideoFrame:
    frame = VideoFrame(picture.width, picture.height, "rgb24")
    plane = frame.planes[0]
    row, padding = picture.width * 3, bytes(plane.line_size - picture.width * 3)
    pixels = picture.tobytes()
    plane.update(b"".join(pixels[at : at + row] + padding for at in range(0, len(pixels), row)))
    return frame
