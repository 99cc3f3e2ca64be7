"""Sentences about calibration: what was launched to learn from, what was learnt, and what is left for a person."""

from __future__ import annotations


def collected(instance: str, group: str) -> str:
    return f"{instance} was ended: a calibration in {group} that did not end by itself had launched it"


def not_collected(instance: str, why: str) -> str:
    return f"{instance}, which a calibration launched and did not end, could not be ended: {why}"


def in_traffic(instance: str, group: str) -> str:
    return f"{instance} was launched for a calibration and is a target of {group}: it is left for a person to end"


def no_expiry(instance: str) -> str:
    return f"{instance} was launched for a calibration, and nothing on it says until when: a person has to end it"
