"""The numbers of the resolvers' users."""

from __future__ import annotations

from minirt.container import user_ids
from minirt.network.lease_folder import GROUP
from minirt.network.resolver_user import user_of


def test_they_are_no_containers_and_no_known_distributions() -> None:
    users = {user_of(f"network{number}") for number in range(5000)}
    assert len(users) > 4500  # two networks with one user are rare
    assert min(users) > GROUP > 1_879_048_191  # the end of systemd's ranges for containers
    assert max(users) < user_ids.FIRST
