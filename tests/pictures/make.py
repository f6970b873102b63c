#!/usr/bin/env python3
"""Makes the pictures of this folder and what PIL makes of them: python3 tests/pictures/make.py

cases.txt has a line a case; expected.bin has the bytes of all cases, [height][width][channels], in the order of the lines:
  decode FILE CHANNELS HEIGHT WIDTH
  resize FILE CHANNELS HEIGHT WIDTH                      to that size
  chain FILE CHANNELS SIDE SIDE TRANSFORM                as tests transform
  jitter FILE CHANNELS HEIGHT WIDTH ORDER B C S H        brightness, contrast, saturation (factors) and hue (part of a turn)
"""
import os
import struct
import zlib

import numpy
from PIL import Image, ImageEnhance

HERE = os.path.dirname(os.path.abspath(__file__))
random = numpy.random.default_rng(7)


def scene(height, width, channels):
    """Slopes, a disc, stripes and some noise: something of everything that a filter can spoil."""
    y, x = numpy.mgrid[0:height, 0:width].astype(float)
    planes = []
    for c in range(channels):
        plane = 255 * ((x / width) if c % 2 else (y / height))
        disc = (x - width * (0.3 + 0.2 * c)) ** 2 + (y - height * 0.5) ** 2 < (min(height, width) * 0.3) ** 2
        plane = numpy.where(disc, 230 - 90 * c, plane)
        plane = numpy.where((x.astype(int) // 3 + c) % 5 == 0, 255 - plane, plane)
        planes.append(plane + random.normal(0, 12, plane.shape))
    return numpy.clip(numpy.stack(planes, -1), 0, 255).astype(numpy.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(name, pixels, depth, colour, interlaced):
    """What PIL does not write: 16 bits a channel, and Adam7."""
    height, width = pixels.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b""
    for top, left, down, across in passes if interlaced else [(0, 0, 1, 1)]:
        part = pixels[top::down, left::across]
        if part.size:
            for row in part.astype(">u2" if depth == 16 else "u1"):
                raw += b"\0" + row.tobytes()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def make_pictures():
    def save(image, name, **how):
        image.save(os.path.join(HERE, name), **how)

    rgb = Image.fromarray(scene(29, 37, 3))
    grey = Image.fromarray(scene(31, 23, 1)[..., 0])
    save(rgb, "rgb.jpg", quality=90)
    save(rgb, "full.jpg", quality=85, subsampling=0)
    save(rgb, "progressive.jpg", quality=80, progressive=True)
    save(grey, "grey.jpg", quality=90)
    save(Image.fromarray(scene(18, 21, 4), "CMYK"), "cmyk.jpg", quality=95)
    save(rgb, "rgb.png")
    save(grey, "grey.png")
    save(Image.fromarray(scene(17, 26, 4), "RGBA"), "rgba.png")
    save(Image.fromarray(scene(16, 15, 2), "LA"), "grey_alpha.png")
    save(rgb.quantize(40), "palette.png")
    save(rgb.quantize(40), "palette_clear.png", transparency=3)
    save(grey.convert("1"), "bits.png")
    save(grey.quantize(4), "palette_2bit.png", bits=2)
    save(Image.fromarray(scene(1, 1, 3)), "one.png")
    save(Image.fromarray(scene(3, 190, 3)), "long.png")
    save(Image.fromarray(scene(90, 67, 3)), "large.png")
    wide = scene(21, 19, 3).astype(numpy.uint16) * 256 + random.integers(0, 256, (21, 19, 3))
    write_png("rgb16.png", wide, 16, 2, False)
    write_png("adam7.png", scene(21, 19, 3), 8, 2, True)
    write_png("adam7_small.png", scene(2, 3, 1), 8, 0, True)


def opened(name, channels):
    image = Image.open(os.path.join(HERE, name))
    return image.convert("RGB" if channels == 3 else "L")


def shorter(image, side):
    width, height = image.size
    if width <= height:
        size = (side, int(side * height / width))
    else:
        size = (int(side * width / height), side)
    return image.resize(size, Image.BILINEAR)


def center(image, side):
    left, top = (int(round((extent - side) / 2.0)) for extent in image.size)
    return image.crop((left, top, left + side, top + side))


def jittered(image, order, brightness, contrast, saturation, hue):
    def turned(picture):
        h, s, v = picture.convert("HSV").split()
        turns = numpy.array(h, dtype=numpy.uint8) + numpy.int32(hue * 255).astype(numpy.uint8)
        return Image.merge("HSV", (Image.fromarray(turns, "L"), s, v)).convert("RGB")

    parts = [
        lambda picture: ImageEnhance.Brightness(picture).enhance(brightness),
        lambda picture: ImageEnhance.Contrast(picture).enhance(contrast),
        lambda picture: ImageEnhance.Color(picture).enhance(saturation),
        lambda picture: turned(picture) if picture.mode == "RGB" else picture,
    ]
    still = (1, 1, 1, 0)
    for number in map(int, order):
        if (brightness, contrast, saturation, hue)[number] != still[number]:
            image = parts[number](image)
    return image


def main():
    make_pictures()
    lines, expected = [], []

    def case(kind, name, channels, image, more=""):
        pixels = numpy.asarray(image)
        lines.append(f"{kind} {name} {channels} {pixels.shape[0]} {pixels.shape[1]} {more}".rstrip())
        expected.append(pixels.tobytes())

    for name in sorted(os.listdir(HERE)):
        if name.endswith((".jpg", ".png")) and name not in ("large.png", "long.png"):
            for channels in (1, 3):
                case("decode", name, channels, opened(name, channels))
    for name, channels, sizes in (
        ("rgb.png", 3, [(29, 37), (12, 10), (7, 37), (29, 11), (40, 63), (1, 1), (58, 20)]),
        ("grey.png", 1, [(13, 9), (47, 45), (31, 5)]),
        ("large.png", 3, [(11, 13), (3, 50)]),
        ("one.png", 3, [(5, 4)]),
        ("long.png", 3, [(9, 31)]),
    ):
        for height, width in sizes:
            case("resize", name, channels, opened(name, channels).resize((width, height), Image.BILINEAR))
    for name, channels, side, crop in (
        ("large.png", 3, 32, 28),
        ("large.png", 1, 24, 24),
        ("rgb.jpg", 3, 32, 28),
        ("rgb.jpg", 3, 17, 14),
        ("progressive.jpg", 1, 20, 17),
        ("grey.jpg", 3, 36, 33),
        ("cmyk.jpg", 3, 25, 22),
        ("palette.png", 3, 23, 20),
        ("rgb16.png", 1, 15, 12),
        ("long.png", 3, 8, 7),
    ):
        image = center(shorter(opened(name, channels), side), crop)
        case("chain", name, channels, image, f"resize({side}) -> center_crop({crop})")
    for name, channels, order, factors in (
        ("rgb.png", 3, "0123", (1.3, 1, 1, 0)),
        ("rgb.png", 3, "0123", (0.6, 1, 1, 0)),
        ("rgb.png", 3, "0123", (1, 1.4, 1, 0)),
        ("rgb.png", 3, "0123", (1, 0.7, 1, 0)),
        ("rgb.png", 3, "0123", (1, 1, 1.4, 0)),
        ("rgb.png", 3, "0123", (1, 1, 0.2, 0)),
        ("rgb.png", 3, "0123", (1, 1, 1, 0.2)),
        ("rgb.png", 3, "0123", (1, 1, 1, -0.37)),
        ("rgb.png", 3, "3210", (1.2, 0.8, 1.3, 0.1)),
        ("rgb.jpg", 3, "2031", (0.75, 1.25, 0.65, -0.19)),
        ("grey.png", 1, "1032", (1.2, 0.8, 1.3, 0.1)),
    ):
        image = jittered(opened(name, channels), order, *factors)
        case("jitter", name, channels, image, order + " " + " ".join(str(factor) for factor in factors))
    with open(os.path.join(HERE, "cases.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")
    with open(os.path.join(HERE, "expected.bin"), "wb") as file:
        file.write(b"".join(expected))


if __name__ == "__main__":
    main()
