"""Values of options that hold several words or numbers with commas between them."""

import typer


def words(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str, option: str) -> list[float]:
    """The numbers of a list with commas.

    Raises:
        typer.BadParameter: one of them is none.
    """
    try:
        return [float(word) for word in words(text)]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes numbers with commas between them, got {text!r}") from error


def integers(text: str, option: str) -> list[int]:
    """The whole numbers of a list with commas.

    Raises:
        typer.BadParameter: one of them is none.
    """
    try:
        return [int(word) for word in words(text)]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes whole numbers with commas between them, got {text!r}") from error


def pair(text: str, option: str) -> tuple[float, float]:
    """Two numbers with a comma between them.

    Raises:
        typer.BadParameter: there are not two.
    """
    values = numbers(text, option)
    if len(values) != 2:
        raise typer.BadParameter(f"{option} takes two numbers with a comma between them, got {text!r}")
    return values[0], values[1]
