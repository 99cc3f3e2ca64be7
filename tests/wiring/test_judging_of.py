"""Judges, canaries and alerts as configured: what docs/canary.md shows, and mistakes with file, line and remedy."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from driftd import settings
from driftd.core import promql
from driftd.core.canary import Canary
from driftd.core.errors import BadInput
from driftd.edges.http.alertmanager import Alertmanager
from driftd.flows.judging import Lately
from driftd.wiring import groups, judging

PAGE = (Path(__file__).parents[2] / "docs" / "canary.md").read_text()
CONFIGURED, ALERTED = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def load(tmp_path, text):
    file = tmp_path / "driftd.yaml"
    file.write_text(text)
    return settings.load(file)


def web(canary, above=""):
    return f"{above}groups:\n  web:\n    provider: static\n    replacing:\n      canary:\n        {canary}\n"


def test_the_canary_of_the_docs_is_what_it_says(tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cr3t")
    loaded = load(tmp_path, CONFIGURED.replace("/etc/driftd/prometheus.token", str(token)))
    judge = judging.judge_of(loaded)
    assert isinstance(judge, Lately)
    canary = judging.canary_of("web", loaded.group("web"), judge)
    assert groups.limits_of(loaded, loaded.group("web")).canary_soak == timedelta(minutes=30)
    assert canary.warmup == timedelta(minutes=5)
    assert (canary.question.below, canary.question.above) == (0.01, None)
    assert (canary.question.baseline.tolerance, canary.question.baseline.slack) == (0.5, 0.001)
    asked = canary.question.query.fill({"instance": ["i-1"], "group": ["web"]})
    beside = canary.question.baseline.query.fill({"peers": ["i-2", "i-3"], "group": ["web"]})
    assert 'server=~"i-1",code="5xx"' in asked
    assert beside == asked.replace('"i-1"', '"(?:i-2|i-3)"')


def test_the_other_queries_of_the_docs_are_queries_that_can_be_put_to_peers():
    queries = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    assert len(queries) == 2
    for text in queries:
        assert promql.parse(text).of_peers().places == {"peer_addresses"}


def test_the_alerts_of_the_docs_are_asked_for(tmp_path):
    loaded = load(tmp_path, ALERTED)
    alerts = judging.alerts_of(loaded)
    assert isinstance(alerts, Alertmanager)
    named = judging.block_on_of("web", loaded.group("web"), alerts)
    assert [", ".join(map(str, one)) for one in named] == ['severity="page", service="{group}"', 'freeze="yes"']


def test_where_nothing_is_configured_a_canary_is_watched_and_nobody_is_asked(tmp_path):
    loaded = load(tmp_path, "groups: {web: {provider: static}}\n")
    assert judging.judge_of(loaded) is None
    assert judging.alerts_of(loaded) is None
    assert judging.canary_of("web", loaded.group("web"), None) == Canary()
    assert judging.block_on_of("web", loaded.group("web"), None) == ()


def test_a_canary_is_never_watched_shorter_than_others(tmp_path):
    loaded = load(tmp_path, "groups: {web: {provider: static, replacing: {soak: 1h}}}\n")
    assert groups.limits_of(loaded, loaded.group("web")).canary_soak == timedelta(hours=1)


def test_a_judge_or_alerts_that_nobody_is_asked_about_are_refused(tmp_path):
    loaded = load(tmp_path, web("{query: up, below: 1}"))
    with pytest.raises(BadInput, match="canary of web is judged") as refused:
        judging.canary_of("web", loaded.group("web"), None)
    assert "prometheus" in refused.value.hint
    blocked = load(tmp_path, "groups: {web: {provider: static, replacing: {block_on: [a=b]}}}\n")
    with pytest.raises(BadInput, match="alerts block web"):
        judging.block_on_of("web", blocked.group("web"), None)


def test_paths_are_relative_to_the_file_and_read_at_once(tmp_path):
    loaded = load(tmp_path, "prometheus: {url: 'https://x', token_file: none}\n")
    with pytest.raises(BadInput, match=re.escape(f"{tmp_path}/none cannot be read")):
        judging.judge_of(loaded)


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        ("{query: up}", "either below or above"),
        ("{query: up, below: 1, above: 0}", "either below or above"),
        ("{below: 1}", "needs a query"),
        ("{baseline: {slack: 1}}", "needs a query"),
        ("{query: 'up{instance}', below: 1}", "no value of a label"),
        ("{query: 'up{a=\"{instance}\"}', below: 1, baseline: {}}", "stands after = or !="),
        ("{query: up, below: 1, baseline: {}}", "does not name the instance"),
        ("{query: up, below: .nan}", "below"),
        ("{query: up, below: 1, baseline: {query: up, tolerance: -1}}", "tolerance"),
        ("{soaks: 1m}", "soaks"),
    ],
)
def test_a_mistake_in_a_canary_names_file_and_line(tmp_path, canary, said):
    with pytest.raises(BadInput) as refused:
        load(tmp_path, web(canary))
    assert re.match(rf"{re.escape(str(tmp_path))}/driftd\.yaml:[56]: ", str(refused.value))
    assert said in str(refused.value)


@pytest.mark.parametrize("line", ["severity", "", "{}"])
def test_a_mistake_in_the_alerts_names_file_and_line(tmp_path, line):
    text = f"groups:\n  web:\n    provider: a\n    replacing:\n      block_on:\n        - '{line}'\n"
    with pytest.raises(BadInput, match=r"driftd\.yaml:6: .*no list of label matchers"):
        load(tmp_path, text)


def test_a_baseline_may_have_a_query_of_its_own(tmp_path):
    canary = "{query: 'up{a=\"{instance}\"}', above: 0.5, baseline: {query: 'avg(up{a=~\"{peers}\"})'}}"
    loaded = load(tmp_path, web(canary, "prometheus: {url: 'http://127.0.0.1:9'}\n"))
    question = judging.canary_of("web", loaded.group("web"), judging.judge_of(loaded)).question
    assert question.baseline.query.text == 'avg(up{a=~"{peers}"})'
