"""The errors that are meant for people: what is wrong with their input, in a sentence they can act on."""


class UNetError(ValueError):
    """Base of every error that a person can correct; its text says what is wrong and what to do."""


class ConfigError(UNetError):
    """An invalid configuration; the text names every invalid field, what is allowed and what was received."""

    def __init__(self, text: str, findings: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.findings = findings
