"""One SCTP acknowledgement for two packets, as RFC 9260, section 6.2, recommends; aiortc sends one for each.

On a channel of small messages the acknowledgements are a third of all bytes. aiortc has no setting for them, so one
method of its transport is replaced; where a later aiortc has no such method, its own way stays.
"""

import asyncio
import logging
from typing import Any

from aiortc import RTCSctpTransport

__all__ = ["DELAY_S", "delay_acknowledgements"]

logger = logging.getLogger(__name__)

DELAY_S = 0.4
"""Longest wait for the second packet; the RFC allows 0.5 s, and aiortc retransmits after 1 s at the earliest."""


def delay_acknowledgements(transport: RTCSctpTransport) -> bool:
    """Acknowledge every second packet, at once when one is missing or came twice; False when that cannot be had."""
    needed = ("_send_sack", "_sack_needed", "_sack_misordered", "_sack_duplicates")
    if not all(hasattr(transport, name) for name in needed):
        logger.info("this aiortc acknowledges every packet: the call costs a fifth more")
        return False
    _Delayed(transport)
    return True


class _Delayed:
    def __init__(self, transport: Any) -> None:
        self._transport, self._send_now = transport, transport._send_sack
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None  # kept, or it might be collected before it ran
        transport._send_sack = self._send

    async def _send(self) -> None:
        """aiortc calls this after each packet that brought data."""
        transport = self._transport
        if self._timer is None and not transport._sack_misordered and not transport._sack_duplicates:
            transport._sack_needed = False
            self._timer = asyncio.get_running_loop().call_later(DELAY_S, self._overdue)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._send_now()

    def _overdue(self) -> None:
        self._timer = None
        self._late = asyncio.get_running_loop().create_task(self._send_late())

    async def _send_late(self) -> None:
        try:
            await self._send_now()
        except ConnectionError:
            logger.debug("the connection closed before an acknowledgement left")
