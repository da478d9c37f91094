"""What is used of an HTTP request, taken out before another thread works on it."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field

from aws_lambda_powertools.utilities.data_classes.api_gateway_proxy_event import APIGatewayProxyEventV2

from fhir_adapter.cds_hooks import request_object
from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError

__all__ = ["Incoming"]


@dataclass(frozen=True)
class Incoming:
    """One request.

    Parameters
    ----------
    headers : mapping
        By lower-case name.
    body : str
        As the event has it.
    in_base64 : bool
        Whether that is base64.
    endpoint : str
        The URL that was called, as a token's ``aud`` must name it.
    """

    headers: Mapping[str, str] = field(repr=False)
    body: str = field(repr=False)
    in_base64: bool
    endpoint: str

    @classmethod
    def of(cls, event: APIGatewayProxyEventV2, url: str | None) -> Incoming:
        """Take it out of an event.

        Parameters
        ----------
        url : str or None
            Base URL of the services where it is not the address that API Gateway was called by.

        Raises
        ------
        ConfigurationError
            Neither is known.
        """
        path = str(event.raw_event.get("rawPath") or event.path)
        if url is None:
            domain = event.raw_event.get("requestContext", {}).get("domainName")
            if not domain:
                raise ConfigurationError("cds_hooks.url must say where the services are")
            endpoint = f"https://{domain}{path}"
        else:
            endpoint = url + path[path.index("/cds-services") :]
        return cls(event.headers, event.body or "", bool(event.is_base64_encoded), endpoint)

    def data(self) -> Json:
        """Return the JSON object of its body.

        Raises
        ------
        MalformedRequest, RequestTooLarge
        """
        content = self.headers.get("content-type") or "", self.headers.get("content-encoding") or ""
        return request_object(self._bytes(), *content)

    def _bytes(self) -> bytes | None:
        try:
            return b64decode(self.body, validate=True) if self.in_base64 else self.body.encode()
        except (NotBase64, ValueError):
            return None
