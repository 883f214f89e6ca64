"""`python -m hasty_server`: the service, with short deadlines for what its clients send."""

from server.__main__ import main
from server.http.receive_deadline import ReceiveDeadlineProtocol

if __name__ == "__main__":
    ReceiveDeadlineProtocol.head_s = ReceiveDeadlineProtocol.body_s = 0.5
    main("fake_tasks:main")
