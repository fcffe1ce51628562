"""The one error tree. Every message says what is wrong, in which work, and what to do."""

from __future__ import annotations


class RagError(Exception):
    """The root: whatever this project refuses on purpose is one of these."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the message already says what to do."""
        shown = "".join(char if char.isprintable() else " " for char in str(self))
        return [f"{type(self).__name__}: {shown}"]


class PromptError(RagError):
    """A prompt document cannot be read; `line` is 1-based, 0 where no line is to blame."""

    def __init__(self, message: str, *, line: int = 0, path: str = "") -> None:
        self.message = message
        self.line = line
        self.path = path
        where = ":".join(filter(None, (path, str(line or ""))))
        super().__init__(f"{where}: {message}" if where else message)

    def at(self, path: str) -> PromptError:
        """The same error, naming the file it was found in."""
        return type(self)(self.message, line=self.line, path=path)


class LinkError(PromptError):
    """A link is neither arXiv nor GitHub."""


class SourceError(RagError):
    """A source's bytes cannot be had or trusted; `source_id` names it."""

    def __init__(self, source_id: str, reason: str) -> None:
        self.source_id = source_id
        self.reason = reason
        super().__init__(f"{source_id}: {reason}")


class FetchError(SourceError):
    """No bytes came: network, limits, unknown or withdrawn works."""


class ExtractionError(SourceError):
    """There are bytes, but no text can be read from them."""


class EncoderError(RagError):
    """The embedding model cannot be loaded, or is not the one the index was built with."""


class SegmentError(RagError):
    """A file of the index is damaged or not of this format."""


class StoreError(RagError):
    """A store of segments cannot be reached, or is none."""


class ClusterError(RagError):
    """A Ray cluster cannot be reached, was lost, or cannot do what is asked of it."""


class DatasetError(RagError):
    """An evaluation set cannot be read or does not have the documented form."""


class WriterError(RagError):
    """A writer cannot run, or its model cannot be loaded."""


class AnswerError(RagError):
    """An answer file cannot be read or does not have the documented form."""
