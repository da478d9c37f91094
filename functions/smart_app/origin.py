"""Our own origin: from the settings, never from a request."""

from __future__ import annotations

import os

from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from fhir_adapter.errors import ConfigurationError
from functions.serving.cloud import setting

__all__ = ["own_origin"]


def own_origin() -> str:
    """Return it from ``SMART_BASE_URL``, or from the Parameter Store's entry that ``SMART_BASE_URL_PARAMETER`` names.

    The second is for AWS, where an API's address is known only after the function behind it.

    Raises
    ------
    ConfigurationError
        When neither is set, or the entry cannot be read.
    """
    origin = os.environ.get("SMART_BASE_URL")
    if origin:
        return origin
    name = setting("SMART_BASE_URL_PARAMETER")
    try:
        return str(parameters.get_parameter(name))
    except GetParameterError:
        raise ConfigurationError("our own origin cannot be read (SMART_BASE_URL_PARAMETER)") from None
