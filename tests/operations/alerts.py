"""Every alert: fires when it should, stays quiet when it should, and has its section in the runbook."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = [ROOT / "config" / "prometheus" / name for name in ("recording.yaml", "alerts.yaml")]
JOB = 'job="consentry-admin", instance="pod"'

# For each alert: its labels, what it is tried on; series when it has to fire, and when it must not. Series are those of
# `promtool test rules`: `0+6x60` grows by 6 each minute for an hour.
CASES = {
    "ConsentryDown": (
        {"job": "consentry-admin", "instance": "pod"},
        [(f"up{{{JOB}}}", "1x10 0x50")],
        # Another program's pod, and one that was away for a moment.
        [('up{job="node"}', "0x60"), (f"up{{{JOB}}}", "1x57 0 1x2")],
    ),
    "ConsentryRestarts": (
        {"job": "consentry-admin", "instance": "pod"},
        [(f"process_start_time_seconds{{{JOB}}}", "100x45 200x4 300x4 400x10")],
        [(f"process_start_time_seconds{{{JOB}}}", "100x45 200x20"), ('process_start_time_seconds{job="node"}', "0+60x60")],
    ),
    "ConsentryPanics": (
        {"instance": "pod"},
        [('consentry_panics_total{instance="pod"}', "0x55 1x5")],
        [('consentry_panics_total{instance="pod"}', "0x20 1x40")],
    ),
    "ConsentryErrors": (
        {"site": "shop"},
        [
            ('consentry_requests_total{site="shop", status_class="2xx"}', "0+980x60"),
            ('consentry_requests_total{site="shop", status_class="5xx"}', "0+20x60"),
        ],
        [
            ('consentry_requests_total{site="shop", status_class="2xx"}', "0+995x60"),
            ('consentry_requests_total{site="shop", status_class="5xx"}', "0+5x60"),
            # Hardly any traffic.
            ('consentry_requests_total{site="quiet", status_class="2xx"}', "0+1x60"),
            ('consentry_requests_total{site="quiet", status_class="5xx"}', "0+1x60"),
        ],
    ),
    "ConsentryUpstreamErrors": (
        {"site": "shop", "reason": "connect_refused"},
        [('consentry_upstream_errors_total{site="shop", reason="connect_refused"}', "0+12x60")],
        [('consentry_upstream_errors_total{site="shop", reason="connect_refused"}', "0+1x60")],
    ),
    "ConsentrySlow": (
        {"site": "shop"},
        [
            ('consentry_request_duration_seconds_bucket{site="shop", le="2.5"}', "0+950x60"),
            ('consentry_request_duration_seconds_bucket{site="shop", le="10"}', "0+1000x60"),
            ('consentry_request_duration_seconds_bucket{site="shop", le="+Inf"}', "0+1000x60"),
        ],
        [
            ('consentry_request_duration_seconds_bucket{site="shop", le="1"}', "0+950x60"),
            ('consentry_request_duration_seconds_bucket{site="shop", le="2.5"}', "0+999x60"),
            ('consentry_request_duration_seconds_bucket{site="shop", le="10"}', "0+1000x60"),
            ('consentry_request_duration_seconds_bucket{site="shop", le="+Inf"}', "0+1000x60"),
        ],
    ),
    "ConsentryConnectionLimit": (
        {"instance": "pod"},
        [('consentry_rejected_total{reason="too_many_connections", instance="pod"}', "0x57 1 5 9")],
        [
            ('consentry_rejected_total{reason="too_many_connections", instance="pod"}', "7x60"),
            ('consentry_rejected_total{reason="malformed", instance="pod"}', "0+100x60"),
        ],
    ),
    "ConsentryFileDescriptors": (
        {"job": "consentry-admin", "instance": "pod"},
        [(f"process_open_fds{{{JOB}}}", "900x60"), (f"process_max_fds{{{JOB}}}", "1000x60")],
        [(f"process_open_fds{{{JOB}}}", "700x60"), (f"process_max_fds{{{JOB}}}", "1000x60")],
    ),
    "ConsentryReloadFailed": (
        {"instance": "pod"},
        [('consentry_config_last_reload_successful{instance="pod"}', "1x50 0x10")],
        [('consentry_config_last_reload_successful{instance="pod"}', "1x50 0x2 1x10")],
    ),
    "ConsentryUnknownCookies": (
        {"site": "shop"},
        [('consentry_cookies_total{site="shop", direction="response", purpose="unknown", action="block"}', "0+10x60")],
        [
            ('consentry_cookies_total{site="shop", direction="response", purpose="unknown", action="block"}', "0+1x60"),
            ('consentry_cookies_total{site="shop", direction="response", purpose="unknown", action="allow"}', "0+99x60"),
            ('consentry_cookies_total{site="shop", direction="request", purpose="unknown", action="block"}', "0+99x60"),
            ('consentry_cookies_total{site="shop", direction="response", purpose="analytics", action="block"}', "0+99x60"),
        ],
    ),
    "ConsentryUnrewrittenPages": (
        {"site": "shop"},
        [
            ('consentry_rewrites_total{site="shop", outcome="rewritten"}', "0+90x120"),
            ('consentry_rewrites_total{site="shop", outcome="charset"}', "0+10x120"),
        ],
        [
            ('consentry_rewrites_total{site="shop", outcome="rewritten"}', "0+50x120"),
            ('consentry_rewrites_total{site="shop", outcome="observed"}', "0+49x120"),
            ('consentry_rewrites_total{site="shop", outcome="coding"}', "0+1x120"),
        ],
    ),
    "ConsentryConsentConflicts": (
        {"site": "shop"},
        [
            ('consentry_consent_conflicts_total{site="shop"}', "0+5x120"),
            ('consentry_consents_total{site="shop", source="consentry"}', "0+100x120"),
        ],
        [
            ('consentry_consent_conflicts_total{site="shop"}', "0+1x120"),
            ('consentry_consents_total{site="shop", source="consentry"}', "0+1000x120"),
        ],
    ),
    "ConsentryUnmappedIds": (
        {"site": "shop", "source": "onetrust"},
        [('consentry_consent_unmapped_ids_total{site="shop", source="onetrust"}', "0x30 1x30")],
        [('consentry_consent_unmapped_ids_total{site="shop", source="onetrust"}', "5x60")],
    ),
    "ConsentryAccessLogDropped": (
        {"instance": "pod"},
        [('consentry_access_log_dropped_total{instance="pod"}', "0x55 10x5")],
        [('consentry_access_log_dropped_total{instance="pod"}', "0x20 10x40")],
    ),
    "ConsentryLedgerFailing": (
        {"instance": "pod"},
        [('consentry_ledger_failing{instance="pod"}', "0x55 1x5")],
        [('consentry_ledger_failing{instance="pod"}', "0x59 1")],
    ),
    "ConsentryLedgerLost": (
        {"instance": "pod"},
        [('consentry_ledger_lost{instance="pod"}', "0x55 3x5")],
        # Told before; and a restart, which begins at 0.
        [('consentry_ledger_lost{instance="pod"}', "3x50 0x10")],
    ),
    "ConsentryLedgerBehind": (
        {"instance": "pod"},
        [('consentry_ledger_queued{instance="pod"}', "2000x60")],
        [('consentry_ledger_queued{instance="pod"}', "0x55 2000x5")],
    ),
    "ConsentryCheckpointsNotCopied": (
        {"instance": "pod"},
        [('consentry_ledger_copy_failing{instance="pod"}', "0x40 1x20")],
        [('consentry_ledger_copy_failing{instance="pod"}', "0x55 1x5")],
    ),
    "ConsentryShippingFailing": (
        {"instance": "pod"},
        [('consentry_ledger_shipping_failing{instance="pod"}', "0x40 1x20")],
        [('consentry_ledger_shipping_failing{instance="pod"}', "0x50 1x10")],
    ),
    "ConsentryShippingLag": (
        {"instance": "pod"},
        [('consentry_ledger_shipping_lag_seconds{instance="pod"}', "0+60x60")],
        [('consentry_ledger_shipping_lag_seconds{instance="pod"}', "600x60")],
    ),
    "ConsentryShippingFork": (
        {"instance": "pod"},
        [('consentry_ledger_shipping_forks{instance="pod"}', "0x50 1x10")],
        [('consentry_ledger_shipping_forks{instance="pod"}', "0x60")],
    ),
    "ConsentryRetentionLate": (
        {"job": "consentry-admin", "instance": "pod"},
        [
            # Evaluation begins at 0: both happened long before.
            (f"process_start_time_seconds{{{JOB}}}", "-90000x60"),
            (f"consentry_ledger_retention_last_success_timestamp_seconds{{{JOB}}}", "0x60"),
            (f"consentry_ledger_records{{{JOB}}}", "9x60"),
        ],
        [
            (f"process_start_time_seconds{{{JOB}}}", "-90000x60"),
            (f"consentry_ledger_retention_last_success_timestamp_seconds{{{JOB}}}", "60+60x60"),
            (f"consentry_ledger_records{{{JOB}}}", "9x60"),
            # Another one has no ledger.
            ('process_start_time_seconds{job="consentry-admin", instance="other"}', "-90000x60"),
            ('consentry_ledger_retention_last_success_timestamp_seconds{job="consentry-admin", instance="other"}', "0x60"),
            ('consentry_ledger_records{job="consentry-admin", instance="other"}', "0x60"),
        ],
    ),
    "ConsentryQuestionsRefused": (
        {"instance": "pod"},
        [('consentry_questions_refused_total{reason="unauthorized", instance="pod"}', "0+5x60")],
        [
            ('consentry_questions_refused_total{reason="unauthorized", instance="pod"}', "0+1x60"),
            ('consentry_questions_refused_total{reason="too_many", instance="pod"}', "0+50x60"),
        ],
    ),
}


def alerts():
    groups = yaml.safe_load(RULES[1].read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def expected(rule, labels):
    """What `promtool` has to find, with labels in the place of their names."""
    filled = {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        for name, text in rule["annotations"].items()
    }
    return [{"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": filled}]


def trial(name, series, found):
    return {
        "interval": "1m",
        "name": name,
        "input_series": [{"series": series, "values": values} for series, values in series],
        "alert_rule_test": [{"eval_time": "60m", "alertname": name, "exp_alerts": found}],
    }


def run(trials):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"rule_files": [str(path) for path in RULES], "tests": trials}, file)
        file.flush()
        return subprocess.run(["promtool", "test", "rules", file.name], capture_output=True, text=True)


class Alerts(unittest.TestCase):
    def test_rules_are_valid(self):
        checked = subprocess.run(["promtool", "check", "rules", *RULES], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def test_each_fires_and_stays_quiet(self):
        self.assertEqual(set(CASES), set(alerts()))
        trials = []
        for name, rule in alerts().items():
            labels, loud, quiet = CASES[name]
            trials += [trial(name, loud, expected(rule, labels)), trial(name, quiet, [])]
        result = run(trials)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_runbook(self):
        sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
        self.assertEqual(sections, list(alerts()), "one section for each alert, in the same order")
        for name, rule in alerts().items():
            self.assertEqual(rule["annotations"]["runbook"], f"docs/runbook.md#{name.lower()}")
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
