"""What every test shares: no network, full suites only when asked for, and the example tables."""

import socket

import pytest
from hypothesis import settings

settings.register_profile("privsynth", deadline=None, derandomize=True)
settings.load_profile("privsynth")

_connect = socket.socket.connect


def _loopback_only(self, address):
    local = self.family == getattr(socket, "AF_UNIX", None) or (
        isinstance(address, tuple) and address[0] in {"127.0.0.1", "::1", "localhost"}
    )
    if not local:
        raise AssertionError("a test tried to reach the network")
    return _connect(self, address)


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """Refuse every connection but to this machine."""
    socket.socket.connect = _loopback_only
    yield
    socket.socket.connect = _connect


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run the statistical suites at full size")


def pytest_configure(config):
    config.addinivalue_line("markers", "full_only: part of the full size alone (make check-full)")


def pytest_collection_modifyitems(config, items):
    """Without --full, leave out what is for the full size alone."""
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full_only")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("full_only")]


@pytest.fixture(scope="session")
def full(request):
    """Whether the statistical suites run at full size (make check-full)."""
    return request.config.getoption("--full")
