"""What workers are told: plain values, that go to other processes and machines."""

from __future__ import annotations

from dataclasses import dataclass

from formats.remote import RemoteOptions

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """What is to be done with each file.

    Attributes
    ----------
    root
        Of the instance, where files are validated.
    spec
        The schema as JSON, and its name; None where nothing is validated.
    store
        Root of the storage that bytes are copied to; None where they stay, or the one who plans does it.
    keep_bad
        Whether what is not valid is stored, too.
    urls
        Whether files are named by URLs.
    lies_in
        Root of the registered storage in which what URLs name stays; None where it is fetched.
    """

    root: str = ""
    spec: tuple[str, str] | None = None
    store: str | None = None
    remote: RemoteOptions | None = None
    keep_bad: bool = False
    urls: bool = False
    lies_in: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether files are only to be hashed, and told what they are."""
        return not (self.urls or self.spec or self.store)
