"""Redaction: whatever sounds of a secret or looks like one is gone, in every format, and the rest can still be read."""

import json
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from driftd.core.showable import FORMATS
from driftd.probe import redact, secretwords
from driftd.probe.redact import Withheld

MARK = secretwords.MARK.decode()
SECRET = "hunter2"


def taken(form: str, text: str, *secrets: str) -> str:
    return redact.redact(text.encode(), form.encode(), [one.encode() for one in secrets]).decode()


# What each line becomes: nothing of the secret, everything of what is beside it. "¶" is a line feed.
CASES = {
    "sshd_config": [
        ("PermitRootLogin no¶", "PermitRootLogin no¶"),
        ("PasswordAuthentication yes¶AuthenticationMethods publickey,password¶", None),
        ("#PasswordAuthentication no¶#AuthorizedKeysFile .ssh/authorized_keys¶", None),
        ("# the root password is hunter2¶Port 22¶", "# <withheld>¶Port 22¶"),
        ("# hunter2¶# is its password¶Port 22¶", "# <withheld>¶Port 22¶"),
        ("#PasswordAuthentication hunter2¶", "# <withheld>¶"),
    ],
    "unit": [
        ("[Service]¶PrivateTmp=yes¶User=web¶", None),
        ("Environment=A=b DB_PASSWORD=hunter2 C=d¶User=x¶", "Environment=A=b DB_PASSWORD=<withheld>¶User=x¶"),
        ('Environment="A=b" "TOKEN=hunter2" "C=d"¶User=x¶', 'Environment="A=b" "TOKEN=<withheld>"¶User=x¶'),
        (
            "ExecStart=/bin/a --password=hunter2 \\¶  --more hunter2¶User=x¶",
            "ExecStart=/bin/a --password=<withheld>¶User=x¶",
        ),
        ("ExecStart=/bin/a --password \\¶  hunter2¶User=x¶", "ExecStart=/bin/a --password \\¶  <withheld>¶User=x¶"),
        ("ExecStart=/bin/a \\¶# hunter2 key¶  -p 1¶", "ExecStart=/bin/a \\¶# <withheld>¶  -p 1¶"),
    ],
    "crontab": [
        ("17 * * * * root cd / && run-parts --report /etc/cron.hourly¶", None),
        ("PGPASSWORD=hunter2¶1 2 * * * root pg_dump x¶", "PGPASSWORD=<withheld>¶1 2 * * * root pg_dump x¶"),
        ("* * * * * root mysqldump -uroot -phunter2 db¶", "* * * * * root mysqldump -u<withheld>¶"),
        ("* * * * * root curl -u me:hunter2 https://x/¶", "* * * * * root curl -u<withheld>¶"),
        ('* * * * * root curl -H "X-Api-Key: hunter2" https://x/¶', None.__class__),
        ("* * * * * root wget https://me:hunter2@x/y¶", "* * * * * root wget https://<withheld>@x/y¶"),
    ],
    "yaml": [
        ("a: 1¶b: [1, 2]¶", None),
        ("password: hunter2¶user: x¶", "password: <withheld>¶user: x¶"),
        ("password:¶- hunter2¶- hunter2¶user: x¶", "password: <withheld>¶user: x¶"),
        ("auth:¶  a:¶    b: hunter2¶¶user: x¶", "auth: <withheld>¶user: x¶"),
        ("keys: |¶  hunter2¶¶  hunter2¶user: x¶", "keys: <withheld>¶user: x¶"),
        ('password: "a¶hunter2"¶user: x¶', "password: <withheld>¶user: x¶"),
        ("db: {user: x, password: hunter2}¶a: 1¶", "db: <withheld>¶a: 1¶"),
        ("env:¶- name: DB_PASSWORD¶  value: hunter2¶a: 1¶", "env:¶- name: DB_PASSWORD¶  value: <withheld>¶a: 1¶"),
        ("env:¶- value: hunter2¶  name: DB_PASSWORD¶a: 1¶", "env:¶- value: <withheld>¶  name: DB_PASSWORD¶a: 1¶"),
        ("args:¶- --password¶- hunter2¶- b¶", "args:¶- --password¶- <withheld>¶- b¶"),
        ("- - token: hunter2¶  - b¶", "- - token: <withheld>¶  - b¶"),
        ('"pass\\x77ord": hunter2¶a: 1¶', '"pass\\x77ord": <withheld>¶a: 1¶'),
        ("url: postgres://u:hunter2@h/db¶", "url: postgres://<withheld>@h/db¶"),
        ("list:¶- {a: 1,¶   token: hunter2}¶- b¶", None.__class__),
    ],
    "json": [
        ('{"a": [1, true, null, "x"]}', None),
        ('{"password": "hunter2", "a": 1}', '{"password": "<withheld>", "a": 1}'),
        ('{"tokens": ["hunter2", {"a": "hunter2"}], "b": 2}', '{"tokens": "<withheld>", "b": 2}'),
        ('{"pass\\u0077ord": "hunter2"}', '{"pass\\u0077ord": "<withheld>"}'),
        ('["--token", "hunter2", "b"]', '["--token", "<withheld>", "b"]'),
        ('[{"name": "DB_PASSWORD", "value": "hunter2"}]', '[{"name": "DB_PASSWORD", "value": "<withheld>"}]'),
        ('{"cmd": "psql --password=hunter2"}', '{"cmd": "psql --password=<withheld>"}'),
        ('{"u": "redis://:hunter2@h:1/0"}', '{"u": "redis://<withheld>@h:1/0"}'),
    ],
    "toml": [
        ('a = 1¶[b]¶c = "x"¶', None),
        ('password = "hunter2"¶a = 1¶', 'password = "<withheld>"¶a = 1¶'),
        ('tokens = [ # ]¶"hunter2",¶]¶a = 1¶', 'tokens = "<withheld>"¶a = 1¶'),
        ('secret = """¶hunter2¶"""¶a = 1¶', 'secret = "<withheld>"¶a = 1¶'),
        ('[auth]¶user = "hunter2"¶[b]¶c = 1¶', '[auth]¶user = "<withheld>"¶[b]¶c = 1¶'),
        ('x = { token = "hunter2", a = 1 }¶b = 2¶', 'x = "<withheld>"¶b = 2¶'),
    ],
    "ini": [
        ("[a]¶b = c¶server role = standalone¶", None),
        ("[a]¶password = x¶  hunter2¶b = c¶", "[a]¶password = <withheld>¶b = c¶"),
        ("[credentials]¶user = hunter2¶[b]¶c = d¶", "[credentials]¶user = <withheld>¶[b]¶c = d¶"),
        ("a = b ; password hunter2¶", "a = b ; <withheld>¶"),
        ("a = b # hunter2 is the password¶", "a = b # <withheld>¶"),
    ],
    "keyvalue": [
        ("LANG=C¶", None),
        ('API_KEY="hunter2¶hunter2"¶LANG=C¶', "API_KEY=<withheld>¶LANG=C¶"),
        ("export AWS_SECRET_ACCESS_KEY=hunter2¶LANG=C¶", "export AWS_SECRET_ACCESS_KEY=<withheld>¶LANG=C¶"),
        ('OPTS="--port 1 --auth-token hunter2"¶', None.__class__),
    ],
    "sysctl": [
        ("net.ipv4.ip_forward = 1¶", None),
        ("net.ipv4.tcp_fastopen_key = hunter2¶kernel.x=1¶", "net.ipv4.tcp_fastopen_key = <withheld>¶kernel.x=1¶"),
    ],
    "fstab": [
        ("UUID=9c7b1b3c-1111-2222-3333-444444444444 / ext4 defaults 0 1¶", None),
        ("//s/x /m cifs user=a,password=hunter2 0 0¶", "//s/x /m cifs user=a,password=<withheld>¶"),
    ],
    "passwd": [
        ("root:x:0:0:root:/root:/bin/bash¶nobody::1:1::/:/bin/sh¶", None),
        ("a:$6$hunter2$hunter2:0:0::/:/bin/sh¶", "a:<withheld>:0:0::/:/bin/sh¶"),
        ("a:x:0:0:password hunter2:/:/bin/sh¶", "a:x:0:0:password <withheld>:/:/bin/sh¶"),
        ("hunter2¶", "<withheld>¶"),
    ],
    "group": [("sudo:x:27:alice,token¶", None), ("a:hunter2:1:¶", "a:<withheld>:1:¶")],
    "hosts": [
        ("127.0.0.1 localhost¶::1 ip6-localhost # loopback¶", None),
        ("# pw: hunter2¶1.2.3.4 a¶", "# <withheld>¶1.2.3.4 a¶"),
    ],
    "pam": [
        ("auth required pam_unix.so nullok¶password [success=1 default=ignore] pam_unix.so use_authtok¶", None),
        (
            "auth sufficient pam_mysql.so user=x passwd=hunter2¶",
            "auth sufficient pam_mysql.so user=x passwd=<withheld>¶",
        ),
        ("auth required pam_exec.so /x --token hunter2¶", "auth required pam_exec.so /x --token <withheld>¶"),
    ],
    "text": [
        ("server {¶  proxy_pass http://a:80;¶  auth_basic off;¶}¶%a ALL=(ALL) NOPASSWD: ALL¶", None),
        ("requirepass hunter2¶port 1¶", "requirepass <withheld>¶port 1¶"),
        ("password¶¶hunter2¶port 1¶", "password¶<withheld>¶port 1¶"),
        ("rocommunity hunter2¶dbPw hunter2¶a https://x/?sv=1&sig=hunter2¶", None.__class__),
        ("keys {¶  a hunter2¶}¶port 1¶", "keys {<withheld>}¶port 1¶"),
        ("<password>hunter2</password>¶a¶", "<password><withheld>¶a¶"),
        ("a¶-----BEGIN RSA PRIVATE KEY-----¶hunter2¶-----END RSA PRIVATE KEY-----¶b¶", "a¶<withheld>¶b¶"),
        ("a¶-----BEGIN PRIVATE KEY-----¶hunter2¶", "a¶<withheld>¶"),
    ],
}


