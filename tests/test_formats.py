"""Every golden folder: the rows worked out from the raw bytes are the rows the code gives."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests import golden
from tests.writers.decoding import WAYS, decoding_by


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("situation", golden.situations(), ids=golden.name)
def test_golden(situation: Path, way: str) -> None:
    with decoding_by(way):
        assert golden.difference(situation) == ""


@pytest.mark.parametrize("situation", golden.situations(), ids=golden.name)
def test_origin_and_licence_are_told(situation: Path) -> None:
    origin = (situation / "ORIGIN").read_text(encoding="utf-8").lower()
    assert "licence" in origin or "license" in origin
    assert "source" in origin or "built" in origin


@pytest.mark.parametrize("situation", golden.situations(), ids=golden.name)
def test_a_file_leaves_no_cycles(situation: Path) -> None:
    """What was read goes when nobody needs it any more, for while much is read the garbage collector is off."""
    golden.read(situation)
    gc.collect()
    gc.disable()
    try:
        golden.read(situation)
        assert gc.collect() == 0
    finally:
        gc.enable()
