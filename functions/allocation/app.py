"""Lambda handler: admissions, discharges, transfers and bed status in, proposals for the ward out."""

from __future__ import annotations

from functions.allocation.handler import AllocationFunction

handler = AllocationFunction()
