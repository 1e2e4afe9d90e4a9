import json
from dataclasses import fields

import pytest

from plugin.painterly.protocol import parameters
from plugin.painterly.settings import Settings


def test_settings_survive_a_restart(tmp_path):
    path = tmp_path / "deep" / "settings.json"
    settings = Settings()
    settings.choose_preset("draft")
    settings.change("style", 7.5)
    settings.result = "replace"
    settings.variant_styles = [1.0, "auto"]
    settings.save(path)
    assert Settings.load(path) == settings


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "\x00", "null", "[" * 100_000])
def test_a_damaged_file_means_defaults(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text)
    assert Settings.load(path) == Settings()


def test_what_makes_no_sense_falls_back_alone(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({
        "preset": "gone", "result": 3, "without_others": 1, "variant_styles": [99], "connection_file": None,
        "changes": {"style": 4, "feather": -1, "unknown": 1, "resolution": []}, "new": 1,
    }))  # fmt: skip
    assert Settings.load(path) == Settings(changes={"style": 4})


@pytest.mark.parametrize("value", [[], {}, None, 1, True, "x", [[]], [{}]])
def test_a_value_of_any_type_may_stand_for_any_setting(tmp_path, value):
    path = tmp_path / "settings.json"
    names = [item.name for item in fields(Settings)]
    path.write_text(json.dumps({name: value for name in names}))
    loaded = Settings.load(path)
    assert loaded.preset == Settings().preset and loaded.result == Settings().result
    for name in parameters.BY_NAME:
        path.write_text(json.dumps({"changes": {name: value}}))
        Settings.load(path).resolved()


def test_the_presets_own_value_is_no_change():
    settings = Settings()
    settings.change("style", 4)
    settings.change("style", parameters.PRESETS[settings.preset]["style"])
    assert settings.changes == {}


def test_an_earlier_jobs_values_come_back_whole():
    old = parameters.resolve("high", {"style": 2.0})
    settings = Settings()
    settings.change("feather", 50)
    settings.use(old)
    assert settings.resolved() == old
