"""A work as a component of wasi:http's, by componentize-py: the request's body in, a text answer out."""

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam
from work import prepare, work

prepare()


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        body = bytearray()
        received = request.consume()
        stream = received.stream()
        try:
            while True:
                body += stream.blocking_read(65_536)
        except Err:
            pass
        stream.__exit__(None, None, None)
        received.__exit__(None, None, None)
        answer = work(body.decode()).encode()
        response = OutgoingResponse(Fields())
        outgoing = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        writing = outgoing.write()
        for at in range(0, len(answer), 4_096):
            writing.blocking_write_and_flush(answer[at : at + 4_096])
        writing.__exit__(None, None, None)
        OutgoingBody.finish(outgoing, None)
