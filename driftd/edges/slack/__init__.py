"""Slack: incidents in a channel, each one message that changes; and the buttons under them (Socket Mode).

Needs the extra ``slack`` (slack_sdk). Nothing of an instance's text is ever markup there (blocks.py).
"""
