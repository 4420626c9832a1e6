"""How the pages look, light and dark: Streamlit's options."""

from collections.abc import Mapping

_LIGHT = {
    "primaryColor": "#0b63b5",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f3f5f8",
    "textColor": "#1d2329",
    "borderColor": "#d8dde3",
    "linkColor": "#0b63b5",
}
_DARK = {
    "primaryColor": "#58a6f0",
    "backgroundColor": "#10151b",
    "secondaryBackgroundColor": "#1a2129",
    "textColor": "#e8ebee",
    "borderColor": "#303943",
    "linkColor": "#7cb8f2",
}
_SHARED: Mapping[str, object] = {
    "theme.baseRadius": "medium",
    "theme.showWidgetBorder": True,
    "theme.baseFontSize": 15,
    "theme.font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans KR', sans-serif",
    "theme.headingFont": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans KR', sans-serif",
    "theme.headingFontSizes": ["1.9rem", "1.45rem", "1.2rem", "1.05rem"],
}

THEME: Mapping[str, object] = {
    **_SHARED,
    **{f"theme.light.{name}": value for name, value in _LIGHT.items()},
    **{f"theme.dark.{name}": value for name, value in _DARK.items()},
    "theme.light.sidebar.backgroundColor": "#f3f5f8",
    "theme.dark.sidebar.backgroundColor": "#0b0f14",
}
