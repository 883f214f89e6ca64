"""`python -m held_server`: the service with `held_tasks` and `faulty_decoder`."""

from server.__main__ import main
from server.children import child_specs

if __name__ == "__main__":
    child_specs.DECODER = "faulty_decoder:main"
    main("held_tasks:main")
