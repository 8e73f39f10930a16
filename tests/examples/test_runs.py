"""Every example process, run to its end through the real engine: scripts run, servers are started, asked over HTTP, signed off and stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.core.management import call_command

from relorch.audit.chain import verify
from tests.examples.playhouse import AT_ONCE, Played, Playhouse, Scenario, stop_everything, workers

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.xdist_group("examples")]
SHA256 = re.compile(r"[0-9a-f]{64}")


def in_the_night() -> str:
    """A window that is closed now and for hours."""
    opens = datetime.now(UTC) + timedelta(hours=9)
    return f"{opens:%H}:00-{opens:%H}:30"


def three_free_ports() -> int:
    """The first of three neighbours that nobody listens on, below the range from which the system gives ports away; another run looks elsewhere."""
    for first in range(20_000 + os.getpid() % 3_000 * 3, 32_000, 3):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + 3):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")


def scenarios() -> dict[str, Scenario]:
    fix = "Orders with a coupon are charged twice"
    standard = {"version": "1.4.0"}
    hotfix = {"version": "1.4.1", "reason": fix}
    feature = {"version": "1.5.0"}
    services = {"version": "2.0.0"}
    return {
        "standard": Scenario("standard_release", standard | {"base_port": three_free_ports()}),
        "standard, not healthy": Scenario("standard_release", standard | {"fault": "health_after_rollout", "keep_running": True}),
        "feature": Scenario("feature_rollout", feature),
        "feature with a bug": Scenario("feature_rollout", feature | {"fault": "new_checkout"}),
        "standard, broken test": Scenario("standard_release", standard | {"fault": "unit_test"}),
        "standard, turned down": Scenario("standard_release", standard, reject=("product_sign_off",)),
        "hotfix": Scenario("emergency_hotfix", hotfix),
        "hotfix, not healthy": Scenario("emergency_hotfix", hotfix | {"fault": "health_after_rollout", "keep_running": True}),
        "hotfix, broken test": Scenario("emergency_hotfix", hotfix | {"fault": "unit_test"}),
        "feature up to 10": Scenario("feature_rollout", feature | {"up_to": 10}),
        "services": Scenario("multi_service", services),
        "services without rates": Scenario("multi_service", services | {"fault": "rates_down"}),
        "database": Scenario("database_change"),
        "database, wrong amount": Scenario("database_change", {"fault": "comma"}),
        "database at night": Scenario("database_change", {"window": in_the_night()}, rests_at="wait_for_window"),
    }


@pytest.fixture(scope="module")
def house(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playhouse]:
    """All scenarios, begun at once: the module takes as long as the machine needs for their work, not the sum of what they wait for."""
    from relorch.demo import loading

    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as held:
        from django.conf import settings

        patch.setattr(settings, "RELORCH_HOME", tmp_path_factory.mktemp("examples"))
        patch.setattr(settings, "RELORCH_ALLOW_SCRIPTS", True)
        patch.setattr(settings, "RELORCH_EGRESS_ALLOW", ["127.0.0.1"])
        held.callback(call_command, "flush", verbosity=0, interactive=False)
        held.callback(stop_everything)
        held.enter_context(workers())
        pool = held.enter_context(ThreadPoolExecutor(AT_ONCE))
        held.callback(pool.shutdown, cancel_futures=True)
        yield Playhouse(loading.load(), scenarios(), pool)


def servers_in(played: Played) -> list[int]:
    """Processes that still serve from the release's folder."""
    place = f"{played.workspace}/"
    return [process.pid for process in psutil.process_iter(["cmdline"]) if any(word.startswith(place) for word in process.info["cmdline"] or [])]


def get(url: str) -> Any:
    return httpx.get(url, trust_env=False, timeout=5).json()


