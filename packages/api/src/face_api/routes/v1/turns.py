"""Who looks much up, or erases much, keeps nobody from enrolling: that happens a few requests at a time."""

from collections import defaultdict
from contextlib import nullcontext
from functools import partial
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from starlette.responses import Response

from face_api.access import share_of
from face_api.routes.door import Call, Handler

AT_ONCE = 4
"""Each may take a thread and a connection to the database for seconds."""

AT_ONCE_OF_ONE = 2
"""Of one company, or of one administrator's key."""


class Turns:
    """Lets what needs no photo happen, a few requests at a time; the others wait in line, until their deadline."""

    def __init__(self) -> None:
        self._all = CapacityLimiter(AT_ONCE)
        self._by_share: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()
        self._lasting: defaultdict[str, CapacityLimiter] = defaultdict(partial(CapacityLimiter, 1))

    async def take(self, handler: Handler, call: Call) -> Response:
        share = share_of(call.identity)
        own = nullcontext() if share is None else self._by_share.setdefault(share, CapacityLimiter(AT_ONCE_OF_ONE))
        async with own, self._all:
            return await handler(call)

    async def take_lasting(self, what: str, handler: Handler, call: Call) -> Response:
        """Each that may last for minutes has a line of its own: it goes on when its caller has left, who may ask again.

        Args:
            what: it is, which nobody else then does.
        """
        async with self._lasting[what]:
            return await handler(call)
