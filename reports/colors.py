"""A color scale for readers who see few colors: one hue, monotone in lightness, text always legible."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[float, float, float]
LIGHT = ("#f2f5f8", "#a9c8e0", "#4a88b9", "#123f68")
DARK = ("#1a2632", "#22527a", "#5b9fce", "#d9eefc")
BLACK, WHITE = "#000000", "#ffffff"
# Only pure black and white leave no middle shade on which both fall short of 4.5.


@dataclass(frozen=True)
class Shade:
    """Background and text color, for the light and the dark page."""

    light: str
    light_text: str
    dark: str
    dark_text: str

    @property
    def css(self) -> str:
        """As custom properties for a ``style`` attribute."""
        return f"--l:{self.light};--lt:{self.light_text};--d:{self.dark};--dt:{self.dark_text}"


def shade(share: float) -> Shade:
    """The shade of a share in [0, 1]; 1 is the best."""
    light, dark = _mix(LIGHT, share), _mix(DARK, share)
    return Shade(_hex(light), _text(light), _hex(dark), _text(dark))


def contrast(a: str, b: str) -> float:
    """WCAG 2 contrast ratio of two colors, 1 to 21."""
    low, high = sorted((_luminance(_rgb(a)), _luminance(_rgb(b))))
    return (high + 0.05) / (low + 0.05)


def _text(background: RGB) -> str:
    color = _hex(background)
    return max((BLACK, WHITE), key=lambda text: contrast(color, text))


def _mix(stops: tuple[str, ...], share: float) -> RGB:
    at = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(at), len(stops) - 2)
    part = at - index
    a, b = _rgb(stops[index]), _rgb(stops[index + 1])
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part, a[2] + (b[2] - a[2]) * part


def _rgb(color: str) -> RGB:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _hex(rgb: RGB) -> str:
    return "#" + "".join(f"{round(v):02x}" for v in rgb)


def _luminance(rgb: RGB) -> float:
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