def sha256(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def test_a_standard_release_serves_everywhere_what_was_built(house: Playhouse) -> None:
    played = house.played("standard")
    assert played.state == "succeeded", played.story()
    built = played.outputs("artifact")["digest"]
    assert SHA256.fullmatch(built)
    assert sha256(played.outputs("artifact")["artifact"]) == built
    for place in ("staging_version", "north_version", "south_version"):
        assert played.outputs(place) == {"version": "1.4.0", "digest": built}
    assert [child.outputs["digest"] for child in played.children()] == [built, built]
    assert played.release.outputs == {"version": "1.4.0", "digest": built}
    before = played.outputs("north_before")
    assert (before["version"], before["digest"] != built) == ("1.3.0", True)


def test_its_ports_are_those_of_its_inputs(house: Playhouse) -> None:
    played = house.played("standard")
    first = played.release.inputs["base_port"]
    assert [played.outputs(place)["url"] for place in ("deploy_staging", "north", "south")] == [f"http://127.0.0.1:{first + place}" for place in range(3)]


def test_both_regions_at_the_same_time(house: Playhouse) -> None:
    north, south = house.played("standard").children()
    assert max(north.started_at, south.started_at) < min(north.finished_at, south.finished_at)


def test_what_it_started_it_stops(house: Playhouse) -> None:
    played = house.played("standard")
    assert played.outputs("stop_everything")["stopped"] == "3"
    assert servers_in(played) == []
    assert played.of_phase("roll_back") == {"skipped"}


def test_a_broken_unit_test_stops_before_staging(house: Playhouse) -> None:
    played = house.played("standard, broken test")
    assert played.state == "failed", played.story()
    assert played.states("unit_tests", "artifact") == ["failed", "succeeded"]
    for phase in ("staging", "sign_off", "roll_out", "verify", "roll_back"):
        assert played.of_phase(phase) == {"skipped"}, phase
    assert not (played.workspace / "staging").exists()
    assert played.children() == []
    assert played.states("stop_everything") == ["succeeded"]


def test_not_healthy_after_the_roll_out_restarts_the_earlier_version(house: Playhouse) -> None:
    played = house.played("standard, not healthy")
    assert played.state == "failed", played.story()
    assert [child.state for child in played.children()] == ["failed", "failed"]
    assert played.states("staging_health", "north", "south", "regions_restored") == ["succeeded", "failed", "failed", "succeeded"]
    earlier = played.outputs("earlier_artifact")["digest"]
    assert earlier != played.outputs("artifact")["digest"]
    for region in ("north", "south"):
        served = get(f"{played.outputs(f'{region}_back')['url']}/version")
        assert (served["version"], served["digest"]) == ("1.3.0", earlier)
    staging = get(f"{played.outputs('deploy_staging')['url']}/version")
    assert (staging["version"], staging["digest"]) == ("1.4.0", played.outputs("artifact")["digest"])
    assert played.of_phase("clean_up") == {"skipped"}


def test_a_release_that_product_turns_down_never_reaches_a_region(house: Playhouse) -> None:
    played = house.played("standard, turned down")
    assert played.state == "failed", played.story()
    assert played.states("product_sign_off", "north", "south", "north_back") == ["rejected", "skipped", "skipped", "skipped"]
    assert servers_in(played) == []


def test_a_hotfix_reaches_production(house: Playhouse) -> None:
    played = house.played("hotfix")
    assert played.state == "succeeded", played.story()
    assert played.outputs("roll_out")["digest"] == played.outputs("artifact")["digest"]
    assert played.states("approve_hotfix", "roll_back", "restored") == ["succeeded", "skipped", "skipped"]
    assert servers_in(played) == []


def test_a_hotfix_that_is_not_healthy_gives_production_back(house: Playhouse) -> None:
    played = house.played("hotfix, not healthy")
    assert played.state == "failed", played.story()
    assert played.outputs("restored") == {name: played.outputs("production_before")[name] for name in ("version", "digest")}
    assert get(f"{played.outputs('roll_back')['url']}/version")["version"] == "1.4.0"


def test_nobody_is_asked_about_a_hotfix_with_a_broken_test(house: Playhouse) -> None:
    played = house.played("hotfix, broken test")
    assert played.state == "failed", played.story()
    assert played.states("unit_tests", "approve_hotfix", "roll_out") == ["failed", "skipped", "skipped"]
    assert servers_in(played) == []


def test_a_feature_reaches_everybody_in_waves(house: Playhouse) -> None:
    played = house.played("feature")
    assert played.state == "succeeded", played.story()
    shares = [float(played.outputs(f"watch_{wave}")["share"]) for wave in (1, 10, 50, 100)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 10
    assert shares[-1] == 100
    assert played.of_phase("switch_off") == {"skipped"}
    assert servers_in(played) == []


def test_a_feature_goes_no_farther_than_it_may(house: Playhouse) -> None:
    played = house.played("feature up to 10")
    assert played.state == "succeeded", played.story()
    assert played.states("watch_10", "go_50", "go_100") == ["succeeded", "skipped", "skipped"]


def test_errors_switch_the_feature_off_for_everybody(house: Playhouse) -> None:
    played = house.played("feature with a bug")
    assert played.state == "failed", played.story()
    assert played.states("watch_10", "watch_50", "go_100", "off_for_all") == ["succeeded", "failed", "skipped", "succeeded"]
    assert played.outputs("flag_now") == {"percent": 0}
    assert servers_in(played) == []


def test_three_services_in_the_order_of_what_they_need(house: Playhouse) -> None:
    played = house.played("services")
    assert played.state == "succeeded", played.story()
    catalog, rates, shop = (played.runs[key] for key in ("catalog", "rates", "shop"))
    assert max(catalog.finished_at, rates.finished_at) <= shop.started_at
    assert max(catalog.started_at, rates.started_at) < min(catalog.finished_at, rates.finished_at)
    assert played.states("lose_rates", "cart_is_right", "qa_sign_off") == ["skipped", "succeeded", "succeeded"]
    assert servers_in(played) == []


def test_a_shop_without_its_rates_is_not_healthy(house: Playhouse) -> None:
    played = house.played("services without rates")
    assert played.state == "failed", played.story()
    assert played.states("lose_rates", "shop", "cart", "stop_everything") == ["succeeded", "failed", "skipped", "succeeded"]
    assert servers_in(played) == []


def test_a_database_is_changed_and_the_sum_stays(house: Playhouse) -> None:
    played = house.played("database")
    assert played.state == "succeeded", played.story()
    assert played.outputs("orders_before") == played.outputs("orders_after")
    assert played.outputs("orders_before")["count"] == 200
    assert played.release.outputs["schema"] == played.outputs("change_table")["schema"]
    assert played.of_phase("restore") == {"skipped"}
    assert servers_in(played) == []


def test_a_wrong_amount_brings_the_backup_back(house: Playhouse) -> None:
    played = house.played("database, wrong amount")
    assert played.state == "failed", played.story()
    assert "failed" in played.states("every_order", "same_sum")
    assert played.states("restore_backup", "as_before") == ["succeeded", "succeeded"]
    assert played.outputs("orders_restored") == played.outputs("orders_before")
    assert played.release.outputs["schema"] == played.outputs("restore_backup")["schema"]


def test_outside_the_window_nothing_is_changed(house: Playhouse) -> None:
    played = house.played("database at night")
    assert played.state == "running", played.story()
    assert played.states("approve_change", "wait_for_window", "change_table") == ["succeeded", "waiting", "pending"]
    assert played.runs["wait_for_window"].started_at is not None


@pytest.mark.parametrize("name", scenarios())
def test_its_record_is_whole(house: Playhouse, name: str) -> None:
    played = house.played(name)
    found = verify(f"release:{played.release.pk}")
    assert (found.broken_at, found.why) == (None, "")
    assert found.events > sum(run.state != "pending" for run in played.runs.values())
