"""Makes stills of cover art: image files and attached pictures that replace a video frame.

A picture is as untrusted as a video. Its header is checked before it is decoded, only by the
decoders of five formats; and it is shrunk while it is decoded, if the format allows that.
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

from generator.adapters.media_worker.stills import preview_of, scaled, stills_of
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.stills import PREVIEW_BOX, Size, fit, plausible_size
from generator.core.model import Stills

MAX_BYTES = 20 << 20
_MAX_PX = 50_000_000  # the largest photos of phones
_SCAN_MARKER = b"\xff\xda"  # begins each scan of a progressive JPEG, which has some ten
_MAX_SCAN_PX = 1_000_000_000
_APP1_MARKER = b"\xff\xe1"  # EXIF and XMP segments of a JPEG
_MAX_APP1 = 2_000  # Pillow concatenates them, and copies all of them each time
# Imported above, so that Pillow does not load all its plugins to find them.
_PLUGINS = (JpegImageFile, PngImageFile, WebPImageFile, GifImageFile, AvifImageFile)
_FORMATS = tuple(str(plugin.format) for plugin in _PLUGINS)
_BACKGROUND = (128, 128, 128)  # behind transparency: black and white both show on it
_TRANSPOSES = {  # EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_ROTATED = 5  # from this orientation on, width and height are swapped
_DEEP_MODES = ("I", "I;16", "I;16B")  # gray of 16 bits; Pillow would clip it at 255
_TOO_LARGE = f"has more than {_MAX_PX // 1_000_000} million pixels"


def from_picture(content: bytes) -> Stills:
    """Return the stills of a picture: JPEG, PNG, WebP, GIF or AVIF, whatever its name.

    Of an animation it is the first frame.

    Raises:
        UnusableFileError: it cannot be shown; no other error is raised.
    """
    if len(content) > MAX_BYTES:
        raise UnusableFileError(f"is larger than {MAX_BYTES >> 20} MB")
    if content.count(_APP1_MARKER) > _MAX_APP1:
        raise UnusableFileError("has too much metadata")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Pillow repairs itself
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _stills(content)
    except UnusableFileError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableFileError("is damaged, or not a JPEG, PNG, WebP, GIF or AVIF") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UnusableFileError(_TOO_LARGE) from error
    except MemoryError as error:
        raise UnusableFileError("needs too much memory") from error
    except Exception as error:  # Pillow may raise anything for a damaged file
        raise UnusableFileError("is damaged or truncated") from error


def from_cover(video: VideoFile) -> Stills | None:
    """Return the stills of the picture attached to a video; None without a usable one."""
    try:
        content = video.cover()
        return None if content is None else from_picture(content)
    except UnusableFileError:
        return None


def _stills(content: bytes) -> Stills:
    with Image.open(BytesIO(content), formats=_FORMATS) as picture:
        stored = _size(picture, content)
        # A JPEG is decoded at 1/2, 1/4 or 1/8, if that is large enough, rotated or not.
        picture.draft(None, (PREVIEW_BOX.width_px, PREVIEW_BOX.width_px))
        picture.load()
        orientation = _orientation(picture)
        is_rotated = orientation >= _FIRST_ROTATED
        displayed = stored.turned() if is_rotated else stored
        upright = fit(displayed, PREVIEW_BOX)
        small = _shrink(_to_rgb(picture), upright.turned() if is_rotated else upright)
    if orientation in _TRANSPOSES:
        small = small.transpose(_TRANSPOSES[orientation])
    frame = scaled(
        _frame(small),
        upright,
        "yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
    )
    return stills_of(preview_of(frame, Colorspace.ITU601, displayed))


def _size(picture: Image.Image, content: bytes) -> Size:
    """Return the size in the header, if it is reasonable to decode.

    Raises:
        UnusableFileError: it is so large, or so encoded, that decoding would take too long.
    """
    size = plausible_size(*picture.size)
    if size is None:
        raise UnusableFileError("has a width or height that is zero or too large")
    pixels = size.width_px * size.height_px
    if pixels > _MAX_PX:
        raise UnusableFileError(_TOO_LARGE)
    scans = content.count(_SCAN_MARKER) if isinstance(picture, JpegImageFile) else 1
    if scans * pixels > _MAX_SCAN_PX:
        raise UnusableFileError("has too many layers")
    return size


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if it is damaged or missing."""
    try:
        orientation = picture.getexif().get(Base.Orientation)
    except (SyntaxError, struct.error):
        return 1
    return orientation if orientation in _TRANSPOSES else 1


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture as RGB, or as RGBA if it has transparency."""
    if picture.mode in _DEEP_MODES:
        return picture.convert("I").point(lambda gray: gray * (1 / 256)).convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _shrink(picture: Image.Image, size: Size) -> Image.Image:
    """Return a picture as RGB of this size, first reduced to about twice of it by averaging."""
    shrink = (
        max(1, picture.width // (2 * size.width_px)),
        max(1, picture.height // (2 * size.height_px)),
    )
    small = picture.reduce(shrink).resize((size.width_px, size.height_px))
    if small.mode != "RGBA":
        return small
    background = Image.new("RGB", small.size, _BACKGROUND)
    background.paste(small, mask=small.getchannel("A"))
    return background


def _frame(picture: Image.Image) -> VideoFrame:
    frame = VideoFrame(picture.width, picture.height, "rgb24")
    plane = frame.planes[0]
    row, padding = picture.width * 3, bytes(plane.line_size - picture.width * 3)
    pixels = picture.tobytes()
    plane.update(b"".join(pixels[at : at + row] + padding for at in range(0, len(pixels), row)))
    return frame
