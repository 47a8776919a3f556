"""A container's new name, also where others know it by: in the zones of its networks.

The new symlink is made first, so that nobody else can take the name; then the record says it;
then the old one goes. In between the container answers to both.
"""

from __future__ import annotations

from dataclasses import replace

from minirt.container import alive, names, record
from minirt.container.plug import names_in
from minirt.container.record import Record
from minirt.errors import InvalidRequest
from minirt.network import finding, leases


def rename(one: Record, name: str) -> Record:
    """Give a container another name. Raises InvalidRequest, Conflict if somebody has it."""
    name = name.removeprefix("/")
    if name == one.name:
        raise InvalidRequest("Renaming a container with the same name as its current name")
    names.claim(name, one.id)
    renamed = replace(one, name=name)
    try:
        names.make_last()  # or a boot might find a record whose name leads nowhere
        record.save(renamed)
    except BaseException:
        names.release(name, one.id)
        raise
    if alive.is_held(one.id):
        _tell_networks(renamed)
    for other in names.owned().keys() - {name}:
        names.release(other, one.id)  # The old one, and what a killed rename has left.
    return renamed


def _tell_networks(one: Record) -> None:
    """Write the new name into the leases; the resolvers see it before they answer again."""
    made = record.load_endpoints(one.id)
    aliases = {request.network_id: request.aliases for request in one.endpoints}
    for name, plug in made.items():
        network = finding.find(plug.network_id)
        names_now = names_in(one, network, aliases.get(network.id, []))
        made[name] = replace(plug, names=names_now)
        for address in plug.addresses():
            path = leases.directory(network) / str(address.ip)
            facts = leases.read(path)
            if facts is not None and facts.container == one.id:
                leases.rewrite(path, replace(facts, name=one.name, names=names_now))
    record.save_endpoints(one.id, made)
