"""Trainings in folders of their own."""

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs without a name go into a folder of the test."""
    monkeypatch.chdir(tmp_path)