@pytest.mark.parametrize(
    ("form", "text", "expected"), [(form, *case) for form, cases in CASES.items() for case in cases]
)
def test_what_is_taken_and_what_stays(form: str, text: str, expected: str | type | None):
    text = text.replace("¶", "\n")
    made = taken(form, text)
    assert SECRET not in made
    if expected is None:
        assert made == text
    elif isinstance(expected, str):
        assert made == expected.replace("¶", "\n")
    assert taken(form, made) == made


def test_every_format_has_its_cases():
    assert set(CASES) == set(FORMATS)


FORMS_OF_SECRETS = [
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "xoxb-2048123456-abcdefgh",
    "$6$saltsalt$abcdefghijklmnop",
    "{SSHA}abcdefghijkl",
    "c0ffee00c0ffee00c0ffee00c0ffee00",
    "QmFzZTY0LWVuY29kZWQtc2VjcmV0IDEyMzQ1Njc4OTA=",
]


@pytest.mark.parametrize("secret", FORMS_OF_SECRETS)
@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"json", "passwd", "group"}))
def test_what_looks_like_a_secret_goes_whatever_its_name_is(form: str, secret: str):
    for text in (f"name = {secret}\n", f"name: {secret}\n", f"# see {secret}\n", f"a {secret} b\n"):
        assert secret[4:] not in taken(form, text)
    assert secret[4:] not in taken("json", json.dumps({"name": ["x", secret]}))


