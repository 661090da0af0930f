"""The few pictures on buttons, drawn as lines in the colour of the text."""

PATHS = {
    "send": "M12 19V5M5 12l7-7 7 7",
    "stop": "M7 7h10v10H7z",
    "copy": "M9 9h11v11H9zM5 15H4V4h11v1",
    "edit": "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
    "like": "M7 11v9H4v-9zM7 11l4-8c1.7 1.3 2.2 3 1.5 6H19c1.2 0 2 1 1.8 2.2l-1.2 7A2 2 0 0 1 17.6 20H7",
    "dislike": "M17 13V4h3v9zM17 13l-4 8c-1.7-1.3-2.2-3-1.5-6H5c-1.2 0-2-1-1.8-2.2l1.2-7A2 2 0 0 1 6.4 4H17",
    "retry": "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
    "check": "M20 6L9 17l-5-5",
    "menu": "M4 6h16M4 12h16M4 18h16",
    "plus": "M12 5v14M5 12h14",
    "close": "M6 6l12 12M18 6L6 18",
    "delete": "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
    "export": "M12 4v11M7 10l5 5 5-5M4 20h16",
    "previous": "M15 5l-7 7 7 7",
    "following": "M9 5l7 7-7 7",
    "raw": "M6 3h8l4 4v14H6zM14 3v4h4M9 13h6M9 17h6",
    "theme": "M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z",
}


def icon(name: str) -> str:
    """Write one as inline SVG, silent to a screen reader."""
    return (
        '<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.8" '
        f'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"><path d="{PATHS[name]}"/></svg>'
    )
