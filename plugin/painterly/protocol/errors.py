"""The one exception of the contract."""


class ProtocolError(ValueError):
    """A message that breaks the contract; the text is one sentence that says how.

    `kind` is a stable word: "malformed", "too-large", "unknown-type" or "version".
    """

    def __init__(self, message: str, kind: str = "malformed"):
        super().__init__(message)
        self.kind = kind