def test_a_document_names_more_fields():
    assert taken("yaml", "a:\n  door_code: 1234\n", "door_*") == "a:\n  door_code: <withheld>\n"
    assert taken("json", '{"Door_Code": 1}', "door_*") == '{"Door_Code": "<withheld>"}'
    assert taken("sshd_config", "Port 22\nPermitRootLogin no\n", "port") == "Port <withheld>\nPermitRootLogin no\n"
    # What is known to be harmless is not, once a document says so.
    assert "yes" not in taken("sshd_config", "PasswordAuthentication yes\n", "passwordauthentication")


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("json", b'{"password": "hunter2"'),
        ("json", b'{"a": hunter2}'),
        ("json", b'{"a": 1} hunter2'),
        ("json", b"[" * 100 + b'"hunter2"' + b"]" * 100),
        ("yaml", b"? password\n: hunter2\n"),
        ("yaml", b"%TAG ! hunter2\n---\na: 1\n"),
        ("yaml", b"a: &x hunter2\npassword: *x\n"),
        ("text", b"hunter2\xff\n"),
        ("text", b"hunter2\0\n"),
        ("text", b"hunter2 " * 10000),
        ("text", b"key a\n" * 10000),
    ],
)
def test_what_cannot_be_read_is_withheld_whole_and_the_reason_says_nothing_of_it(form: str, data: bytes):
    with pytest.raises(Withheld) as why:
        redact.redact(data, form.encode())
    assert SECRET not in str(why.value)
    assert redact.asked(data, redact.question(form.encode(), [])) == (b"", str(why.value).encode())


