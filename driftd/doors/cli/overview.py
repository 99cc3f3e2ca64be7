"""The program's help at a glance: its commands by what people come for, each in a few words and with an example.

Only data: it is printed without Typer, which takes longer to import than all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

ABOUT = "See drift on running servers, judge it, replace the server, prove each step."
STATUSES = (
    "Exit status of looking commands: 0 clean or explained, 1 drifted or tampered, 2 wrong usage, 3 could not look."
)
EXAMPLE = "Example: driftd demo; then driftd init, driftd doctor, driftd audit"
CONFIG = "The configuration (default: ./driftd.yaml, then /etc/driftd/driftd.yaml)."
# Those of the program itself: long, short, value, meaning.
OPTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("--config", "-c", "<path>", f"{CONFIG} [env var: DRIFTD_CONFIG]"),
    ("--version", "", "", "Print the version and exit."),
    ("--install-completion", "", "", "Install completion for the current shell."),
    (
        "--show-completion",
        "",
        "",
        "Show completion for the current shell, to copy it or customize the installation.",
    ),
    ("--help", "-h", "", "Show this message and exit."),
)
# Panel by panel, in the help's order: (command, in a few words, an example). A command is its words: "journal verify".
OVERVIEW: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "Begin": (
        ("demo", "See the main job on real servers of this machine.", "driftd demo --keep"),
        ("init", "Write a first configuration, after a few questions.", "driftd init --group web --host web-1.example"),
        ("doctor", "Say what is wrong with what is configured.", "driftd doctor web"),
        ("trust", "Show and record a new server's host keys.", "driftd trust web-1.example"),
        ("bake", "Write the manifest of an image.", "driftd bake --root DIR --image web-7 -o web-7.manifest"),
        ("calibrate", "Learn what an image's instances do by themselves.", "driftd calibrate web --dry-run"),
    ),
    "Look": (
        ("audit", "Look now, and report what differs from the image.", "driftd audit web -f html -o report.html"),
        ("run", "Keep looking, and do what groups allow: the daemon.", "driftd run"),
        ("status", "Each instance: verdict, why, and what comes next.", "driftd status web"),
        ("findings", "What is open, one row a cause.", "driftd findings web/1"),
        ("explain", "Of a finding or an instance: what, why, what next.", "driftd explain web/1"),
        ("history", "What happened on one instance, and who was there.", "driftd history web/1"),
        ("report", "A time for auditors, with the journal's proof.", "driftd report --since 90d -f html -o q3.html"),
        ("breakers", "Which circuit breakers are open, and why.", "driftd breakers"),
        ("motd", "What a person at login should know.", "driftd motd web > /etc/motd.d/driftd"),
    ),
    "Decide": (
        ("accept", '"That was me": leave a finding out for a while.', "driftd accept 12 --for 7d --reason OPS-4711"),
        ("accepted", "What is accepted, by whom, until when.", "driftd accepted"),
        ("unaccept", "Withdraw an acceptance.", "driftd unaccept 3"),
        ("approve", "Agree to a replacement that waits for it.", "driftd approve web/1"),
        ("deny", "Refuse a replacement.", "driftd deny web/1 --reason 'not today'"),
        ("hold", "Keep one instance from being replaced.", "driftd hold web/1 --for 2h --reason 'a crash'"),
        ("release", "End the hold of an instance.", "driftd release web/1"),
        ("plan", "What would be replaced, in which order, and why.", "driftd plan web -o web.plan.json"),
        ("apply", "Ask for what a plan says, all of it or nothing.", "driftd apply web.plan.json"),
        ("replace", "Ask for an instance to be replaced.", "driftd replace web/1 --reason 'old kernel'"),
        ("quarantine", "Replace an instance, and keep it cut off.", "driftd quarantine web/1 --reason INC-7"),
        ("rollout", "Move a group to another image, and back.", "driftd rollout web --image web-8 --reason OPS-4711"),
        ("cancel", "Stop a replacement and undo it.", "driftd cancel web/1"),
        ("pause", "Stop now: nothing goes forward.", "driftd pause --reason 'a fire'"),
        ("resume", "Let changes go on.", "driftd resume"),
        ("reset", "Close a circuit breaker.", "driftd reset C1 group:web --reason 'our rollout'"),
    ),
    "Prove": (
        ("attest", "Sign what an instance was seen to be; verify it.", "driftd attest web/1 -o web-1.attestation.json"),
        (
            "evidence",
            "What was kept of instances that were replaced.",
            "driftd evidence 01KTQ8Z3F5M7N9P1R3T5V7W9XA -o .",
        ),
        ("manifest", "Look at manifests; compare, sign, verify them.", "driftd manifest verify web-7"),
        ("policy", "Read, test and replay policies before they bite.", "driftd policy check web.yaml"),
        ("rehearse", "Your policy in a simulated, hostile world.", "driftd rehearse web -o rehearsal.html"),
        ("journal", "The record of every decision, and its proof.", "driftd journal verify"),
        ("store", "What driftd remembers: check, back up, restore.", "driftd store backup -o driftd.backup"),
    ),
    "manifest": (
        ("manifest show", "Sum a manifest up, or list entries.", "driftd manifest show web-7 /etc"),
        ("manifest diff", "What differs between two.", "driftd manifest diff web-6 web-7"),
        ("manifest verify", "Who signed it, and what that covers.", "driftd manifest verify web-7 --key release.pub"),
        ("manifest sign", "Sign it and all that lies beside it.", "driftd manifest sign web-7 --key release"),
        ("manifest keygen", "Make a pair of keys.", "driftd manifest keygen release"),
        ("manifest export", "Write it in another format.", "driftd manifest export web-7 -f mtree -o web-7.mtree"),
        (
            "manifest import",
            "Make one from another format.",
            "driftd manifest import web-7.mtree --image web-7 -o web-7.manifest",
        ),
    ),
    "policy": (
        ("policy check", "What is wrong with policies.", "driftd policy check web.yaml"),
        ("policy test", "Hold recorded cases against a policy.", "driftd policy test cases -p web.yaml"),
        ("policy record", "Look now, and keep it as cases.", "driftd policy record cases web"),
        ("policy simulate", "What a policy would have done of late.", "driftd policy simulate web.yaml --since 30d"),
        ("policy schema", "The JSON Schema, for editors.", "driftd policy schema > policy.schema.json"),
    ),
    "journal": (
        ("journal verify", "Check the whole chain.", "driftd journal verify"),
        ("journal show", "Print it, oldest line first.", "driftd journal show web/1"),
        ("journal export", "Write it as JSON Lines.", "driftd journal export -o journal.jsonl"),
        ("journal checkpoint", "Sign for its last line.", "driftd journal checkpoint -o today.checkpoint"),
        ("journal accept-break", "Go on from a broken chain.", "driftd journal accept-break --reason 'disk died'"),
    ),
    "store": (
        ("store check", "Is it whole?", "driftd store check"),
        ("store backup", "Copy it, also while the daemon runs.", "driftd store backup -o driftd.backup"),
        ("store restore", "Put a backup in its place.", "driftd store restore driftd.backup"),
        ("store upgrade", "Bring an older one up to date.", "driftd store upgrade"),
        ("store accept", "Say that it may act again.", "driftd store accept --reason 'looked at the fleet'"),
    ),
}
PANELS = ("Begin", "Look", "Decide", "Prove")  # of the program itself; the others are groups
EXAMPLES: Mapping[str, str] = {path: example for rows in OVERVIEW.values() for path, _, example in rows}
