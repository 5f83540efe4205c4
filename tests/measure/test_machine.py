import re
import sys

import pytest

from vmlab.measure import machine
from vmlab.measure.machine import Fact, describe_machine, disturbances

QUIET = {
    "load": Fact("load", 0.1),
    "usable_cpus": Fact("CPUs", 2),
    "cpu_quota": Fact("quota", "none"),
    "governor": Fact("governor", "performance"),
    "boost": Fact("boost", "off"),
    "smt": Fact("SMT", unreadable="no such file"),
    "virtualisation": Fact("virtualisation", "none"),
}


def test_every_fact_has_a_value_or_a_reason():
    facts = describe_machine()
    assert set(QUIET) <= set(facts)
    for fact in facts.values():
        assert (fact.value is None) is (fact.unreadable is not None)
        assert fact.value != "" and fact.unreadable != ""
    assert facts["usable_cpus"].value <= facts["logical_cpus"].value
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["llvm"].value)
    assert facts["python"].value.endswith(sys.version.split()[0])


def test_a_file_that_is_not_there_is_a_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CPU", tmp_path)
    fact = describe_machine()["governor"]
    path = tmp_path / "cpu0/cpufreq/scaling_governor"
    assert str(fact) == f"not readable: {path}: No such file or directory"


def test_governor_boost_and_smt_are_read(monkeypatch, tmp_path):
    (tmp_path / "cpu0/cpufreq").mkdir(parents=True)
    (tmp_path / "cpu0/cpufreq/scaling_governor").write_text("powersave\n")
    (tmp_path / "smt").mkdir()
    (tmp_path / "smt/active").write_text("1\n")
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpufreq/boost").write_text("1\n")
    monkeypatch.setattr(machine, "_CPU", tmp_path)
    facts = describe_machine()
    assert [facts[key].value for key in ("governor", "boost", "smt")] == ["powersave", "on", "on"]
    (tmp_path / "intel_pstate").mkdir()
    (tmp_path / "intel_pstate/no_turbo").write_text("1\n")
    assert describe_machine()["boost"].value == "off"


def test_the_cpu_is_named_on_machines_with_another_cpuinfo(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nBogoMIPS\t: 108\n\nModel\t\t: Raspberry Pi 5\n")
    monkeypatch.setattr(machine, "_CPU_INFO", info)
    assert describe_machine()["cpu"].value == "Raspberry Pi 5"


def quota(monkeypatch, tmp_path, membership, **files):
    (tmp_path / "membership").write_text(membership)
    for path, text in files.items():
        file = tmp_path / "cgroup" / path.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
    return describe_machine()["cpu_quota"]


def test_the_tightest_quota_on_the_way_to_the_root_counts(monkeypatch, tmp_path):
    found = quota(
        monkeypatch, tmp_path, "0::/a/b\n",
        a__b__cpu_dot_max="max 100000\n", a__cpu_dot_max="150000 100000\n",
    )  # fmt: skip
    assert found.value == 1.5


def test_quotas_of_version_1(monkeypatch, tmp_path):
    files = {"cpu__x__cpu_dot_cfs_quota_us": "50000\n", "cpu__x__cpu_dot_cfs_period_us": "100000\n"}
    assert quota(monkeypatch, tmp_path, "3:cpu:/x\n1:name=systemd:/\n", **files).value == 0.5


def test_no_quota(monkeypatch, tmp_path):
    assert quota(monkeypatch, tmp_path, "0::/a\n", a__cpu_dot_max="max 100000\n").value == "none"
    found = quota(monkeypatch, tmp_path, "1:name=systemd:/\n")
    assert found.unreadable == "no control group of this process has a CPU quota file"


def test_a_quiet_machine_disturbs_nothing():
    assert list(disturbances(QUIET)) == []


@pytest.mark.parametrize(
    ("key", "value", "grave", "what", "remedy"),
    [
        ("load", 1.6, True, "load 1.6 on 2 usable CPUs", "stop what else"),
        ("cpu_quota", 0.5, True, "allows 0.5 of a CPU", "--cpus"),
        ("governor", "powersave", False, "'powersave'", "cpupower frequency-set"),
        ("boost", "on", False, "boost is on", "switch boost off"),
        ("smt", "on", False, "multithreading is on", "echo off"),
        ("virtualisation", "virtual machine, X", False, "virtual machine", "compare ratios"),
    ],
)
def test_each_disturbance_names_its_remedy(key, value, grave, what, remedy):
    (found,) = disturbances({**QUIET, key: Fact(key, value)})
    assert found.grave is grave
    assert what in found.what
    assert remedy in found.remedy
