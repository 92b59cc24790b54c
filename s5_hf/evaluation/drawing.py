"""What the pictures of reports share: colours, sizes, and text that runs upwards."""

from PIL import Image, ImageDraw, ImageFont

__all__ = ["GREY", "INK", "MARGIN", "PAPER", "TEXT_SIZE", "TITLE_SIZE", "paste_turned"]

MARGIN, TEXT_SIZE, TITLE_SIZE = 16, 14, 18
INK, GREY, PAPER = (32, 32, 32), (110, 110, 110), (255, 255, 255)


def paste_turned(
    picture: Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont,
    ink: tuple[int, int, int],
    lower_left: tuple[int, int],
) -> None:
    """Write text upwards, its lower left corner at the given place."""
    length = round(font.getlength(text)) + 2
    line = Image.new("L", (length, TEXT_SIZE + 6), 0)
    ImageDraw.Draw(line).text((0, 0), text, font=font, fill=255)
    turned = line.transpose(Image.Transpose.ROTATE_90)
    x, y = lower_left
    picture.paste(Image.new("RGB", turned.size, ink), (x, y - turned.height), mask=turned)
