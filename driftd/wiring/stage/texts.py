"""What the demo writes for driftd: its configuration, and the policy of its group."""

from __future__ import annotations

_TOP = """\
# An ordinary configuration; only its times are short, so that you need not wait.
store: sqlite:///driftd.db
manifests: manifests
pause_file: pause
trust:
  manifest_keys: [keys/release.pub]
  signing_key: keys/release   # of a release pipeline's; here, so that the demo can bake
ssh:
  key: keys/driftd
metrics:
  listen: {metrics}
daemon:
  tick: 500ms
breakers:
  observe_first: 0s         # elsewhere a new driftd, new rules and a new manifest only observe for a day
"""
_REST = """\
    health:
      http: "http://{{address}}:8080/healthz"
    policy: [auto, shared-kernel, sessions, web.yaml]
    enforce: replace        # without this line driftd only observes
    every: 2s
    replacing:
      dwell: 1s             # the second look
      min_healthy: 2
      soak: 2s
      canary:
        soak: 2s            # left out: half an hour for the first of its kind, and nobody follows meanwhile
      drain_timeout: 30s
      absent: 3s
      park: 0s              # left out: the old one is kept, stopped, for a quarter of an hour before it is ended
      windows: always       # left out: Monday to Thursday from 9 to 4, while people are awake
      pace:
        between: 0s         # left out: 5 minutes from one to the next,
        per_hour: unlimited #   6 an hour,
        per_day: unlimited  #   a fifth of the group in 24 hours,
        checkpoints: []     #   and a longer look after a fifth, a half and all of it
    sessions:
      any: replace          # left out: who logs in is only noted
      grace: 0s             # left out: half an hour after the last person left
"""
_LOCAL = """\
providers:
  local:
    dir: {dir}/fleet
    images: {images}
    authorized_keys:
      - {person}
groups:
  web:
    provider: local
    image: {image}
    traffic:
      listen: {listen}
"""
_AWS = """\
providers:
  aws:
    region: {region}
    endpoint: {url}   # the emulator's; left out: AWS
    groups:
      web:
        launch:
          template: web
          subnets: [{subnet}]
groups:
  web:
    provider: aws
    image: {image}
    select:
      "tag:role": web
    traffic:
      target_group: web
"""
CONFIG = _TOP + _LOCAL + _REST
AWS_CONFIG = _TOP + _AWS + _REST


POLICY = """\
# What is true of these servers beyond what the packs say of every Debian server.
schema: driftd.policy/1
name: web
show:
  - path: /opt/web/app.py       # no secret is in it, so a finding may say what changed
rules:
  - id: application
    match:
      listener: "tcp 0.0.0.0:8080"
      fields:
        user: www-data
    action: explain
    because: The application answers here; HAProxy and driftd's health checks come to this port.

  - id: person
    match:
      key: "root {fingerprint}"
    action: explain
    because: The demo's person has a key to each server, so that somebody can log in.
"""
