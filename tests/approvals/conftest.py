"""The people and the process of the releases' tests."""

from tests.releases.conftest import api, people, shop

__all__ = ["api", "people", "shop"]
