"""uvicorn's HTTP/1.1, mended where an answer is on its way before its message is complete."""

from uvicorn.protocols.http.h11_impl import H11Protocol


class Protocol(H11Protocol):
    """Sends no 400 into the middle of an answer.

    uvicorn 0.54 answers bytes that are no HTTP with a 400 whatever it is sending; while LastResponse holds its answer
    open and a caller goes on sending, that is an error inside uvicorn, with a traceback in the log.
    """

    def send_400_response(self, msg: str) -> None:
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not answering:
            super().send_400_response(msg)
