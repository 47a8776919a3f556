"""``python -m minirt.server FOLDER NAME``: the server itself; started by the client."""

import sys

from minirt import light_dataclasses

if __name__ == "__main__":
    light_dataclasses.stand_in()
    from minirt.server.serve import main

    main(sys.argv[1], sys.argv[2])
