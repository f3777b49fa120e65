"""Where the files are that come with opendiag: in a checkout where they are written, installed inside the package."""

from __future__ import annotations

from pathlib import Path

#: name -> place in a checkout. pyproject.toml puts the same files into the wheel under ``_bundled/<name>``.
_IN_CHECKOUT = {"eds": "eds", "stepim.log": "examples/stepim.log"}


def bundled_path(name: str) -> Path:
    """Find a bundled file or directory: ``"eds"`` (the directory of our own EDS files) or ``"stepim.log"``.

    Raises ValueError for a name that is not bundled, FileNotFoundError when the installation lacks it.
    """
    if name not in _IN_CHECKOUT:
        raise ValueError(f"{name!r} is not bundled; there are {', '.join(sorted(_IN_CHECKOUT))}")
    package = Path(__file__).resolve().parent
    installed, checkout = package / "_bundled" / name, package.parent / _IN_CHECKOUT[name]
    for place in (installed, checkout):
        if place.exists():
            return place
    raise FileNotFoundError(f"this installation of opendiag lacks {name}: neither {installed} nor {checkout} exists")
