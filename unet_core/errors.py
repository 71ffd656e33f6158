"""The errors that are meant for people: whatever is wrong with their input, said in a sentence they can act on."""


class UNetError(ValueError):
    """Base of every error that a person can correct; its text says what is wrong and what to do."""


class ConfigError(UNetError):
    """A configuration that cannot be used; the text names every bad field, what is allowed and what was received."""

    def __init__(self, text: str, findings: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.findings = findings
