"""Pictures of the app stay small enough for a repository."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rag.errors import UsageError
from ui.screenshots import FOLDER, LOOKS, MAX_BYTES, TABS, shrink

ROOT = Path(__file__).parent.parent


def test_a_picture_is_stored_with_few_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    shades = np.tile(np.linspace(0, 255, 512, dtype=np.uint8), (300, 1))
    Image.fromarray(np.stack([shades, shades.T[:300, :1].repeat(512, 1), shades], axis=2)).save(path)
    shrink(path)
    with Image.open(path) as picture:
        assert picture.mode == "P"
        assert picture.size == (512, 300)


def test_a_picture_that_stays_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    with pytest.raises(UsageError, match=rf"noise\.png: \d+ 字节，超过 {MAX_BYTES}"):
        shrink(path)


def test_the_pictures_of_the_readme_are_there_and_small() -> None:
    for name in TABS:
        for look in LOOKS:
            path = ROOT / FOLDER / f"{name}-{look.name}.png"
            assert 1_000 < path.stat().st_size <= MAX_BYTES
