"""Networks: a bridge, the addresses leased on it, published ports, and names that resolve."""
