"""Over a long round trip ICE goes on to hear that its packets are wanted, and the call lasts."""

import aioice.ice
import pytest
from pair import connected

from talkcodec.transport.impairment import Impairment
from talkcodec.transport.relay import Relay


async def test_a_round_trip_of_700_ms_ends_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)  # so two unanswered checks end it, within 2 s
    async with connected(relay=Relay(Impairment(delay_ms=350))) as pair, pair.feeding():
        await pair.more_pictures(60)
        assert not pair.results