# --- whatever the value ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "password",
        "db_passwd",
        "PASSPHRASE",
        "apiKey",
        "auth-token",
        "secret",
        "AWS_SECRET_ACCESS_KEY",
        "dsn",
        "private_key",
    ]
)
# A value as people write it, with a core that stands nowhere else.
VALUES = st.builds(
    lambda before, after: f"{before}ZQXJ{after}",
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12),
)
PLACES = {
    "yaml": [
        "{name}: {json}\na: 1\n",
        "a:\n  b:\n  - {name}: {json}\n    c: 1\n",
        "a: {{b: 1, {name}: {json}}}\n",
        "{name}:\n- {json}\n",
    ],
    "json": ['{{"a": [{{"{name}": {json}}}]}}', '{{"{name}": {{"x": [{json}]}}}}', '["--{name}", {json}]'],
    "toml": [
        "{name} = {json}\na = 1\n",
        "[x]\n{name} = [{json}]\n",
        "x = {{ a = 1, {name} = {json} }}\n",
        "[{name}]\nuser = {json}\n",
    ],
    "ini": [
        "[a]\n{name} = {plain}\nb = c\n",
        "[a]\n{name}: {plain}\n",
        "[a]\n{name} =\n  {plain}\n",
        "[{name}]\nuser = {plain}\n",
    ],
    "keyvalue": ["{name}={json}\nA=1\n", "export {name}={json}\n", "{name}={plain}\n"],
    "sysctl": ["net.{name} = {plain}\na.b = 1\n"],
    "unit": [
        "[Service]\nEnvironment={name}={plain}\nUser=x\n",
        "[Service]\nExecStart=/bin/a --{name}={json} b\n",
        "[Service]\nExecStart=/bin/a --{name} {plain}\n",
    ],
    "crontab": ["{name}={plain}\n* * * * * root x\n", "* * * * * root a --{name} {json}\n"],
    "sshd_config": ["{name} {plain}\nPort 22\n", "# {name}: {plain}\nPort 22\n"],
    "fstab": ["//a/b /c cifs user=x,{name}={plain} 0 0\n"],
    "hosts": ["# {plain} {name}\n1.2.3.4 a\n"],
    "pam": ["auth required pam_x.so {name}={plain}\n"],
    "text": [
        "{name} {plain}\n",
        "{name} = {json};\n",
        "<{name}>{plain}</{name}>\n",
        "{name}\n{plain}\n",
        "a 1 # {plain} {name}\n",
    ],
}


@pytest.mark.parametrize(("form", "place"), [(form, place) for form, places in PLACES.items() for place in places])
@given(NAMES, VALUES)
@example("password", "]ZQXJ[")
@example("password", "'ZQXJ\"")
@example("password", "ZQXJ")
def test_a_value_under_a_secrets_name_never_survives(form: str, place: str, name: str, value: str):
    plain = value.strip()
    assume(plain)
    text = place.format(name=name, json=json.dumps(value, ensure_ascii=False), plain=plain)
    try:
        made = taken(form, text)
    except Withheld:
        return
    assert "ZQXJ" not in made


@given(
    st.sampled_from(FORMATS),
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
)
def test_any_bytes_are_redacted_or_withheld_and_once_is_enough(form: str, data: bytes):
    try:
        once = redact.redact(data, form.encode())
    except Withheld:
        return
    once.decode("utf-8")
    try:
        assert redact.redact(once, form.encode()) == once
    except Withheld:
        assert form in ("yaml", "json")


SMALL = st.integers(-(10**9), 10**9)


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "port", "host"]),
        SMALL | st.booleans() | st.lists(SMALL, max_size=3),
        min_size=1,
    )
)
def test_what_is_no_secret_stays_as_it_is(value: dict[str, object]):
    text = json.dumps(value)
    assert taken("json", text) == text
    assert YAML(typ="safe", pure=True).load(taken("yaml", text + "\n")) == value
    lines = "".join(f"{name} = {json.dumps(inner)}\n" for name, inner in value.items())
    assert tomllib.loads(taken("toml", lines)) == value


def test_it_takes_time_in_proportion():
    """64 KiB of what each rule could stumble over, all formats, in seconds."""
    for piece in (
        "a: [",
        "\\" * 7 + "\n",
        "-" * 63 + "\n",
        '"' * 3 + "\n",
        "x" * 63 + "=",
        "a b\t" * 8,
        "mysql -",
        "://",
        "a@",
        "a:b@",
        ":@",
        "[",
        "(",
        "a ",
        " ",
        "\t#",
        "b:c ",
        "Ab1",
        "$1$",
        "eyJ",
        "{SHA}",
        "-----BEGIN",
        "AKIA",
        "#;",
        "key\n",
    ):
        text = (piece * 70000)[: redact.LIMIT]
        for form in ("json", "text", "yaml"):
            try:
                taken(form, text)
            except Withheld:
                continue


def test_it_runs_where_the_probe_runs():
    """The three modules, alone, on the oldest Python that there is here."""
    program = textwrap.dedent(
        """
        import sys, types
        for name in ("driftd", "driftd.probe"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["driftd.probe"].__path__ = [sys.argv[1]]
        from driftd.probe import redact
        assert "json" not in sys.modules
        sys.stdout.buffer.write(redact.redact(sys.stdin.buffer.read(), b"yaml", []))
        """
    )
    probe = str(Path(redact.__file__).parent)
    old = Path("/root/.pyenv/versions/3.6.15/bin/python3.6")
    for python in (sys.executable, str(old)) if old.exists() else (sys.executable,):
        done = subprocess.run(
            [python, "-I", "-S", "-B", "-c", program, probe],
            input=b"password: hunter2\na: 1\n",
            capture_output=True,
            check=True,
        )
        assert done.stdout == b"password: <withheld>\na: 1\n"
