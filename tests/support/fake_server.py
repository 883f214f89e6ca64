"""`python -m fake_server`: the service with the workers of `fake_tasks`."""

from server.__main__ import main

if __name__ == "__main__":
    main("fake_tasks:main")
