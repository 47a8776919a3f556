"""Keys of the host: they follow processes and users, whatever namespaces these are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import compiled, minirt_words, needs_file, shell

# The fork server has the keyring of who started it; here the operator's own is to come along.
pytestmark = [pytest.mark.in_process, needs_file("/proc/keys")]

KEY = ("minirt-test", "of the host")
NAME, VALUE = KEY
STRANGER = 64_321  # a user of the host who has nothing else
UNCONFINED = ("--security-opt", "seccomp=unconfined")
REFUSED, ABSENT = "Operation not permitted\n", "Required key not available\n"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the program that has keys, and takes them."""
    return compiled(Path(__file__).with_name("keys.c"), tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_the_keys_of_the_operators_session_stay_there(
    minirt: Minirt, image: str, keys: Path, verb: str
) -> None:
    """Both defences, one by one: the call is refused; and where it isn't, there is no key."""
    hold, take = (keys, "hold", *KEY), ("take", "session", NAME)
    assert shell(*hold, keys, *take).stdout == f"{VALUE}\n"
    for flags, answer in ((), REFUSED), (UNCONFINED, ABSENT), (("--privileged",), ABSENT):
        words: tuple[object, ...] = ("--net", "none", *flags, "-v", f"{keys}:/keys", image)
        if verb == "run":
            words = ("run", "--rm", *words, "/keys", *take)
        else:
            minirt("run", "-d", "--name", "one", *words, "sleep", "1000")
            words = ("exec", "one", "/keys", *take)
        assert shell(*hold, *minirt_words(*words), code=1).stdout == answer
        minirt("rm", "--force", "one", code=None)


def test_the_keyring_of_a_user_is_closed_to_containers_with_his_number(
    minirt: Minirt, image: str, keys: Path
) -> None:
    """It is one for all processes of a user (user-keyring(7)): only the filter stands before it."""
    shell(keys, "leave", STRANGER, *KEY)
    words = ("run", "--rm", "--net", "none", "-u", STRANGER, "-v", f"{keys}:/keys")
    take = (image, "/keys", "take", "user", NAME)
    assert minirt(*words, *UNCONFINED, *take).stdout == f"{VALUE}\n"
    assert minirt(*words, *take, code=1).stdout == REFUSED


def test_of_the_hosts_keys_not_even_the_names_are_told(image: str, keys: Path) -> None:
    def shown(*flags: str) -> str:
        words = minirt_words("run", "--rm", "--net", "none", *flags, image, "cat", "/proc/keys")
        return shell(keys, "hold", *KEY, *words).stdout

    assert NAME in shown("--privileged")
    assert shown() == ""
