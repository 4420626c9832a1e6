"""The typed client of the API: the dashboard's only way to it."""

from dataclasses import dataclass
from typing import Literal

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

TIMEOUT_S = 3.0


class Health(BaseModel):
    """What the API tells of itself at /healthz."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ok"]
    version: str
    runtime: str
    device: str
    encoder_id: str
    inference_workers: int


class ApiError(Exception):
    """The API did not answer as it should; the message is in plain words."""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Talks to one API.

    Args:
        base_url: such as http://127.0.0.1:8000.
    """

    base_url: str

    def health(self) -> Health:
        """Return what the API tells of itself.

        Raises:
            ApiError: nothing answers at the address, or what answers is not this API.
        """
        try:
            response = httpx2.get(f"{self.base_url}/healthz", timeout=TIMEOUT_S)
            response.raise_for_status()
            return Health.model_validate_json(response.content)
        except httpx2.TimeoutException as error:
            raise ApiError(f"{self.base_url} did not answer within {TIMEOUT_S:g} seconds.") from error
        except httpx2.HTTPStatusError as error:
            raise ApiError(f"{self.base_url} answered with HTTP status {error.response.status_code}.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ApiError(f"Nothing answers at {self.base_url}.") from error
        except ValidationError as error:
            raise ApiError(f"What answers at {self.base_url} is not the face verification API.") from error
