"""The questions that the whole program answers: a full look (Q), what is asked after it (A), facts (F)."""

from typing import Any, Dict, Iterator

from driftd.probe import asks, dialogue, glance, look, wire


def _look(memory, asked):
    # type: (glance.Memory, Dict[bytes, Any]) -> Iterator[bytes]
    request = wire.request(asked)
    memory.root = request[b"root"]
    return look.answer(request)


def _asks(memory, asked):
    # type: (glance.Memory, Dict[bytes, Any]) -> Iterator[bytes]
    nonce, questions = dialogue.asked(asked)
    return look.answers(asks.Answerer(memory.root), nonce, questions) if questions else iter(())


def _facts(memory, asked):
    # type: (glance.Memory, Dict[bytes, Any]) -> Iterator[bytes]
    glance.checked(asked, schema=int, root=bytes, sections=list, key=bytes, known=bytes)
    memory.root = asked[b"root"]
    encoder = wire.Encoder()
    yield encoder.start()
    for data in look.without_tree(encoder, asked):
        yield data


ANSWERS = glance.ANSWERS
ANSWERS[wire.REQUEST] = _look
ANSWERS[dialogue.ASKS] = _asks
ANSWERS[wire.FACTS] = _facts
