"""Remote roots: which URLs are admitted, how they are reached, and what is said when they are not.

One :class:`RemoteOptions` configures fsspec, delta-rs, Polars and TileDB for the same root. Keys and tokens are never
part of it: they come from the environment or a profile when they are needed, so that nothing which is shown, pickled
or stored can hold them.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from formats.account_azure import AzureAccount
from formats.webguard import guarded_client, refuse_own_network
from lakehouse.errors import (
    ConfigurationError,
    InvalidKey,
    LakehouseError,
    NotFound,
    ReadOnly,
    Unavailable,
    Unsupported,
    shown,
)
from lakehouse.optional import require

__all__ = [
    "READ_ONLY",
    "SCHEMES",
    "Denied",
    "RemoteOptions",
    "address_in",
    "check_url",
    "filesystem",
    "is_remote",
    "reaching",
    "scrubbed",
]


SCHEMES = ("s3", "gs", "az", "abfs", "http", "https")
"""Protocols of remote roots."""
READ_ONLY = ("http", "https")
_AZURE = ("az", "abfs")
_GOOGLE = "https://storage.googleapis.com"
_GIVEN = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
    **dict.fromkeys(
        _AZURE, "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
    ),
}
_EXTRAS = {"gs": ("gcsfs", "gcs"), "az": ("adlfs", "azure"), "abfs": ("adlfs", "azure")}
_TOLD = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "STORAGE_EMULATOR_HOST",
)
"""Variables whose change makes a new client; the keys themselves are not kept."""
_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
)
_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AuthenticationFailed")
"""What stores answer to whom they do not know, other than to whom they know and refuse."""
_USERINFO = re.compile(r"://[^/@\s\"']*@")
_SIGNATURE = re.compile(
    r"((?:signature|credential|security-token|sig|token|accountkey|upload_id)=)[^&;\s\"']+", re.IGNORECASE
)


class Denied(Unavailable):
    """The store knows these credentials and does not let them read that."""


@dataclass(frozen=True, kw_only=True)
class RemoteOptions:
    """How a remote root is reached; what is left out comes from the environment or the profile.

    Examples
    --------
    >>> RemoteOptions(endpoint="http://localhost:9000", region="eu-west-1")
    RemoteOptions(endpoint='http://localhost:9000', region='eu-west-1', profile=None, anonymous=False, path_style=None)
    >>> RemoteOptions(endpoint="http://me:secret@localhost:9000")
    Traceback (most recent call last):
    ...
    lakehouse.errors.ConfigurationError: the endpoint 'http://…' holds a key or a password: leave it out, ...
    """

    endpoint: str | None = None
    """URL of an S3-compatible store; default: ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, the profile, AWS. For
    ``gs://`` of a store that speaks Google's protocol; default: ``STORAGE_EMULATOR_HOST``, Google."""
    region: str | None = None
    """Default: ``AWS_REGION``, ``AWS_DEFAULT_REGION``, the profile, ``us-east-1``."""
    profile: str | None = None
    """A section of the AWS configuration files; default: ``AWS_PROFILE``."""
    anonymous: bool = False
    """Send no credentials: for public buckets."""
    path_style: bool | None = None
    """Whether the bucket is part of the path instead of the host's name; default: where an endpoint is set."""

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint)

    def found(self) -> RemoteOptions:
        """Return these options with what environment and profile add."""
        session = self._session()
        profile = session.get_scoped_config() if session.profile in (None, *session.available_profiles) else {}
        endpoint = self.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        endpoint = endpoint or profile.get("endpoint_url")
        region = self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        style = self.path_style if self.path_style is not None else endpoint is not None
        return RemoteOptions(
            endpoint=endpoint,
            region=region or profile.get("region") or "us-east-1",
            profile=self.profile or os.environ.get("AWS_PROFILE"),
            anonymous=self.anonymous,
            path_style=style,
        )

    def fsspec(self, scheme: str = "s3") -> dict[str, Any]:
        """Return what s3fs, gcsfs or adlfs takes; they find the credentials by themselves.

        The same is what zarr takes for its ``storage_options``.
        """
        if scheme != "s3":
            return self._other(scheme)
        known = self.found()
        return {
            "anon": known.anonymous,
            "endpoint_url": known.endpoint,
            "client_kwargs": {"region_name": known.region},
            "config_kwargs": {
                "s3": {"addressing_style": "path" if known.path_style else "virtual"},
                # checksums of their own are refused by many stores that are not AWS
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
                **({} if "AWS_MAX_ATTEMPTS" in os.environ else {"retries": {"max_attempts": 4, "mode": "standard"}}),
            },
            **({"profile": known.profile} if known.profile else {}),
        }

    def object_store(self, scheme: str = "s3") -> dict[str, str]:
        """Return what delta-rs and Polars take, with credentials of this moment: use it at once, keep it nowhere.

        Those of Google they find in the environment by themselves, as gcsfs does.
        """
        if scheme in _AZURE and not self.anonymous:
            return AzureAccount.found().object_store()
        if scheme == "gs":
            return self._google_object_store()
        if scheme != "s3":
            return {"skip_signature": "true"} if self.anonymous else {}
        known = self.found()
        options = {
            "AWS_REGION": str(known.region),
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(not known.path_style).lower(),
            "aws_conditional_put": "etag",
        }
        if known.endpoint:
            options["AWS_ENDPOINT_URL"] = known.endpoint
            options["AWS_ALLOW_HTTP"] = str(known.endpoint.startswith("http://")).lower()
        if known.anonymous:
            return options | {"AWS_SKIP_SIGNATURE": "true"}
        return options | known._credentials("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

    def tiledb(self, scheme: str = "s3", *, root: str = "") -> dict[str, str]:
        """Return what a TileDB context takes, with credentials of this moment.

        Parameters
        ----------
        scheme
            ``s3``, ``gs``, ``az`` or ``abfs``.
        root
            Of Azure, which may name the account.
        """
        if scheme in _AZURE:
            return AzureAccount.found(root).tiledb()
        if scheme == "gs":
            given = self.fsspec("gs")
            # TileDB asks for no credentials where an endpoint is set, and has no other way to say that
            endpoint = given.get("endpoint_url") or (_GOOGLE if given.get("token") == "anon" else None)
            return {"vfs.gcs.endpoint": endpoint} if endpoint else {}
        known = self.found()
        options = {
            "vfs.s3.region": str(known.region),
            "vfs.s3.use_virtual_addressing": str(not known.path_style).lower(),
            "vfs.s3.no_sign_request": str(known.anonymous).lower(),
        }
        if known.endpoint:
            place = urlsplit(known.endpoint)
            options |= {"vfs.s3.endpoint_override": place.netloc, "vfs.s3.scheme": place.scheme}
        if known.anonymous:
            return options
        return options | known._credentials(
            "vfs.s3.aws_access_key_id", "vfs.s3.aws_secret_access_key", "vfs.s3.aws_session_token"
        )

    def _other(self, scheme: str) -> dict[str, Any]:
        """Return what the file systems of other stores take."""
        if scheme == "gs":
            endpoint, anonymous = self._google()
            return {"endpoint_url": endpoint} | ({"token": "anon"} if anonymous else {})
        return {"anon": True} if self.anonymous and scheme in _AZURE else {}

    def _google(self) -> tuple[str | None, bool]:
        """Return where a store that speaks Google's protocol is (None: at Google), and whether it asks for no token."""
        endpoint = self.endpoint or os.environ.get("STORAGE_EMULATOR_HOST") or None
        if endpoint and "://" not in endpoint:
            endpoint = f"http://{endpoint}"
        return endpoint, self.anonymous or (endpoint or "").startswith("http://")

    def _google_object_store(self) -> dict[str, str]:
        endpoint, anonymous = self._google()
        if endpoint is None:
            return {"google_skip_signature": "true"} if anonymous else {}
        options = {"allow_http": str(endpoint.startswith("http://")).lower()}
        if not anonymous:
            return options | {"google_base_url": endpoint}
        # where writing is concerned, this alone keeps it from asking for a token
        key = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": ""}
        return options | {"google_service_account_key": json.dumps(key | {"private_key_id": ""})}

    def _session(self) -> Any:
        """Return what finds the credentials; for a minute the same one, since making it takes a tenth of a second."""
        return _session(self.profile, int(time.time() // 60), *map(os.environ.get, _TOLD))

    def _credentials(self, key: str, secret: str, token: str) -> dict[str, str]:
        """Return the credentials under the names that a library gives them; none where none are set."""
        found = self._session().get_credentials()
        if found is None:
            return {}
        frozen = found.get_frozen_credentials()
        return {key: frozen.access_key, secret: frozen.secret_key} | ({token: frozen.token} if frozen.token else {})


@lru_cache(maxsize=4)
def _session(profile: str | None, _minute: int, *_told: str | None) -> Any:
    import botocore.session

    return botocore.session.Session(profile=profile)


def is_remote(root: str | os.PathLike[str]) -> bool:
    """Tell whether a root is a URL of another machine.

    Examples
    --------
    >>> is_remote("s3://bucket/lake"), is_remote("/data/lake"), is_remote("memory://x")
    (True, False, False)
    """
    scheme, mark, _ = os.fspath(root).partition("://")
    return bool(mark) and scheme in SCHEMES


def check_url(root: str) -> str:
    """Return a remote root in one spelling: without a slash at its end.

    Raises
    ------
    InvalidKey
        It holds a key, a password or a signature, climbs, names no bucket, or names an address of the machine's own
        metadata service.

    Examples
    --------
    >>> check_url("s3://bucket/lake/")
    's3://bucket/lake'
    """
    scheme, _, rest = root.partition("://")
    holder, _, path = rest.partition("/")
    secret = ":" in holder.partition("@")[0] if scheme == "abfs" and "@" in holder else "@" in holder
    if secret or "?" in rest or "#" in holder:
        raise InvalidKey(
            f"{shown(scheme + '://')}… holds a key, a password or a signature: name the bucket and the prefix only, and "
            "give credentials to the machine's environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, ...)"
        )
    parts = [part for part in path.split("/") if part]
    if not holder or ".." in parts or any(ord(c) < 32 or ord(c) == 127 for c in root) or "\\" in rest:
        raise InvalidKey(f"{shown(root)} is no root of a storage: write it as {scheme}://bucket/prefix, without '..'")
    if scheme in READ_ONLY:
        refuse_own_network(holder)
    return "/".join([f"{scheme}://{holder}", *parts])


def filesystem(root: str, options: RemoteOptions) -> Any:
    """Return the fsspec file system of a root: one for all roots that are reached alike; it caches no listings.

    Raises
    ------
    MissingExtra
        When the protocol needs a package that is not installed.
    """
    scheme = root.partition("://")[0]
    reached = options.found() if scheme == "s3" else options
    # a client takes a third of a second to make; its threads do not follow a fork, and it keeps the first credentials
    account = AzureAccount.found(root) if scheme in _AZURE else None
    key = (os.getpid(), scheme, reached, hash(account), *map(os.environ.get, _TOLD))
    if (known := _made.get(key)) is None:
        while len(_made) >= _MOST:
            _made.pop(next(iter(_made)))
        with reaching(root):
            known = _made[key] = _new(scheme, reached, account)
    return known


_made: dict[object, Any] = {}
_MOST = 16


def _new(scheme: str, options: RemoteOptions, account: AzureAccount | None) -> Any:
    if scheme in _EXTRAS:
        require(*_EXTRAS[scheme])
    given = options.fsspec(scheme)
    if account is not None and account.name is not None:
        given["account_name"] = account.name
    if scheme in READ_ONLY:
        given["get_client"] = guarded_client
    else:
        given["use_listings_cache"] = False
    made = _class(scheme, given)(skip_instance_cache=True, **given)
    if scheme == "s3":
        made.retries = 2  # botocore tries again by itself: this is for bodies that break off
    return made


def _class(scheme: str, given: dict[str, Any]) -> Any:
    """Return the file system's class; that of gcsfs asks Google itself about each bucket, wherever its store is."""
    import fsspec

    if scheme == "gs" and given["endpoint_url"]:
        from gcsfs.core import GCSFileSystem

        return GCSFileSystem
    return fsspec.get_filesystem_class(scheme)


def address_in(root: str, path: str) -> str:
    """Return what fsspec calls a file: for a web server percent-encoded, else as it is."""
    return f"{root}/{quote(path)}" if root.startswith(READ_ONLY) else f"{root}/{path}"


@contextmanager
def reaching(place: str, *, writing: bool = False) -> Iterator[None]:
    """Turn what clients of remote stores raise into our errors, without the secrets that theirs may hold.

    Parameters
    ----------
    place
        What is reached, for messages.
    writing
        Whether it is being changed.

    Raises
    ------
    NotFound, ReadOnly, Denied, Unavailable, ConfigurationError
    """
    try:
        yield
    except LakehouseError:
        raise
    except Exception as error:  # noqa: BLE001 - clients raise what they like
        raise _translated(error, place, writing=writing) from None


def _translated(error: Exception, place: str, *, writing: bool) -> LakehouseError:
    if place.startswith(READ_ONLY) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # fsspec takes whatever a web server says for an absent file
    if isinstance(error, LakehouseError):
        return error
    if (status := getattr(error, "status", None)) is not None:
        return _answered(int(status), place)
    kind, text = type(error).__name__, scrubbed(str(error))
    if isinstance(error, FileNotFoundError):
        return NotFound(f"no file at {place}" if "bucket" not in text else f"no bucket: {place} ({text})")
    if isinstance(error, PermissionError) or text.startswith("Forbidden"):  # as gcsfs has it
        msg = f"{place}: access was denied ({text})"
        if writing:
            return ReadOnly(f"{msg}: these credentials may not write there")
        return Unavailable(msg) if _has_wrong_key(error) else Denied(msg)
    if "Credential" in kind or "Profile" in kind or "connection_string" in text:
        hint = _GIVEN.get(place.partition("://")[0], _GIVEN["s3"])
        return ConfigurationError(
            f"{place} needs credentials ({text}): {hint}, or pass RemoteOptions(anonymous=True) for a public bucket"
        )
    if isinstance(error, NotImplementedError):
        return Unsupported(f"{place}: this storage cannot do that ({text})")
    return Unavailable(f"{place} cannot be reached ({kind}: {text}): try again")


def _has_wrong_key(error: Exception) -> bool:
    response = getattr(error.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code in _WRONG_KEYS or any(known in str(error) for known in _WRONG_KEYS)


def _answered(status: int, place: str) -> LakehouseError:
    """Return what a web server means."""
    if status in (404, 410):
        return NotFound(f"no file at {place}")
    if status in (401, 403):
        return Denied(f"{place}: access was denied (HTTP {status}): download it by hand, and name the file")
    return Unavailable(f"{place} cannot be read (HTTP {status}): try again")


def scrubbed(text: str) -> str:
    """Return a text without passwords in URLs, signatures, and the secrets of this environment.

    Examples
    --------
    >>> scrubbed("GET http://me:pw@host/x?X-Amz-Signature=abc failed")
    'GET http://…@host/x?X-Amz-Signature=… failed'
    """
    text = _SIGNATURE.sub(r"\1…", _USERINFO.sub("://…@", text))
    for secret in filter(None, map(os.environ.get, _SECRETS)):
        text = text.replace(secret, "…")
    return text


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is None:
        return
    scheme, mark, rest = endpoint.partition("://")
    if "@" in rest.partition("/")[0] or "?" in rest:
        raise ConfigurationError(
            f"the endpoint {shown(scheme + '://…')} holds a key or a password: leave it out, and set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        )
    if not mark or scheme not in READ_ONLY:
        raise ConfigurationError(f"the endpoint {shown(endpoint)} is no URL: write http://host:port or https://host")
