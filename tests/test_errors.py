import pytest

from demitasse import errors


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__])
def test_all_are_demitasse_errors_with_one_printable_line(kind: type[errors.DemitasseError]) -> None:
    arguments = ("m\nn\x00\udcff",) if kind is not errors.MissingExtraError else ("m\nn\x00\udcff", "extra", "purpose")
    error = kind(*arguments)
    assert isinstance(error, errors.DemitasseError)
    assert "m\\nn\\x00\\udcff" in str(error)
    assert str(error).isprintable()
