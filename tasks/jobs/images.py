"""The job `images`: an image in other sizes and formats, and nothing decoded that is too large."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tasks.errors import PermanentError
from tasks.registry import Context, Intake, Job, register

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 50_000_000
"""Of the image sent: about 200 MB once decoded."""
MOST_SIDE = 30_000
MOST_BYTES = 100 << 20
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "gif": ".gif"}
TYPES = tuple(f"image/{name}" for name in SUFFIXES)
_READERS = ("PNG", "JPEG", "WEBP", "GIF")  # no others of Pillow's, some of which start programs
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error)
_PLAIN_JPEG = ("L", "RGB")
_WITH_ALPHA = ("RGBA", "LA", "PA")

OPTIONS: dict[str, Any] = {
    "properties": {
        "sizes": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$"},
            "minItems": 1,
            "maxItems": 10,
            "uniqueItems": True,
            "default": ["1024x1024", "256x256"],
            "title": "Sizes",
            "description": "Width and height in pixels, as 256x256",
        },
        "mode": {
            "type": "string",
            "enum": ["fit", "crop"],
            "default": "fit",
            "title": "Mode",
            "description": "Fit the whole image into the size, or fill the size and crop the rest",
        },
        "format": {
            "type": "string",
            "enum": ["same", *SUFFIXES],
            "default": "same",
            "title": "Format",
        },
        "quality": {
            "type": "integer",
            "minimum": 1,
            "maximum": 95,
            "default": 85,
            "title": "Quality",
            "description": "Of JPEG and WebP",
        },
        "metadata": {
            "type": "string",
            "enum": ["strip", "keep"],
            "default": "strip",
            "title": "Metadata",
            "description": "Place, camera and all else that Exif tells; colours are kept right",
        },
    },
}


def run(context: Context) -> Mapping[str, Any]:
    """One size is an image; several are a tar archive of images."""
    asked = context.args.get("options", {})
    sizes = [_size(each) for each in asked.get("sizes", ["1024x1024", "256x256"])]
    with context.input() as given:
        context.message("Decoding")
        with _faults(), _opened(given.path) as (image, about):
            chosen = asked.get("format", "same")
            form = about["format"] if chosen == "same" else chosen
            stem = PurePosixPath(given.filename or "image").stem
            made = []
            for number, size in enumerate(sizes):
                context.progress(number, len(sizes), unit="images")
                made.append(_make(image, size, form, asked, stem))
            context.progress(len(sizes), len(sizes), unit="images")
        _store(context, stem, made)
    images = [{"name": name, **told} for name, _, told in made]
    return {**about, "images": images, "warnings": about["warnings"]}


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


@contextmanager
def _faults() -> Iterator[None]:
    """What Pillow's many readers raise over a broken file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata, which is stripped
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("more than it should") from None
    except UnidentifiedImageError:
        raise PermanentError(
            "The file is no image that can be read, or its head is broken.",
            remedy="Send PNG, JPEG, WebP or GIF.",
        ) from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        struct.error,
    ) as error:
        cut = "it is cut short" if "truncated" in str(error) else "it can't be decoded"
        raise PermanentError(f"The image is broken: {cut}.", remedy="Send it again.") from None


def _too_large(told: str) -> PermanentError:
    return PermanentError(
        f"The image is too large: {told}, and at most {MOST_PIXELS} pixels are decoded.",
        remedy="Make it smaller first.",
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image, dict[str, Any]]]:
    """The decoded image, upright, and what is known of it. Its head is judged before the rest."""
    from PIL import Image, ImageOps

    with Image.open(path, formats=_READERS) as image:
        width, height = image.size
        if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
            raise _too_large(f"{width} by {height} pixels")
        about: dict[str, Any] = {
            "format": str(image.format).lower(),
            "width": width,
            "height": height,
            "warnings": [],
        }
        if getattr(image, "n_frames", 1) > 1:
            about["warnings"].append(
                {"name": "first-frame", "text": "It is animated; the first frame was taken."}
            )
            image.seek(0)
        image.load()
        upright = ImageOps.exif_transpose(image)
        about["upright"] = list(upright.size)
        yield upright, about


def _make(
    image: Image, size: tuple[int, int], form: str, asked: Mapping[str, Any], stem: str
) -> tuple[str, bytes, dict[str, Any]]:
    """Name, bytes and figures of one size. Nothing is made larger than it was."""
    from PIL import Image, ImageOps

    resized = _plain(image, form)
    if asked.get("mode", "fit") == "crop":
        box = (min(size[0], image.width), min(size[1], image.height))
        resized = ImageOps.fit(resized, box, Image.Resampling.LANCZOS)
    else:
        resized = resized.copy()
        resized.thumbnail(size, Image.Resampling.LANCZOS)
    target = io.BytesIO()
    resized.save(target, form, **_written(image, form, asked))
    content = target.getvalue()
    name = f"{stem}-{size[0]}x{size[1]}{SUFFIXES[form]}"
    return name, content, {"width": resized.width, "height": resized.height, "size": len(content)}


def _plain(image: Image, form: str) -> Image:
    """In a mode that can be scaled well, and that the format has."""
    from PIL.Image import alpha_composite, new

    if form == "jpeg":
        if image.mode in _WITH_ALPHA or "transparency" in image.info:
            above = image.convert("RGBA")
            ground = new("RGBA", image.size, "white")
            return alpha_composite(ground, above).convert("RGB")
        return image if image.mode in _PLAIN_JPEG else image.convert("RGB")
    if image.mode in ("L", "RGB", "RGBA"):
        return image
    alpha = image.mode in _WITH_ALPHA or "transparency" in image.info
    return image.convert("RGBA" if alpha else "RGB")


def _written(image: Image, form: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {"exif": b"", "optimize": form in ("png", "jpeg")}
    if form in ("jpeg", "webp"):
        options["quality"] = asked.get("quality", 85)
    if form != "gif" and image.mode != "CMYK" and image.info.get("icc_profile"):
        options["icc_profile"] = image.info["icc_profile"]
    if form == "gif":
        del options["exif"]
    elif asked.get("metadata") == "keep":
        options["exif"] = image.getexif().tobytes()
    return options


def _store(context: Context, stem: str, made: list[tuple[str, bytes, dict[str, Any]]]) -> None:
    if len(made) == 1:
        name, content, _ = made[0]
        with context.artifact(name) as path:
            path.write_bytes(content)
        return
    with (
        context.artifact(f"{stem}.tar", "application/x-tar") as path,
        tarfile.open(path, "w") as archive,
    ):
        for name, content, _ in made:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


register(
    Job(
        name="images",
        run=run,
        title="Scale an image",
        intake=Intake(types=TYPES, max_bytes=MOST_BYTES),
        options=OPTIONS,
        memory_bytes=1 << 30,
        deadline_seconds=300,
        stall_seconds=120,
    )
)
