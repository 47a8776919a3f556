"""``python -m minirt.server FOLDER NAME``: the server itself; started by the client."""

import sys

from minirt.server.serve import main

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
