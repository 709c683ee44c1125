"""The job `images`."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from contextlib import suppress

import pytest
from PIL import Image

from tasks import registry
from tasks.errors import PermanentError
from tasks.jobs.tests.here import run
from tasks.uploads import options


def image(form: str = "png", size=(400, 200), mode: str = "RGB", **saved) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(made, form, **saved)
    return made.getvalue()


def scaled(tmp_path, content: bytes, *sizes: str, **asked) -> tuple[dict, Image.Image]:
    result, context = run(
        "images", tmp_path, content, "a.x", sizes=list(sizes or ["100x100"]), **asked
    )
    (path,) = context.made.values()
    return result, Image.open(io.BytesIO(path.read_bytes()))


def test_it_works(tmp_path):
    result, context = run("images", tmp_path, image(), "photo.png")
    assert (result["format"], result["width"], result["height"]) == ("png", 400, 200)
    with tarfile.open(context.made["photo.tar"]) as archive:
        assert archive.getnames() == ["photo-1024x1024.png", "photo-256x256.png"]
        small = Image.open(archive.extractfile("photo-256x256.png"))
        assert small.size == (256, 128)
    assert [made["width"] for made in result["images"]] == [400, 256]
    assert context.told[-1] == (2, 2)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "gif"])
def test_each_format_becomes_each(tmp_path, form, target):
    _, found = scaled(tmp_path, image(form), format=target)
    assert (found.format.lower(), found.size) == (target, (100, 50))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "gif"])
def test_each_mode_of_colour_is_taken(tmp_path, mode, target):
    _, found = scaled(tmp_path, image(mode=mode), format=target)
    assert found.size == (100, 50)


def test_cropping_fills_the_size(tmp_path):
    assert scaled(tmp_path, image(), mode="crop")[1].size == (100, 100)


def test_it_is_turned_upright_and_its_metadata_stripped(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    content = image("jpeg", exif=exif.tobytes())
    _, found = scaled(tmp_path, content)
    assert found.size == (50, 100)
    assert not found.getexif()
    _, kept = scaled(tmp_path, content, metadata="keep")
    assert kept.getexif()[0x010F] == "a camera"
    assert 0x0112 not in kept.getexif()


def test_lower_quality_is_smaller(tmp_path):
    sizes = [
        scaled(tmp_path, image("jpeg"), "400x400", quality=quality)[0]["images"][0]["size"]
        for quality in (5, 95)
    ]
    assert sizes[0] < sizes[1]


def test_of_an_animation_the_first_frame_is_taken_and_told(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    made = io.BytesIO()
    frames[0].save(made, "gif", save_all=True, append_images=frames[1:])
    result, found = scaled(tmp_path, made.getvalue(), format="png")
    assert result["warnings"][0]["name"] == "first-frame"
    assert found.convert("RGB").getpixel((3, 3))[0] > 200


def claiming(width: int, height: int) -> bytes:
    """A PNG whose head names a size, and that has next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 1), (8000, 8000), (1, 40_000)])
def test_huge_ones_are_refused_by_their_head(tmp_path, size, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(PermanentError, match="too large"):
        scaled(tmp_path, claiming(*size))


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.9])
def test_truncated_ones_are_a_clear_failure(tmp_path, form, part):
    content = image(form, (700, 700))
    with pytest.raises(PermanentError, match=r"broken|no image"):
        scaled(tmp_path, content[: int(len(content) * part)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + b"x" * 1000,
        b"\xff\xd8\xff" + bytes(1000),
        b"GIF89a" + b"\xff" * 100,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_what_is_no_image_is_a_clear_failure(tmp_path, content):
    with pytest.raises(PermanentError, match=r"no image|broken|too large"):
        scaled(tmp_path, content)


def test_bytes_changed_anywhere_never_end_in_anything_else(tmp_path):
    for form in ("png", "jpeg", "webp", "gif"):
        whole = image(form, (64, 64))
        for place in range(0, len(whole), max(1, len(whole) // 60)):
            content = bytearray(whole)
            content[place] ^= 0xFF
            with suppress(PermanentError):
                scaled(tmp_path, bytes(content))


@pytest.mark.parametrize("asked", [{"sizes": []}, {"sizes": ["0x5"]}, {"sizes": ["99999x1"]}])
def test_options_are_held_to_the_schema(asked):
    assert options.faults(registry.get("images"), asked)
